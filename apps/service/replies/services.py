"""Writes of replies: one for each inbound message, stored with its decision; and what agents make of drafts."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from celery import signature
from django.db import transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from apps.service.conversations import services as conversations
from apps.service.conversations.events import store_event
from apps.service.conversations.models import REPLY_ID, Conversation, ConversationStatus, Message, Role
from apps.service.conversations.selectors import unanswered_since
from apps.service.replies.alarms import ALARM_CODES
from apps.service.replies.asking import Asked, asked_of
from apps.service.replies.backends.choosing import generative_backends
from apps.service.replies.composing import SELECTION
from apps.service.replies.evidence import alternatives_as_json
from apps.service.replies.making import Made, gather, make_reply
from apps.service.replies.models import Reply, ReplyAction, ReplyStatus
from apps.service.replies.settings import APPLICATION, SCENARIO, ServiceSettings, current_settings
from apps.service.replies.statements import lock_waiting, store_reply
from decisions.models import Decision
from decisions.services import store_decisions
from tenancy.tasks import enqueue

POLICY = "selection, grounding and thresholds"
ACTOR = "service"
STATUS_OF = {
    ReplyAction.SEND: ReplyStatus.SENT,
    ReplyAction.DRAFT: ReplyStatus.WAITING,
    ReplyAction.HAND_OFF: ReplyStatus.HANDED_OFF,
}


# Reasons to hand off that hold whatever a reply would say.
WITHOUT_REPLY = {"asked_for_human", "blocked_topic", "out_of_scope", *ALARM_CODES}


class NothingToAnswer(Exception):
    """No message of the customer waits for an answer."""


@dataclass(frozen=True)
class Outcome:
    reply: Reply
    is_new: bool


def reply_to(*, conversation_id: UUID) -> Outcome:
    """The reply to the newest message of the customer; the one that it has already, if it has one.

    Whoever asks first makes it, and all others get the same: the conversation's row is locked until the transaction of
    the tenant's scope ends. Replies to earlier messages that nobody has sent are superseded. Raises
    Conversation.DoesNotExist and NothingToAnswer.
    """
    started = time.perf_counter()
    waiting = lock_waiting(conversation_id)
    conversation, messages, newest = waiting.conversation, waiting.messages, waiting.newest
    if newest is None:
        raise NothingToAnswer("the customer has not written anything yet; add a message first")
    if waiting.is_answered:
        return Outcome(Reply.objects.get(message=newest), is_new=False)
    if conversation.status == ConversationStatus.CLOSED:
        raise NothingToAnswer("the conversation is closed; open it again first")
    if messages[0].role != Role.CUSTOMER:
        raise NothingToAnswer(f"the newest message is the {messages[0].role}'s; nothing of the customer waits")
    settings = current_settings()
    made = make_reply(gather(asked_of(conversation, messages, waiting.heard), settings), settings)
    reply = _new_reply(conversation, newest, made)
    # Half of it must never stay, and no caller goes on after an error in it: a savepoint would cost two statements.
    with transaction.atomic(savepoint=False):
        if may_be_generated(made):
            reply.status = ReplyStatus.UNDER_WAY
            store_reply(reply, None)
            enqueue(signature("service.generate_reply", queue="generate"), reply_id=str(reply.id))
        else:
            store_reply(reply, decision_of(conversation, reply, made, started))
            settle(conversation, reply)
    return Outcome(reply, is_new=True)


def may_be_generated(made: Made) -> bool:
    """Whether a language model is to be asked: no macro or past reply fits, a backend is there, and nothing sends the
    customer to an agent whatever the reply says."""
    if made.candidate is not None and made.candidate.backend == SELECTION:
        return False
    codes = {reason["code"] for reason in made.verdict.reasons}
    return not codes & WITHOUT_REPLY and bool(generative_backends())


def answer_once(*, asked: Asked, settings: ServiceSettings | None = None) -> tuple[UUID, Made]:
    """A reply to messages that belong to no conversation here: its decision is stored, nothing is sent to anybody."""
    started = time.perf_counter()
    settings = settings or current_settings()
    made = make_reply(gather(asked, settings), settings)
    decision_id = uuid7()
    store_decisions([_decision(decision_id, made, asked.keys[0] if asked.keys else None, started, {"inline": True})])
    return decision_id, made


def _new_reply(conversation: Conversation, message: Message, made: Made) -> Reply:
    reply = Reply(
        conversation=conversation,
        message=message,
        decision_id=uuid7(),
        created_at=timezone.now(),
    )
    take(reply, made)
    return reply


def take(reply: Reply, made: Made) -> None:
    """The reply as it was made."""
    understood = made.gathered.understood
    reply.status = STATUS_OF[ReplyAction(made.verdict.action)]
    reply.action = made.verdict.action
    reply.text = made.text
    reply.citations = made.citations
    reply.suggestions = made.suggestions
    reply.reasons = made.verdict.reasons
    reply.summary = made.summary
    reply.intent = understood.intent
    reply.sentiment, reply.urgency = understood.sentiment, understood.urgency
    reply.confidence = made.confidence
    reply.backend = made.candidate.backend if made.candidate else "none"
    reply.model_version = made.gathered.model_version
    reply.tokens = made.notes.get("tokens", 0)
    reply.variant = made.gathered.ranking.variant
    reply.degraded = made.degraded
    exposure = made.gathered.exposure
    reply.experiment, reply.arm = (exposure.experiment.id, exposure.arm) if exposure else (None, "")


def decision_of(conversation: Conversation, reply: Reply, made: Made, started: float) -> Decision:
    """What is to be stored of how a reply was decided."""
    return _decision(reply.decision_id, made, bytes(conversation.subject_key), started, _names(conversation, reply))


def settle(conversation: Conversation, reply: Reply) -> None:
    """Do what was decided: send, keep as a draft, or hand off, which is an event of the customer's.

    The conversation's row must be locked, earlier replies superseded, and the decision stored.
    """
    if reply.action == ReplyAction.SEND:
        give(conversation, reply, text=reply.text, role=Role.BOT)
    elif reply.action == ReplyAction.HAND_OFF:
        if conversation.status != ConversationStatus.HANDED_OFF:
            hand_off = {"reasons": reply.reasons, "summary": reply.summary, "reply_id": str(reply.id)}
            conversations.hand_over(conversation, hand_off, ACTOR)
            conversation.waiting_since = conversation.waiting_since or unanswered_since(conversation.id)
            conversation.version += 1
            conversation.save(
                update_fields=["status", "hand_off", "handed_off_at", "closed_at", "waiting_since", "version"]
            )
        store_event(
            conversation,
            "hand_off",
            of=reply.id,
            at=timezone.now(),
            decision_id=reply.decision_id,
            properties=_names(conversation, reply),
        )
    if reply.action != ReplyAction.DRAFT:
        Reply.objects.filter(id=reply.id).update(settled_at=timezone.now())


def give(conversation: Conversation, reply: Reply, *, text: str, role: str, author: str = "") -> Message:
    """Send a reply's text to the customer as a message, once."""
    return conversations.add_message(
        conversation_id=conversation.id,
        role=role,
        text=text,
        client_id=f"{REPLY_ID}{reply.id}",
        author=author,
        reply=reply,
    ).message


