"""Reads of conversations."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from apps.service.conversations.inbound import DESKS
from apps.service.conversations.models import (
    CONSOLE_ID,
    REPLY_ID,
    Conversation,
    ConversationEvent,
    ConversationStatus,
    Message,
    Role,
)
from apps.service.replies.models import Reply

# What came in from a help desk is answered within this time, or by agents.
ANSWERED_WITHIN = timedelta(hours=1)
LOST_AFTER = timedelta(minutes=1)
MOST_LEFT = 200
# A desk gives back what was written here within seconds; after the customer's next message the same may be meant anew.
ECHOES_WITHIN = timedelta(minutes=5)
ECHOES_READ = 10


def conversations(
    *,
    status: str | None = None,
    channel: str | None = None,
    assignee: str | None = None,
    waiting: bool | None = None,
    subject_key: bytes | None = None,
    source: str | None = None,
) -> QuerySet[Conversation]:
    """Those that meet everything given, newest first. `waiting`: whether a message of the customer waits."""
    given: dict[str, Any] = {"status": status, "channel": channel, "assignee": assignee, "source": source}
    found = Conversation.objects.filter(**{name: value for name, value in given.items() if value is not None})
    if waiting is not None:
        found = found.filter(waiting_since__isnull=not waiting)
    if subject_key is not None:
        found = found.filter(Q(subject_key=subject_key) | Q(anonymous_key=subject_key))
    return found.order_by("-id")


def get_conversation(conversation_id: UUID) -> Conversation:
    """Raises Conversation.DoesNotExist."""
    return Conversation.objects.get(id=conversation_id)


def messages_of(conversation_id: UUID) -> QuerySet[Message]:
    """What was said, oldest first."""
    return Message.objects.filter(conversation_id=conversation_id).order_by("number")


def last_messages(conversation_id: UUID, count: int) -> list[Message]:
    """The last `count` messages, oldest first; one query."""
    return list(Message.objects.filter(conversation_id=conversation_id).order_by("-number")[:count])[::-1]


def unanswered_since(conversation_id: UUID) -> datetime | None:
    """When the oldest message of the customer came after which nobody else has written; None where none waits."""
    said = Message.objects.filter(conversation_id=conversation_id)
    answers = said.exclude(role=Role.CUSTOMER).order_by("-number").values("number")[:1]
    waiting = said.filter(number__gt=Coalesce(Subquery(answers), 0)).order_by("number")
    return waiting.values_list("created_at", flat=True).first()


def written_since(conversation: Conversation, seen: int) -> str:
    """Who wrote last, where there is more than the `seen` messages that somebody knows; empty where there is not."""
    if conversation.message_count == seen:
        return ""
    newest = Message.objects.filter(conversation=conversation).order_by("-number").first()
    return (newest.author or newest.get_role_display()) if newest else "Somebody"


def has_gone_on(conversation_id: UUID, message_id: UUID) -> bool:
    """Whether the customer has written more since this message."""
    said = Message.objects.filter(conversation_id=conversation_id, role=Role.CUSTOMER).order_by("-number")
    return said.values_list("id", flat=True).first() != message_id


def has_changed_hands(conversation: Conversation, written_at: datetime | None) -> bool:
    """Whether the help desk's ticket has gone on with another customer since this was written; of a conversation as it
    was before."""
    if written_at is None:
        return False
    same = Conversation.objects.filter(source=conversation.source, external_id=conversation.external_id)
    later = same.exclude(id=conversation.id).filter(last_message_at__gt=written_at)
    if conversation.message_count and conversation.status != ConversationStatus.CLOSED:
        # Where the ticket goes on in this one, it has closed the others.
        later = later.exclude(status=ConversationStatus.CLOSED)
    return later.exists()


def has_reply(message_id: UUID) -> bool:
    return Reply.objects.filter(message_id=message_id).exists()


def left_unanswered() -> list[tuple[UUID, UUID]]:
    """(conversation, its customer's newest message) of help desks, where nothing was made of the message within
    LOST_AFTER; not of those that are older than ANSWERED_WITHIN. At most MOST_LEFT; one query."""
    now = timezone.now()
    replied = Reply.objects.filter(conversation=OuterRef("pk"), created_at__gte=OuterRef("last_message_at"))
    of_customer = Message.objects.filter(conversation=OuterRef("pk"), role=Role.CUSTOMER).order_by("-number")
    left = (
        Conversation.objects.filter(
            source__in=DESKS,
            waiting_since__isnull=False,
            last_message_at__range=(now - ANSWERED_WITHIN, now - LOST_AFTER),
        )
        .exclude(status=ConversationStatus.CLOSED)
        .exclude(Exists(replied))
    )
    newest = Subquery(of_customer.values("id")[:1])
    return list(left.order_by("last_message_at").values_list("id", newest)[:MOST_LEFT])


def was_said_here(conversation_id: UUID, text: str) -> bool:
    """Whether one of the last ECHOES_READ messages of bot and agents that were written here, and not in a help desk,
    says this, white space aside. Of what was said before the customer's last message only what is younger than
    ECHOES_WITHIN counts."""
    words = text.split()
    here = Q(client_id__startswith=REPLY_ID) | Q(client_id__startswith=CONSOLE_ID)
    of_customer = Message.objects.filter(conversation_id=conversation_id, role=Role.CUSTOMER).order_by("-number")
    lately = Q(number__gt=Coalesce(Subquery(of_customer.values("number")[:1]), 0))
    lately |= Q(created_at__gt=timezone.now() - ECHOES_WITHIN)
    said = Message.objects.filter(here, lately, conversation_id=conversation_id).order_by("-number")
    return any(each.split() == words for each in said.values_list("text", flat=True)[:ECHOES_READ])


def events_of(conversation_id: UUID) -> QuerySet[ConversationEvent]:
    """What was done with a conversation, newest first."""
    return ConversationEvent.objects.filter(conversation_id=conversation_id).order_by("-created_at", "-id")
