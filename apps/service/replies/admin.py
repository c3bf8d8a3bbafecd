"""Replies and the backends that write them, to look at. Agents answer in the inbox; backends are set by the API."""

from typing import Any

from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from apps.service.replies.models import Reply, ReplyAction, ReplyBackend, ReplyStatus
from console.base import LogAdmin, TenantModelAdmin
from console.search import choice_field
from console.site import register
from console.theme import display

ACTION_COLOURS = {"Send": "success", "Draft for an agent": "info", "Hand off": "warning"}
SHOWN_CHARACTERS = 100


@register(Reply)
class ReplyAdmin(LogAdmin):
    list_display = ("created_at", "beginning", "decided", "status", "intent", "sureness", "backend")
    list_filter = (
        choice_field(title="Decided", parameter="action", column="action", options=tuple(ReplyAction.choices)),
        choice_field(title="Status", parameter="status", column="status", options=tuple(ReplyStatus.choices)),
    )
    ordering = ("-created_at",)
    fields = readonly_fields = (
        *("created_at", "decided", "status", "intent", "sureness", "backend", "degraded", "decision_id"),
        *("text", "final_text", "why", "cited", "judged_by", "edit_distance", "note", "settled_at"),
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

    @display(description="Confidence")
    def sureness(self, reply: Reply) -> str:
        return f"{reply.confidence:.2f}"

    @display(description="Why")
    def why(self, reply: Reply) -> SafeString:
        return _lines([reason["text"] for reason in reply.reasons])

    @display(description="Cited")
    def cited(self, reply: Reply) -> SafeString:
        return _lines([f"{citation['title']}: {citation['quote']}" for citation in reply.citations])


@register(ReplyBackend)
class ReplyBackendAdmin(TenantModelAdmin):
    list_display = ("position", "name", "kind", "model", "base_url", "timeout_seconds", "is_active", "changed_by")
    fields = readonly_fields = (
        *("position", "name", "kind", "model", "base_url", "timeout_seconds", "is_active", "changed_by", "changed_at"),
    )
    ordering = ("position",)
    actions = None
    empty_title = "Sentences of the articles alone"
    empty_text = "PUT /api/v1/service/backends names language models, in the order in which they are asked."


def _lines(texts: list[Any]) -> SafeString:
    return format_html_join("", "<div>{}</div>", ((text,) for text in texts))
