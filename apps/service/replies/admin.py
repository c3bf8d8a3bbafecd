"""Replies to look at, since agents answer in the inbox, and the backends that write them."""

from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.service.replies import settings_form  # noqa: F401
from apps.service.replies.backends.choosing import backends, remove_backend, set_backend
from apps.service.replies.models import Reply, ReplyAction, ReplyBackend, ReplyStatus
from console.base import LogAdmin, TenantModelAdmin
from console.figures import percent
from console.forms import ServiceForm
from console.rights import actor_name
from console.search import choice_field
from console.site import register
from console.theme import UnfoldAdminIntegerFieldWidget, UnfoldAdminPasswordWidget, display
from tenancy.models import Role

ACTION_COLOURS = {"Send": "success", "Draft for an agent": "info", "Hand off": "warning"}
SHOWN_CHARACTERS = 100


@register(Reply)
class ReplyAdmin(LogAdmin):
    list_display = ("created_at", "beginning", "decided", "status_label", "intent", "sureness", "backend")
    list_filter = (
        choice_field(title="Decided", parameter="action", column="action", options=tuple(ReplyAction.choices)),
        choice_field(title="Status", parameter="status", column="status", options=tuple(ReplyStatus.choices)),
    )
    ordering = ("-created_at",)
    fields = readonly_fields = (
        *("created_at", "conversation_link", "decided", "status_label", "intent", "sureness", "backend", "degraded"),
        "decision_link",
        *("text", "final_text", "why", "cited", "judged_by", "changed", "note", "settled_at"),
    )
    empty_title = "No replies yet"
    empty_text = "POST /api/v1/replies answers what a customer wrote last."

    @display(description="Reply")
    def beginning(self, reply: Reply) -> str:
        text = reply.text or "(none: handed off)"
        return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"

    @display(description="Decided", label=ACTION_COLOURS)
    def decided(self, reply: Reply) -> str:
        return reply.get_action_display()

    @display(description="Status")
    def status_label(self, reply: Reply) -> str:
        return reply.get_status_display()

    @display(description="Conversation")
    def conversation_link(self, reply: Reply) -> SafeString:
        return _link("service_conversation", reply.conversation_id, "Open it")

    @display(description="Decision")
    def decision_link(self, reply: Reply) -> SafeString:
        return _link("decisions_decision", reply.decision_id, str(reply.decision_id))

    @display(description="Confidence")
    def sureness(self, reply: Reply) -> str:
        return f"{reply.confidence:.2f}"

    @display(description="Changed by agents")
    def changed(self, reply: Reply) -> str:
        return percent(reply.edit_distance, 0)

    @display(description="Why")
    def why(self, reply: Reply) -> SafeString:
        return _lines([reason["text"] for reason in reply.reasons])

    @display(description="Cited")
    def cited(self, reply: Reply) -> SafeString:
        return _lines([f"{citation['title']}: {citation['quote']}" for citation in reply.citations])


class ReplyBackendForm(ServiceForm):
    actor = ""  # set by the page
    key = forms.CharField(
        required=False,
        max_length=500,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "off"}),
        help_text="Of the server; kept encrypted and never shown. Empty keeps the one that is there.",
    )
    place = forms.IntegerField(
        min_value=1, initial=1, widget=UnfoldAdminIntegerFieldWidget, help_text="In the order in which they are asked."
    )

    class Meta:
        model = ReplyBackend
        fields = ("name", "kind", "base_url", "model", "timeout_seconds", "is_active")
        labels = {"base_url": "Address", "timeout_seconds": "Seconds to wait"}
        help_texts = {"base_url": "Of a server that the operator of the suite allows; empty for the other kinds."}

    def __init__(self, *args: Any, **values: Any) -> None:
        super().__init__(*args, **values)
        if not self.instance._state.adding:
            self.fields["name"].disabled = True
            self.initial["place"] = self.instance.position + 1

    def write(self) -> ReplyBackend:
        wanted = dict(self.cleaned_data)
        place = wanted.pop("place")
        if not wanted["key"]:
            del wanted["key"]
        if self.instance._state.adding and backends().filter(name=wanted["name"]).exists():
            raise ValidationError({"name": "There is a backend of this name; change that one."})
        try:
            return set_backend(wanted=wanted, place=place, actor=self.actor)
        except ValidationError as error:
            raise ValidationError(error.messages) from error


@register(ReplyBackend)
class ReplyBackendAdmin(TenantModelAdmin):
    who_adds = who_changes = who_deletes = Role.OPERATOR
    form = ReplyBackendForm
    list_display = ("position", "name", "kind", "model", "base_url", "has_key", "is_active", "changed_by")
    fields = ("name", "kind", "base_url", "model", "key", "place", "timeout_seconds", "is_active")
    ordering = ("position",)
    actions = None
    empty_title = "Sentences of the articles alone"
    empty_text = "Add language models here, in the order in which they are asked where no macro fits."

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if not self.has_change_permission(request):
            # Who only looks sees what is stored, and no field for a key.
            shown = ("name", "kind", "base_url", "model", "position", "timeout_seconds", "is_active")
            return super().get_form(request, obj, change, **kwargs | {"form": forms.ModelForm, "fields": shown})
        form = super().get_form(request, obj, change, **kwargs)
        form.actor = actor_name(request)
        return form

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if self.has_change_permission(request):
            return self.fields
        return ("name", "kind", "base_url", "model", "position", "timeout_seconds", "is_active")

    def save_model(self, request: HttpRequest, obj: ReplyBackend, form: forms.ModelForm, change: bool) -> None:
        """The form has called the service."""

    def delete_model(self, request: HttpRequest, obj: ReplyBackend) -> None:
        remove_backend(name=obj.name, actor=actor_name(request))

    @display(description="Key", boolean=True)
    def has_key(self, backend: ReplyBackend) -> bool:
        return backend.sealed_key is not None


def _link(page: str, key: UUID, text: str) -> SafeString:
    return format_html('<a class="console-link" href="{}">{}</a>', reverse(f"admin:{page}_change", args=[key]), text)


def _lines(texts: list[Any]) -> SafeString:
    return format_html_join("", "<div>{}</div>", ((text,) for text in texts))