def _names(conversation: Conversation, reply: Reply) -> dict[str, str]:
    return {"conversation_id": str(conversation.id), "message_id": str(reply.message_id), "reply_id": str(reply.id)}


def _decision(
    decision_id: UUID, made: Made, subject_key: bytes | None, started: float, names: Mapping[str, Any]
) -> Decision:
    """What was cited, found and doubted, never what the customer wrote."""
    gathered, candidate = made.gathered, made.candidate
    found = [*gathered.templates, *gathered.articles]
    return Decision(
        decision_id=decision_id,
        application=APPLICATION,
        scenario=SCENARIO,
        policy=POLICY,
        subject_key=subject_key,
        model_version=gathered.model_version,
        variant=gathered.exposure.arm if gathered.exposure else gathered.ranking.variant or None,
        degraded=made.degraded,
        latency_ms=1000 * (time.perf_counter() - started),
        decided_at=timezone.now(),
        request={
            **names,
            "intent": gathered.understood.intent,
            "intent_model_version": str(gathered.understood.model_version or "") or None,
            "intent_confidence": gathered.understood.confidence,
            "alternatives": alternatives_as_json(gathered.understood),
            "language": gathered.understood.language,
            "backend": candidate.backend if candidate else None,
            "match": candidate.match if candidate else None,
            "found": [[passage.source, passage.version, passage.score] for passage in found],
            "citations": [[each["source"], each["version"], each["sentences"]] for each in made.citations],
            **made.notes,
        },
        items=[
            {
                "id": str(made.verdict.action),
                "rank": 1,
                "score": made.confidence,
                "propensity": 1.0,
                "reasons": made.verdict.reasons,
                "rules": [],
            }
        ],
    )
