"""Base class of all console pages: rights by role, rows of the chosen tenant, lists that stay cheap."""

import json
from typing import Any

from django.contrib.admin import ShowFacets
from django.db.models import DateTimeField, Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from console.rights import has_role, membership_of
from console.theme import InfinitePaginator, ModelAdmin, MomentWidget
from tenancy.models import Role


class TenantModelAdmin(ModelAdmin):
    """A page on a tenant-owned model. Rights come from the operator's role in the chosen tenant.

    `who_sees`, `who_adds`, `who_changes` and `who_deletes` name the lowest role that may; None means nobody. Actions
    name theirs with `@action(permissions=["operator"])`.
    """

    list_title = ""  # heading of the list; the plural of the model's name when left out
    who_sees: Role | None = Role.VIEWER
    who_adds: Role | None = None
    who_changes: Role | None = None
    who_deletes: Role | None = None
    # Lists never count a whole table, and show as much as fits a laptop's screen.
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 0
    empty_title = "Nothing here yet"
    empty_text = ""
    change_list_template = "console/change_list.html"
    change_form_template = "console/change_form.html"
    formfield_overrides = {DateTimeField: {"widget": MomentWidget}}

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        membership = membership_of(request)
        if membership is None:
            return super().get_queryset(request).none()
        # Row-level security decides; the condition repeats it, so that rows of an operator's other tenants stay out.
        return super().get_queryset(request).filter(tenant_id=membership.tenant_id)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return _allowed(request, self.who_sees)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _allowed(request, self.who_adds)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return _allowed(request, self.who_changes)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return _allowed(request, self.who_deletes)

    def has_analyst_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return has_role(request, Role.ANALYST)

    def has_operator_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return has_role(request, Role.OPERATOR)

    def has_admin_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return has_role(request, Role.ADMIN)

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Of an address only the search bar's inputs: left to itself, Django compares any column, hidden ones too."""
        return any(lookup == getattr(each, "parameter_name", None) for each in self.list_filter)

    def refreshes(self, request: HttpRequest, object_id: str | None) -> bool:
        """Whether the list (object_id None) or a row's page loads itself anew, because work is under way."""
        return False

    def frame(self, **values: Any) -> dict[str, Any]:
        """Context of every page of this model: where it stands, and which buttons make sense."""
        title = self.list_title or capfirst(self.opts.verbose_name_plural)
        buttons = {"show_save_and_add_another": False, "show_save_and_continue": False}
        return {"list_title": title, "list_url": self.list_page(), **buttons, **values}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        frame = self.frame(refreshes=self.refreshes(request, None), can_export=self.has_analyst_permission(request))
        return super().changelist_view(request, frame | {"title": frame["list_title"]} | (extra_context or {}))

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        frame = self.frame(refreshes=object_id is not None and self.refreshes(request, object_id))
        return super().changeform_view(request, object_id, form_url, frame | (extra_context or {}))

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().delete_view(request, object_id, self.frame() | (extra_context or {}))

    def row(self, request: HttpRequest, object_id: str) -> Any:
        """The row that an action names. Raises Http404 when this tenant has none such."""
        found = self.get_object(request, object_id)
        if found is None:
            raise Http404(f"this tenant has no such {self.opts.verbose_name}")
        return found

    def page_of(self, obj: Model) -> str:
        """Address of a row's page."""
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[obj.pk])

    def list_page(self) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")


class LogAdmin(TenantModelAdmin):
    """A page on an append-only table: newest first, paged without counting, never edited."""

    paginator = InfinitePaginator
    sortable_by = ()
    actions = None


def _allowed(request: HttpRequest, role: Role | None) -> bool:
    return role is not None and has_role(request, role)


def go_to(url: str) -> HttpResponse:
    """Answer of a dialog's action: htmx loads the page anew."""
    return HttpResponse(headers={"HX-Redirect": url})


def pretty_json(value: Any) -> SafeString:
    """JSON for reading, indented."""
    return format_html(
        '<pre class="console-json">{}</pre>', json.dumps(value, indent=2, ensure_ascii=False, default=str)
    )
