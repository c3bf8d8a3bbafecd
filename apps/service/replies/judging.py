"""What an agent makes of a draft: accepted, edited or rejected. Each choice is a label."""

from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from apps.service.conversations.cleaning import clean_text
from apps.service.conversations.events import store_event
from apps.service.conversations.models import Conversation, Role
from apps.service.replies.editing import edit_distance
from apps.service.replies.evidence import withdrawn
from apps.service.replies.models import JUDGED, Reply, ReplyStatus
from apps.service.replies.services import give
from apps.service.replies.slots import as_given, check_filled
from behavior.parsing import Invalid

LONGEST_NOTE = 2_000


class AlreadyJudged(Exception):
    """Somebody else was faster, or the reply is no draft any more."""


class SourceWithdrawn(Exception):
    """What a draft rests on is no longer said."""


def accept_reply(*, reply_id: UUID, actor: str, agent_name: str = "") -> Reply:
    """Send a draft as it is, with the agent's name where it has a place for that.

    Raises ValidationError where another place is left open, SourceWithdrawn where a source that it cites is retired or
    changed, and Reply.DoesNotExist and AlreadyJudged, as all of these do.
    """
    return _judge(reply_id, ReplyStatus.ACCEPTED, actor, text=None, agent_name=agent_name)


def edit_reply(*, reply_id: UUID, text: str, actor: str, agent_name: str = "") -> Reply:
    """Send a draft as the agent changed it; unchanged it counts as accepted. Raises ValidationError."""
    try:
        cleaned = clean_text(text)
    except Invalid as problem:
        raise ValidationError({"text": problem.message}) from None
    return _judge(reply_id, ReplyStatus.EDITED, actor, text=as_given(cleaned, agent_name), agent_name=agent_name)


def reject_reply(*, reply_id: UUID, actor: str, note: str = "") -> Reply:
    """Send nothing. Raises ValidationError for an endless note."""
    if len(note) > LONGEST_NOTE:
        raise ValidationError({"note": f"must have at most {LONGEST_NOTE:,} characters"})
    return _judge(reply_id, ReplyStatus.REJECTED, actor, text=None, note=note)


def _judge(reply_id: UUID, status: str, actor: str, *, text: str | None, note: str = "", agent_name: str = "") -> Reply:
    with transaction.atomic():
        conversation_id = Reply.objects.values_list("conversation_id", flat=True).get(id=reply_id)
        conversation = Conversation.objects.select_for_update().get(id=conversation_id)
        reply = Reply.objects.select_for_update().get(id=reply_id)
        _check_waits(reply, status, text, actor)
        if reply.status in JUDGED:
            return reply
        now = timezone.now()
        reply.judged_by, reply.note, reply.settled_at = actor, note, now
        if status == ReplyStatus.REJECTED:
            reply.status, reply.edit_distance = ReplyStatus.REJECTED, None
        else:
            drafted = as_given(reply.text, agent_name)
            reply.final_text = drafted if text is None else text
            check_filled(reply.final_text)
            if reply.final_text == drafted:
                _check_sources(reply)
            reply.edit_distance = edit_distance(drafted, reply.final_text)
            reply.status = ReplyStatus.EDITED if reply.edit_distance > 0 else ReplyStatus.ACCEPTED
            give(conversation, reply, text=reply.final_text, role=Role.AGENT, author=actor)
        reply.save()
        store_event(
            conversation,
            f"reply_{reply.status}",
            of=reply.id,
            at=now,
            value=reply.edit_distance,
            decision_id=reply.decision_id,
            properties={"reply_id": str(reply.id), "intent": reply.intent},
        )
    return reply


def _check_sources(reply: Reply) -> None:
    if title := withdrawn(reply.citations):
        raise SourceWithdrawn(
            f"'{title}' is retired or changed since this draft was made; edit it, or reject it and answer yourself"
        )


def _check_waits(reply: Reply, status: str, text: str | None, actor: str) -> None:
    """A call that its actor repeats is no conflict; another judgement, or somebody else's, is."""
    if reply.status == ReplyStatus.WAITING:
        return
    is_same = reply.status == status if text is None else reply.final_text == text
    if reply.judged_by != actor or not is_same:
        who = f" by {reply.judged_by}" if reply.judged_by else ""
        raise AlreadyJudged(f"this reply is no draft any more: it is {reply.get_status_display().lower()}{who}")
