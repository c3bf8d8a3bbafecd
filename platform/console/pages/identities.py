"""The ledger of identities: which keys are one person, since when and by whom, and the way to take them apart."""

from typing import Any

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from behavior.identity import LinkRefused, restore, undo
from behavior.models import IdentityLink
from console.base import LogAdmin, go_to
from console.rights import actor_name
from console.search import SearchField, choice_field
from console.site import register
from console.theme import ActionVariant, BaseDialogForm, action, display
from tenancy.secrets import public_subject_id, subject_key

KINDS = {IdentityLink.Kind.LOGIN: "Login", IdentityLink.Kind.MERGE: "Merge"}


class PersonField(SearchField):
    """A raw user id or anonymous id on either side of a link."""

    title = "Subject id"
    parameter_name = "subject"

    def condition(self, text: str) -> Q:
        keys = [subject_key("user_id", text), subject_key("anonymous_id", text)]
        return Q(from_key__in=keys) | Q(to_key__in=keys)


class StatusField(SearchField):
    title = "Status"
    parameter_name = "status"
    kind = "select"
    options = (("active", "Active"), ("undone", "Undone"))

    def condition(self, text: str) -> Q:
        return Q(undone_at__isnull=text != "undone")


@register(IdentityLink)
class IdentityLinkAdmin(LogAdmin):
    list_title = "Identities"
    list_display = ("since", "kind_label", "from_subject", "to_subject", "source", "status_label")
    list_filter = (
        PersonField,
        choice_field(title="Kind", parameter="kind", column="kind", options=tuple(KINDS.items())),
        StatusField,
    )
    # Ids grow with the time of writing and stand in the primary key, so the newest page costs no sort.
    ordering = ("-id",)
    fields = (
        *("id", "kind_label", "from_subject", "to_subject", "since", "source", "event", "created_at", "status_label"),
        "undone",
    )
    readonly_fields = fields
    actions_detail = ("undo_link", "restore_link")
    empty_title = "No identities are tied yet"
    empty_text = (
        "A row shows here as soon as an event or a request carries a user_id and an anonymous_id, "
        "or a server calls POST /api/v1/identities/links or /merges."
    )

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        row = self.get_object(request, str(object_id))
        possible = "undo_link" if row and row.undone_at is None else "restore_link"
        return [one for one in super().get_actions_detail(request, object_id) if one.path == possible]

    @display(description="Kind", label={"Login": "info", "Merge": "warning"})
    def kind_label(self, row: IdentityLink) -> str:
        return row.get_kind_display()

    @display(description="Visitor, or merged user")
    def from_subject(self, row: IdentityLink) -> SafeString:
        return _mono(public_subject_id(bytes(row.from_key)))

    @display(description="User")
    def to_subject(self, row: IdentityLink) -> SafeString:
        return _mono(public_subject_id(bytes(row.to_key)))

    @display(description="Status", label={"Active": "success", "Undone": None})
    def status_label(self, row: IdentityLink) -> str:
        return "Undone" if row.undone_at else "Active"

    @display(description="Undone", empty_value="—")
    def undone(self, row: IdentityLink) -> str | None:
        return f"{row.undone_at:%Y-%m-%d %H:%M} by {row.undone_by}" if row.undone_at else None

    @display(description="Event with both ids", empty_value="—")
    def event(self, row: IdentityLink) -> SafeString | None:
        if row.event_id is None:
            return None
        url = reverse("admin:behavior_event_change", args=[row.event_id])
        return format_html('<a class="console-link console-mono" href="{}">…{}</a>', url, str(row.event_id)[-8:])

    @action(
        description="Undo",
        icon="link_off",
        permissions=["operator"],
        variant=ActionVariant.DANGER,
        dialog={
            "title": "Take the two apart?",
            "description": "Each has its own events again, in answers at once and in the next training. The row stays.",
            "form_class": None,
            "form_submit_text": "Undo",
        },
    )
    def undo_link(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)
        undo(link_id=row.id, kind=IdentityLink.Kind(row.kind), actor=actor_name(request))
        messages.success(request, "The two are apart again.")
        return go_to(self.page_of(row))

    @action(
        description="Tie again",
        icon="link",
        permissions=["operator"],
        variant=ActionVariant.PRIMARY,
        dialog={
            "title": "Tie the two again?",
            "description": "They are one person as before. This row stays as history, and a new one is added.",
            "form_class": None,
            "form_submit_text": "Tie again",
        },
    )
    def restore_link(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)
        try:
            row, _ = restore(link_id=row.id, actor=actor_name(request))
        except LinkRefused as refusal:
            messages.error(request, str(refusal))
        else:
            messages.success(request, "The two are one person again.")
        return go_to(self.page_of(row))


def _mono(text: str) -> SafeString:
    return format_html('<span class="console-mono">{}</span>', text)
