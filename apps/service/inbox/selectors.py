"""Reads of the inbox: the queue, and all that the page of a conversation shows."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Case, Count, DateTimeField, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.expressions import RawSQL
from django.utils import timezone

from apps.service.conversations.models import Conversation, ConversationStatus
from apps.service.replies.models import Reply, ReplyStatus
from apps.service.replies.settings import ServiceSettings
from behavior.selectors import RecentEvent, recent_events

EVENTS_SHOWN = 40


@dataclass(frozen=True)
class TimelineEvent:
    """An event of the customer; `is_order` where the tenant's settings count its type to the orders."""

    event: RecentEvent
    is_order: bool


def queue() -> QuerySet[Any]:
    """Conversations as agents take them: who has waited longest first, then those that wait for nothing, newest first.

    The target is the same for all of a tenant, so this is also the order in which they are overdue. `waits_from` is
    null where nothing waits; `intent`, `sentiment` and `urgency` are what was understood last.
    """
    newest = Reply.objects.filter(conversation=OuterRef("pk")).order_by("-created_at")
    waits_from = Case(
        When(status=ConversationStatus.CLOSED, then=Value(None)),
        default=F("waiting_since"),
        output_field=DateTimeField(),
    )
    understood = {name: Subquery(newest.values(name)[:1]) for name in ("intent", "sentiment", "urgency")}
    found: QuerySet[Any] = Conversation.objects.annotate(waits_from=waits_from, **understood)
    return found.order_by(F("waits_from").asc(nulls_last=True), F("last_message_at").desc(nulls_last=True), "id")


def conversations_saying(words: str, *, since: datetime) -> RawSQL:
    """Ids of the conversations in which one message since then has all words, as a subquery. A word stands for those
    that begin with it, whatever its case, width and accents; of Chinese each pair of neighbours is looked for."""
    return RawSQL("SELECT service_find_messages(%s, %s)", [words, since])


def due_at(conversation: Conversation, settings: ServiceSettings) -> datetime | None:
    """Until when the customer is to be answered; None where nobody waits."""
    if conversation.waiting_since is None or conversation.status == ConversationStatus.CLOSED:
        return None
    return conversation.waiting_since + timedelta(minutes=settings.first_response_minutes)


def next_in_queue(conversation: Conversation) -> UUID | None:
    """The waiting conversation that comes after this one in the queue; behind the last comes the first."""
    waiting = queue().filter(waits_from__isnull=False).exclude(id=conversation.id)
    if conversation.waiting_since is not None and conversation.status != ConversationStatus.CLOSED:
        behind = Q(waits_from__gt=conversation.waiting_since) | Q(
            waits_from=conversation.waiting_since, id__gt=conversation.id
        )
        if (found := waiting.filter(behind).values_list("id", flat=True).first()) is not None:
            return found
    return waiting.values_list("id", flat=True).first()


def workload(settings: ServiceSettings) -> dict[str, int]:
    """How many conversations are open, wait, and wait for too long; one query."""
    late = timezone.now() - timedelta(minutes=settings.first_response_minutes)
    waits = Q(waiting_since__isnull=False)
    return Conversation.objects.exclude(status=ConversationStatus.CLOSED).aggregate(
        under_way=Count("id"),
        waiting=Count("id", filter=waits),
        overdue=Count("id", filter=Q(waiting_since__lt=late)),
    )


def newest_reply(conversation_id: UUID) -> Reply | None:
    """What was made of the customer's newest message."""
    return Reply.objects.filter(conversation_id=conversation_id).order_by("-created_at").first()


def is_draft(reply: Reply | None) -> bool:
    return reply is not None and reply.status == ReplyStatus.WAITING


def timeline_of(conversation: Conversation, settings: ServiceSettings) -> list[TimelineEvent]:
    """The customer's last events, newest first; one statement."""
    found = recent_events(conversation.keys, EVENTS_SHOWN)
    return [TimelineEvent(event, event.type in settings.order_event_types) for event in reversed(found)]
