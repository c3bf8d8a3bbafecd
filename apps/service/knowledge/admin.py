"""Knowledge in the console: written with a preview, published, retired, brought back, imported, searched."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from apps.service.knowledge.form import ImportForm, SourceForm
from apps.service.knowledge.models import (
    Chunk,
    KnowledgeImport,
    Source,
    SourceAudience,
    SourceKind,
    SourceLanguage,
    SourceStatus,
    SourceVersion,
)
from apps.service.knowledge.services import FIELDS, restore_source, set_status
from apps.service.knowledge.view import search_context, source_context
from console.base import LogAdmin, TenantModelAdmin, go_to
from console.rights import actor_name, has_role
from console.search import choice_field
from console.site import register
from console.theme import ActionVariant, BaseDialogForm, action, display
from tenancy.models import Role

STATUS_COLOURS = {"Draft": None, "Published": "success", "Retired": "danger", "Not valid now": "warning"}
# Which buttons make sense in which status.
BUTTONS = {
    SourceStatus.DRAFT: {"publish", "retire"},
    SourceStatus.PUBLISHED: {"retire"},
    SourceStatus.RETIRED: {"publish"},
}


def status_name(source: Source) -> str:
    if source.status == SourceStatus.PUBLISHED and not source.is_valid_now:
        return "Not valid now"
    return SourceStatus(source.status).label


@register(Source)
class SourceAdmin(TenantModelAdmin):
    list_title = "Knowledge"
    who_adds = who_changes = Role.OPERATOR
    form = SourceForm
    list_display = ("title", "kind", "status_label", "language", "audience", "version", "updated_by", "updated_at")
    list_filter = (
        choice_field(title="Kind", parameter="kind", column="kind", options=tuple(SourceKind.choices)),
        choice_field(title="Status", parameter="status", column="status", options=tuple(SourceStatus.choices)),
        choice_field(title="Language", parameter="language", column="language", options=tuple(SourceLanguage.choices)),
        choice_field(title="Audience", parameter="audience", column="audience", options=tuple(SourceAudience.choices)),
    )
    search_fields = ("title", "external_id")
    search_help_text = "Title or your own id"
    ordering = ("-id",)
    actions = None
    actions_detail = ("publish", "retire")
    change_form_template = "service/source.html"
    empty_title = "Nothing is known yet"
    empty_text = "Add an article or a macro, or bring in files under Knowledge imports: replies rest on these alone."

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        hidden = ("seen_version",) if self.has_change_permission(request, obj) else ()
        return [
            ("Text", {"fields": ("kind", "title", "body", *hidden)}),
            ("For whom", {"fields": ("language", "audience", "segments", "tags")}),
            ("When", {"fields": ("valid_from", "valid_until")}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if obj is None or self.has_change_permission(request, obj) else ("kind", *FIELDS)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if not self.has_change_permission(request, obj):
            return super().get_form(request, obj, change, **kwargs | {"form": forms.ModelForm})
        form = super().get_form(request, obj, change, **kwargs)
        form.actor = actor_name(request)
        return form

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        source = self.get_object(request, str(object_id))
        wanted = BUTTONS[SourceStatus(source.status)] if source else set()
        return [
            each for each in super().get_actions_detail(request, object_id) if each.action_name.split("_")[-1] in wanted
        ]

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        source = self.get_object(request, object_id) if object_id else None
        context = extra_context or {}
        if source is not None and request.method == "GET":
            context |= source_context(source) | {
                "status": status_name(source),
                "status_type": STATUS_COLOURS[status_name(source)],
                "may_restore": has_role(request, Role.OPERATOR),
            }
        return super().changeform_view(request, object_id, form_url, context)

    def get_urls(self) -> list[URLPattern]:
        restore = self.admin_site.admin_view(self.restore_view)
        own = path("<uuid:object_id>/restore/<int:version>/", restore, name="service_source_restore")
        return [own, *super().get_urls()]

    def restore_view(self, request: HttpRequest, object_id: Any, version: int) -> HttpResponse:
        if request.method != "POST" or not self.has_operator_permission(request):
            raise PermissionDenied
        source = self.row(request, str(object_id))
        try:
            restore_source(source_id=source.id, kind=source.kind, to=version, actor=actor_name(request))
        except SourceVersion.DoesNotExist:
            raise Http404("there is no such version") from None
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        else:
            messages.success(request, f"It has the contents of version {version} again.")
        return HttpResponseRedirect(self.page_of(source))

    def save_model(self, request: HttpRequest, obj: Source, form: forms.ModelForm, change: bool) -> None:
        """The form has called the service."""

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        messages.success(request, "It is a draft. See how it reads and how it is cut below, then publish it.")
        return self._saved(request, obj)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        found = "It is found by its new text." if obj.status == SourceStatus.PUBLISHED else "It is not found yet."
        messages.success(request, f"It is saved. {found}")
        return self._saved(request, obj)

    def _saved(self, request: HttpRequest, source: Source) -> HttpResponse:
        if source.stripped:
            told = ", ".join(f"{count} {kind}" for kind, count in source.stripped.items())
            messages.warning(request, f"Taken out, since no reader would see it: {told}.")
        return HttpResponseRedirect(self.page_of(source))

    @display(description="Status", ordering="status", label=STATUS_COLOURS)
    def status_label(self, source: Source) -> str:
        return status_name(source)

    @action(
        description="Publish",
        icon="publish",
        permissions=["operator"],
        variant=ActionVariant.PRIMARY,
        dialog={
            "title": "Publish this?",
            "description": "Replies may rest on it at once, while it is valid.",
            "form_class": None,
            "form_submit_text": "Publish",
        },
    )
    def publish(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self.put(request, object_id, SourceStatus.PUBLISHED, "It is published.")

    @action(
        description="Retire",
        icon="block",
        permissions=["operator"],
        variant=ActionVariant.DANGER,
        dialog={
            "title": "Retire this?",
            "description": "No reply rests on it from now on. Its versions stay.",
            "form_class": None,
            "form_submit_text": "Retire",
        },
    )
    def retire(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self.put(request, object_id, SourceStatus.RETIRED, "It is retired.")

    def put(self, request: HttpRequest, object_id: str, status: SourceStatus, done: str) -> HttpResponse:
        source = self.row(request, object_id)
        try:
            set_status(source_id=source.id, kind=source.kind, status=status, actor=actor_name(request))
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        else:
            messages.success(request, done)
        return go_to(self.page_of(source))


@register(KnowledgeImport)
class KnowledgeImportAdmin(TenantModelAdmin):
    list_title = "Knowledge imports"
    who_adds = Role.OPERATOR
    form = ImportForm
    list_display = ("__str__", "ok", "duplicate", "rejected", "actor", "created_at")
    ordering = ("-id",)
    actions = None
    change_form_template = "service/knowledge_import.html"
    empty_title = "No files were brought in yet"
    empty_text = "Bring in Markdown, CSV or HTML: each row is answered for, and the same file can come again."

    def get_queryset(self, request: HttpRequest) -> Any:
        place = request.resolver_match
        found = super().get_queryset(request)
        return found if place is not None and "object_id" in place.kwargs else found.defer("results")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("file", "kind", "language", "publish") if obj is None else ("actor", "created_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.get_fields(request, obj) if obj else ()

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None:
            return super().get_form(request, obj, change, **kwargs | {"form": forms.ModelForm})
        form = super().get_form(request, obj, change, **kwargs)
        form.actor = actor_name(request)
        return form

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        found = self.get_object(request, object_id) if object_id else None
        return super().changeform_view(
            request, object_id, form_url, (extra_context or {}) | {"knowledge_import": found}
        )

    def save_model(self, request: HttpRequest, obj: KnowledgeImport, form: forms.ModelForm, change: bool) -> None:
        """The form has called the service."""

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        told = ", ".join(f"{count} {name}" for name, count in obj.counts.items())
        messages.success(request, f"The file was read: {told}.")
        return HttpResponseRedirect(self.page_of(obj))

    @display(description="Ok")
    def ok(self, found: KnowledgeImport) -> int:
        return int(found.counts["ok"])

    @display(description="Duplicate")
    def duplicate(self, found: KnowledgeImport) -> int:
        return int(found.counts["duplicate"])

    @display(description="Rejected")
    def rejected(self, found: KnowledgeImport) -> int:
        return int(found.counts["rejected"])


@register(Chunk)
class KnowledgeSearchAdmin(LogAdmin):
    """Instead of a list of chunks: what a search finds, and what each stage made of it. Nothing is recorded."""

    list_title = "Knowledge search"
    fields = ("source", "headings", "text", "language")
    readonly_fields = fields

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            **self.frame(),
            "title": self.list_title,
            "opts": self.opts,
            **search_context(request.GET),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "service/knowledge_search.html", context)
