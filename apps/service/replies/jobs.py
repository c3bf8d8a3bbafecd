"""Replies that are under way: written by a worker, and settled without one when it does not come in time."""

import time
from dataclasses import dataclass, replace
from datetime import timedelta
from threading import Event
from typing import Any
from uuid import UUID

from django.conf import settings as process_settings
from django.db import transaction
from django.utils import timezone

from apps.service.conversations.models import Conversation, Message, Role
from apps.service.conversations.services import supersede_replies
from apps.service.replies.asking import asked_of, heard_in
from apps.service.replies.backends.base import Backend
from apps.service.replies.backends.choosing import generative_backends, ready
from apps.service.replies.composing import extract
from apps.service.replies.deciding import WITH_AGENT, WITHDRAWN, not_sent
from apps.service.replies.evidence import withdrawn
from apps.service.replies.generating import Generation, generate
from apps.service.replies.making import Gathered, Made, gather, judge, make_reply
from apps.service.replies.models import Reply, ReplyStatus
from apps.service.replies.services import decision_of, settle, take
from apps.service.replies.settings import ServiceSettings, current_settings
from apps.service.replies.statements import MESSAGES_READ
from apps.service.replies.streaming import ENDED, ReplyStream
from decisions.services import store_decisions
from tenancy.tasks import task_scope

LATE = "generation_late"


@dataclass(frozen=True)
class Job:
    """All that a worker needs to write a reply, read in one scope."""

    gathered: Gathered
    settings: ServiceSettings
    turns: list[tuple[str, str]]
    backends: list[Backend]
    stream: ReplyStream


def run_job(reply_id: UUID) -> None:
    """Write a reply that is under way; for a worker. The database is held only before and after the writing.

    Looks again whether the reply is still wanted before each backend, and, under the conversation's lock, before it is
    settled: a newer message or the deadline may have been faster.
    """
    started = time.perf_counter()
    with task_scope():
        job = _read_job(reply_id)
    if job is None:
        return
    failures: list[str] = []
    tokens = 0
    for backend in job.backends:
        with task_scope():
            if not _is_wanted(reply_id):
                _keep_tokens(reply_id, tokens)
                job.stream.tell(ENDED, {})
                return
        written = generate(job.gathered, job.turns, backend, job.stream, Event())
        tokens += written.tokens
        if written.kept:
            break
        failures.append(f"{written.backend}: {written.failure or written.cut_off or 'nothing that is backed'}")
        job.stream.tell("reset", {"backend": written.backend})
    else:
        written = None
    with task_scope():
        made = _made(job, written, failures)
        if not _finish(reply_id, replace(made, notes={**made.notes, "tokens": tokens}), started):
            _keep_tokens(reply_id, tokens)
    job.stream.tell(ENDED, {})


def settle_late(*, older_than: float | None = None) -> int:
    """Settle replies of the tenant in scope that no worker has finished within `older_than` seconds (by default
    GENERATION_DEADLINE), from what needs no model; returns how many."""
    seconds = process_settings.GENERATION_DEADLINE if older_than is None else older_than
    before = timezone.now() - timedelta(seconds=seconds)
    late = Reply.objects.filter(status=ReplyStatus.UNDER_WAY, created_at__lte=before)
    settled = 0
    for reply in late.order_by("created_at")[:100]:
        settled += settle_without_generation(reply.id)
    return settled


def settled_in_time(reply_id: UUID) -> Reply:
    """The reply; one that no worker has finished in time is settled first. Raises Reply.DoesNotExist."""
    reply = Reply.objects.get(id=reply_id)
    if not is_late(reply):
        return reply
    settle_without_generation(reply_id)
    return Reply.objects.get(id=reply_id)


def is_late(reply: Reply) -> bool:
    age = timezone.now() - reply.created_at
    return reply.status == ReplyStatus.UNDER_WAY and age.total_seconds() >= process_settings.GENERATION_DEADLINE


def settle_without_generation(reply_id: UUID) -> bool:
    """Answer from what needs no model; whether the reply was still under way."""
    started = time.perf_counter()
    job = _read_job(reply_id, with_backends=False)
    if job is None:
        return False
    made = make_reply(job.gathered, job.settings, degraded=LATE)
    return _finish(reply_id, made, started)


def _read_job(reply_id: UUID, *, with_backends: bool = True) -> Job | None:
    reply = Reply.objects.select_related("conversation").filter(id=reply_id, status=ReplyStatus.UNDER_WAY).first()
    if reply is None:
        return None
    # What came later is answered by a reply of its own.
    known = Message.objects.filter(conversation_id=reply.conversation_id, number__lte=_number(reply))
    messages = list(known.order_by("-number")[:MESSAGES_READ])
    settings = current_settings()
    return Job(
        gathered=gather(asked_of(reply.conversation, messages, heard_in([reply.conversation_id])), settings),
        settings=settings,
        turns=[(str(message.role), message.text) for message in reversed(messages)],
        backends=[ready(row) for row in generative_backends()] if with_backends else [],
        stream=ReplyStream(reply_id),
    )


def _number(reply: Reply) -> int:
    return Message.objects.values_list("number", flat=True).get(id=reply.message_id)


def _keep_tokens(reply_id: UUID, tokens: int) -> None:
    """Those of a reply that came too late cost as much."""
    Reply.objects.filter(id=reply_id).update(tokens=tokens)


def _is_wanted(reply_id: UUID) -> bool:
    return Reply.objects.filter(id=reply_id, status=ReplyStatus.UNDER_WAY).exists()


def _made(job: Job, written: Generation | None, failures: list[str]) -> Made:
    """The verdict on what was written; where nothing was, on the sentences of the articles."""
    notes: dict[str, Any] = {"failures": failures}
    extracted = extract(job.gathered.asked.question, job.gathered.articles)
    candidate = written.candidate(job.gathered.asked.question) if written else None
    if written is None or candidate is None:
        return make_reply(job.gathered, job.settings, degraded="generation_failed", notes=notes)
    others = [candidate, *([extracted] if extracted else [])]
    notes |= written.notes()
    return judge(job.gathered, job.settings, candidate, others, doubts=written.doubts(), notes=notes)


def _finish(reply_id: UUID, made: Made, started: float) -> bool:
    """Settle the reply if it is still wanted: under way, and no newer message of the customer is there. Where an agent
    has taken the conversation meanwhile, or a cited source is no longer said, nothing is sent."""
    with transaction.atomic():
        conversation_id = Reply.objects.values_list("conversation_id", flat=True).get(id=reply_id)
        conversation = Conversation.objects.select_for_update().get(id=conversation_id)
        reply = Reply.objects.select_for_update().get(id=reply_id)
        if reply.status != ReplyStatus.UNDER_WAY:
            return False
        newest = Message.objects.filter(conversation=conversation).order_by("-number").first()
        if newest is None or newest.id != reply.message_id:
            # Somebody else has answered, or the customer has gone on.
            status = ReplyStatus.SUPERSEDED
            Reply.objects.filter(id=reply_id).update(status=status, settled_at=timezone.now())
            return False
        assert newest.role == Role.CUSTOMER
        if conversation.is_with_agent:
            made = replace(made, verdict=not_sent(made.verdict, WITH_AGENT))
        elif withdrawn(made.citations):
            made = replace(made, verdict=not_sent(made.verdict, WITHDRAWN))
        take(reply, made)
        reply.save()
        supersede_replies(conversation, but=reply.id)
        store_decisions([decision_of(conversation, reply, made, started)])
        settle(conversation, reply)
    return True
