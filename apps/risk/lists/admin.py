"""Lists in the console: made, filled, emptied; what is personal shows as a short form of its key."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path

from apps.risk.lists.models import EntityList, ListChange, ListEntry
from apps.risk.lists.selectors import absent_values, changes_of_list, entity_lists
from apps.risk.lists.services import (
    KEY_KINDS,
    ListInUse,
    NewEntry,
    add_entries,
    create_list,
    put_back,
    remove_entry,
    remove_list,
    rules_that_ask,
    stored_value,
)
from console.base import TenantModelAdmin, go_to
from console.forms import ServiceForm
from console.rights import actor_name
from console.search import choice_field
from console.site import register
from console.theme import (
    ActionVariant,
    BaseDialogForm,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    action,
    display,
)
from tenancy.models import Role
from tenancy.secrets import public_subject_id

KIND_COLOURS = {"Allow": "success", "Deny": "danger", "Watch": "info"}
SHOWN = 200
HISTORY_SHOWN = 50
FIELDS = ("name", "kind", "field", "description")


class EntityListForm(ServiceForm):
    actor = ""  # set by the page

    class Meta:
        model = EntityList
        fields = FIELDS
        widgets = {"description": UnfoldAdminTextareaWidget(attrs={"rows": 2})}
        help_texts = {"name": "How rules name it; never changes.", "field": "What its entries name; never changes."}

    def write(self) -> EntityList:
        return create_list(actor=self.actor, **self.cleaned_data)


class EntriesForm(forms.Form):
    values = forms.CharField(
        label="Values",
        max_length=2_000_000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4, "class": "console-code"}),
        help_text="One on each line, as clients name them.",
    )
    note = forms.CharField(required=False, max_length=500, widget=UnfoldAdminTextInputWidget)
    expires_at = forms.DateTimeField(
        label="Expires (UTC)",
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"}),
    )

    def entries(self) -> list[NewEntry]:
        values = [line.strip() for line in self.cleaned_data["values"].splitlines()]
        note, expires_at = self.cleaned_data["note"], self.cleaned_data["expires_at"]
        return [NewEntry(value, note, expires_at) for value in values if value]


@register(EntityList)
class EntityListAdmin(TenantModelAdmin):
    list_title = "Lists"
    who_adds = Role.OPERATOR
    form = EntityListForm
    list_display = ("name", "kind_label", "field", "entry_count", "description", "created_by")
    list_filter = (
        choice_field(
            title="Kind",
            parameter="kind",
            column="kind",
            options=(("allow", "Allow"), ("deny", "Deny"), ("watch", "Watch")),
        ),
    )
    search_fields = ("name",)
    ordering = ("name",)
    actions = None
    actions_detail = ("remove",)
    change_form_template = "risk/list.html"
    empty_title = "No lists yet"
    empty_text = "A list holds cards, devices, people or places that are allowed, denied or watched."

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return entity_lists().filter(pk__in=super().get_queryset(request))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return FIELDS if obj is None else (*FIELDS, "created_by", "created_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.get_fields(request, obj) if obj else ()

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.actor = actor_name(request)
        return form

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        found = self.get_object(request, object_id) if object_id else None
        context = extra_context or {}
        if found is not None:
            context |= {
                "entity_list": found,
                **_entries(found, request.GET),
                "entry_count": found.entry_count,
                "entries_form": EntriesForm(),
                "asked_by": rules_that_ask(found.name),
                "history": _history(found),
                "may_change": self.has_operator_permission(request),
            }
        return super().changeform_view(request, object_id, form_url, context)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("<uuid:object_id>/entries/", view(self.add_view_of_entries), name="risk_entitylist_entries"),
            path(
                "<uuid:object_id>/entries/<uuid:entry_id>/remove/",
                view(self.remove_entry_view),
                name="risk_entitylist_remove_entry",
            ),
            path(
                "<uuid:object_id>/changes/<uuid:change_id>/put-back/",
                view(self.put_back_view),
                name="risk_entitylist_put_back",
            ),
        ]
        return [*own, *super().get_urls()]

    def add_view_of_entries(self, request: HttpRequest, object_id: Any) -> HttpResponse:
        found = self._for_change(request, object_id)
        form = EntriesForm(request.POST)
        if not form.is_valid():
            messages.error(
                request, " ".join(f"{name}: {' '.join(map(str, told))}" for name, told in form.errors.items())
            )
            return HttpResponseRedirect(self.page_of(found))
        try:
            added = add_entries(list_id=found.id, entries=form.entries(), actor=actor_name(request))
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        else:
            messages.success(request, f"{added} new entries; they act within a second or two.")
        return HttpResponseRedirect(self.page_of(found))

    def remove_entry_view(self, request: HttpRequest, object_id: Any, entry_id: Any) -> HttpResponse:
        found = self._for_change(request, object_id)
        try:
            remove_entry(list_id=found.id, entry_id=entry_id, actor=actor_name(request))
        except ListEntry.DoesNotExist:
            raise Http404("the list has no such entry") from None
        messages.success(request, "The entry is taken out. It can be put back in the history below.")
        return HttpResponseRedirect(self.page_of(found))

    def put_back_view(self, request: HttpRequest, object_id: Any, change_id: Any) -> HttpResponse:
        found = self._for_change(request, object_id)
        try:
            put_back(list_id=found.id, change_id=change_id, actor=actor_name(request))
        except ListChange.DoesNotExist:
            raise Http404("nothing was taken out by this change") from None
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        else:
            messages.success(request, "The entry is put back.")
        return HttpResponseRedirect(self.page_of(found))

    def _for_change(self, request: HttpRequest, object_id: Any) -> EntityList:
        if request.method != "POST" or not self.has_operator_permission(request):
            raise PermissionDenied
        found: EntityList = self.row(request, str(object_id))
        return found

    def save_model(self, request: HttpRequest, obj: EntityList, form: forms.ModelForm, change: bool) -> None:
        """The form has called the service."""

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        messages.success(request, "The list is made. Add its entries below.")
        return HttpResponseRedirect(self.page_of(obj))

    @display(description="Kind", ordering="kind", label=KIND_COLOURS)
    def kind_label(self, found: EntityList) -> str:
        return str(found.kind).capitalize()

    @display(description="Entries")
    def entry_count(self, found: Any) -> int:
        return int(found.entry_count)

    @action(
        description="Remove",
        icon="delete",
        permissions=["operator"],
        variant=ActionVariant.DANGER,
        dialog={
            "title": "Remove this list and all its entries?",
            "description": "It can not be brought back. A list that a rule asks for stays.",
            "form_class": None,
            "form_submit_text": "Remove",
        },
    )
    def remove(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        found = self.row(request, object_id)
        try:
            remove_list(list_id=found.id, actor=actor_name(request))
        except ListInUse as error:
            messages.error(request, str(error))
            return go_to(self.page_of(found))
        messages.success(request, f"The list '{found.name}' is removed.")
        return go_to(self.list_page())


def _entries(found: EntityList, asked: Mapping[str, str]) -> dict[str, Any]:
    """The entry of the value that was asked for, or the newest entries, older ones after the last that was shown."""
    entries = found.entries.order_by("-id")
    value, problem = asked.get("value", "").strip(), ""
    if value:
        try:
            entries = entries.filter(value=stored_value(found.field, value))
        except ValidationError as error:
            entries, problem = entries.none(), " ".join(error.messages)
    with suppress(ValueError):
        entries = entries.filter(id__lt=UUID(asked.get("before", "")))
    page = list(entries[: SHOWN + 1])
    return {
        "entries": [(entry, _shown(found, entry.value)) for entry in page[:SHOWN]],
        "older_than": page[SHOWN - 1].id if len(page) > SHOWN else None,
        "value_asked": value,
        "value_problem": problem,
        "is_part": bool(value or asked.get("before")),
    }


def _shown(found: EntityList, value: str) -> str:
    return public_subject_id(bytes.fromhex(value)) if found.field in KEY_KINDS else value


def _history(found: EntityList) -> list[dict[str, Any]]:
    """The newest changes, each with its details as they are shown, and whether it can be put back."""
    changes = list(changes_of_list(found.name)[:HISTORY_SHOWN])
    of_this_list = [change for change in changes if change.created_at >= found.created_at]
    absent = absent_values(found, [change.details["value"] for change in of_this_list if "value" in change.details])
    return [
        {
            "change": change,
            "details": {
                name: _shown(found, value) if name == "value" and change in of_this_list else value
                for name, value in change.details.items()
                if value not in (None, "")
            },
            "can_be_put_back": change.action == ListChange.Action.TAKEN_OUT
            and change in of_this_list
            and change.details["value"] in absent,
        }
        for change in changes
    ]
