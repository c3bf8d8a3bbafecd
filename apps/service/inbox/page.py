"""What the page of a conversation shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from django.utils import timezone
from django.utils.timesince import timesince, timeuntil

from apps.service.conversations.models import Conversation
from apps.service.conversations.selectors import events_of, last_messages
from apps.service.inbox.selectors import due_at, is_draft, newest_reply, timeline_of
from apps.service.knowledge.selectors import Passage
from apps.service.replies.asking import read_asked
from apps.service.replies.grounding.wording import sentences_of
from apps.service.replies.making import slots_of
from apps.service.replies.models import Reply
from apps.service.replies.settings import current_settings
from apps.service.replies.slots import AGENT_NAME, fill_slots
from tenancy.secrets import public_subject_id

MESSAGES_SHOWN = 200
EVENTS_SHOWN = 50


@dataclass(frozen=True)
class Sentence:
    """A sentence of a draft, by its number from 1, with what it rests on."""

    number: int
    text: str
    citations: Sequence[dict[str, Any]]


def clock_of(due: datetime | None) -> str:
    """How long there still is to answer, or by how much it is late."""
    if due is None:
        return "—"
    now = timezone.now()
    return f"overdue by {timesince(due, now)}" if due < now else f"in {timeuntil(due, now)}"


def tone_of(understood: Any) -> str:
    """How the customer sounded in what was understood last; `understood` has sentiment and urgency."""
    signs = {"Upset": understood.sentiment == "negative", "Urgent": understood.urgency == "high"}
    return ", ".join(name for name, is_so in signs.items() if is_so).capitalize() or "—"


def sentences_with_sources(reply: Reply) -> list[Sentence]:
    return [
        Sentence(number, text, [each for each in reply.citations if number in each.get("sentences", ())])
        for number, text in enumerate(sentences_of(reply.text), start=1)
    ]


def thread_context(conversation: Conversation, reply: Reply | None, others: Sequence[str]) -> dict[str, Any]:
    """The part of the page that loads itself anew."""
    return {
        "conversation": conversation,
        "said": last_messages(conversation.id, MESSAGES_SHOWN),
        "others": others,
        "reply_seen": f"{reply.id}:{reply.status}" if reply else "",
    }


def filled_macros(conversation: Conversation, found: Sequence[Passage], agent_name: str) -> list[dict[str, str]]:
    """Macros and past replies whole, each once, with this customer's data in their slots."""
    if not found:
        return []
    values = slots_of(read_asked(conversation), current_settings()) | {AGENT_NAME: agent_name}
    whole = {each.source_id: each for each in reversed(found)}
    return [{"title": each.title, "text": fill_slots(each.whole, values).text} for each in reversed(whole.values())]


def conversation_context(conversation: Conversation, others: Sequence[str]) -> dict[str, Any]:
    settings, reply = current_settings(), newest_reply(conversation.id)
    return thread_context(conversation, reply, others) | {
        "subject": public_subject_id(bytes(conversation.subject_key)),
        "clock": clock_of(due_at(conversation, settings)),
        "reply": reply,
        "tone": tone_of(reply) if reply else "—",
        "draft": reply if is_draft(reply) else None,
        "sentences": sentences_with_sources(reply) if reply is not None and is_draft(reply) else [],
        "timeline": timeline_of(conversation, settings),
        "done": events_of(conversation.id)[:EVENTS_SHOWN],
        "answer_id": str(uuid4()),
    }
