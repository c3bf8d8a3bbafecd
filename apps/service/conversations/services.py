"""Writes of conversations: opening, messages, and what agents do with them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from apps.service.conversations.cleaning import clean_text
from apps.service.conversations.events import message_event_type, store_event
from apps.service.conversations.models import Conversation, ConversationEvent, ConversationStatus, Message, Role
from apps.service.conversations.outbox import tell_hand_off, tell_message
from apps.service.conversations.selectors import unanswered_since, written_since
from apps.service.replies.models import Reply, ReplyStatus
from apps.service.replies.summaries import summary_of
from behavior.judging import SUBJECT_IDS
from behavior.parsing import Invalid
from decisions.selectors import find_decisions
from tenancy.secrets import subject_key

SERVICE = "service"
MOST_MESSAGES = 2_000
# Where an agent may bring a conversation from where it is.
MOVES: dict[str, tuple[str, ...]] = {
    ConversationStatus.OPEN: (ConversationStatus.WAITING, ConversationStatus.HANDED_OFF, ConversationStatus.CLOSED),
    ConversationStatus.WAITING: (ConversationStatus.OPEN, ConversationStatus.HANDED_OFF, ConversationStatus.CLOSED),
    ConversationStatus.HANDED_OFF: (ConversationStatus.OPEN, ConversationStatus.WAITING, ConversationStatus.CLOSED),
    ConversationStatus.CLOSED: (ConversationStatus.OPEN,),
}


class ConversationChanged(Exception):
    """Somebody else was faster: the conversation is no longer as it was seen."""


class TooManyMessages(Exception):
    """The customer has written too much within a minute; more is taken after `wait` seconds."""

    def __init__(self, wait: float) -> None:
        super().__init__(
            f"a customer may send {settings.CUSTOMER_MESSAGES_PER_MINUTE} messages a minute, in all conversations "
            "together; nothing was stored, so send it again later"
        )
        self.wait = wait


class MessageConflict(Exception):
    """Another message is stored under this id."""


@dataclass(frozen=True)
class Added:
    """A message, and whether it is a new one."""

    message: Message
    is_new: bool


def open_conversation(
    *,
    subject: Mapping[str, str],
    channel: str,
    language: str = "",
    title: str = "",
    segments: Sequence[str] = (),
    source: str = "api",
    external_id: str | None = None,
) -> Conversation:
    """Open a conversation of a customer: `subject` holds user_id, anonymous_id or both, and perhaps session_id.

    The one that a help desk has already opened for this customer under `external_id` is given back. Safe to race.
    """
    kind = next(kind for kind in SUBJECT_IDS if kind in subject)
    both = all(kind in subject for kind in SUBJECT_IDS)
    now = timezone.now()
    conversation = Conversation(
        subject_key=subject_key(kind, subject[kind]),
        anonymous_key=subject_key("anonymous_id", subject["anonymous_id"]) if both else None,
        channel=channel,
        language=language,
        title=title[:200],
        segments=list(segments),
        source=source,
        external_id=external_id,
        opened_at=now,
    )
    with transaction.atomic():
        if external_id is not None:
            Conversation.objects.bulk_create([conversation], ignore_conflicts=True)
            found = Conversation.objects.get(
                source=source, external_id=external_id, subject_key=conversation.subject_key
            )
            if found.id != conversation.id:
                return found
        else:
            conversation.save(force_insert=True)
        store_event(conversation, "conversation_opened", of=conversation.id, at=now, subject=subject)
    return conversation


def add_message(
    *, conversation_id: UUID, role: str, text: str, client_id: str, author: str = "", reply: Reply | None = None
) -> Added:
    """Store a message, once for each `client_id` of the conversation.

    Replies that nobody has sent yet are superseded, whoever writes. A customer's message opens a closed conversation;
    what agent or bot says answers what waits. `reply` is the reply that it carries. Messages of one conversation follow
    each other, so two calls at once are stored one after the other.

    Raises Conversation.DoesNotExist, ValidationError, MessageConflict, TooManyMessages and CustomerUnknown.
    """
    try:
        cleaned = clean_text(text)
    except Invalid as problem:
        raise ValidationError({"text": ValidationError(problem.message, code=problem.code)}) from None
    with transaction.atomic():
        conversation = Conversation.objects.select_for_update().get(id=conversation_id)
        if stored := Message.objects.filter(conversation=conversation, client_id=client_id).first():
            return Added(_same(stored, role=role, text=cleaned), is_new=False)
        if conversation.message_count >= MOST_MESSAGES:
            raise ValidationError({"conversation": f"has {MOST_MESSAGES:,} messages, the most; open a new one"})
        if role == Role.CUSTOMER:
            _check_rate(conversation)
        message = _store(conversation, role=role, text=cleaned, client_id=client_id, author=author, reply=reply)
        if reply is None:
            supersede_replies(conversation)
    return Added(message, is_new=True)


def close_former(conversation: Conversation) -> None:
    """Close what other customers have under the same id of the help desk: what was drafted for them must not be sent
    into a ticket that is no longer theirs."""
    same = Conversation.objects.filter(source=conversation.source, external_id=conversation.external_id)
    others = same.exclude(id=conversation.id).exclude(status=ConversationStatus.CLOSED)
    for other in others.values_list("id", flat=True):
        note = "the help desk has given the ticket to another customer"
        move(conversation_id=other, to=ConversationStatus.CLOSED, actor=conversation.source, note=note)


def _check_rate(conversation: Conversation) -> None:
    """Raises TooManyMessages where the customer has sent the most of a minute already."""
    now = timezone.now()
    since = now - timedelta(minutes=1)
    sent = Message.objects.filter(
        conversation__subject_key=conversation.subject_key,
        conversation__last_message_at__gt=since,
        role=Role.CUSTOMER,
        created_at__gt=since,
    ).order_by("-created_at")
    times = list(sent.values_list("created_at", flat=True)[: settings.CUSTOMER_MESSAGES_PER_MINUTE])
    if len(times) >= settings.CUSTOMER_MESSAGES_PER_MINUTE:
        raise TooManyMessages((times[-1] - since).total_seconds())


def _same(stored: Message, *, role: str, text: str) -> Message:
    for name, value in (("role", role), ("text", text)):
        if getattr(stored, name) != value:
            raise MessageConflict(f"{name} differs from the message that is stored under this id; give it its own")
    return stored


def _store(
    conversation: Conversation, *, role: str, text: str, client_id: str, author: str, reply: Reply | None
) -> Message:
    now = timezone.now()
    message = Message(
        id=uuid7(),
        conversation=conversation,
        number=conversation.message_count + 1,
        role=role,
        author=author,
        text=text,
        client_id=client_id,
        created_at=now,
    )
    message.event_id = store_event(
        conversation,
        message_event_type(message),
        of=message.id,
        at=now,
        decision_id=reply.decision_id if reply else None,
        properties={"message_id": str(message.id), "characters": len(text)},
    )
    message.save(force_insert=True)
    _follow(conversation, message)
    tell_message(conversation, message)
    return message


def _follow(conversation: Conversation, message: Message) -> None:
    """What a message changes of its conversation."""
    now = message.created_at
    conversation.message_count = message.number
    conversation.last_message_at = now
    if message.role == Role.CUSTOMER:
        conversation.waiting_since = conversation.waiting_since or now
        if conversation.status == ConversationStatus.CLOSED and conversation.assignee:
            # Who was done with it does not keep the bot from answering what comes weeks later.
            note = "the customer has written in what was closed"
            _tell(conversation, ConversationEvent.Kind.ASSIGNED, SERVICE, before=conversation.assignee, note=note)
            conversation.assignee = ""
        if conversation.status in (ConversationStatus.WAITING, ConversationStatus.CLOSED):
            conversation.status, conversation.closed_at = ConversationStatus.OPEN, None
    else:
        if conversation.first_response_at is None and _answers(conversation, message):
            conversation.first_response_at = now
        conversation.waiting_since = None
        # What was handed off stays an agent's until the agent moves it.
        if conversation.status == ConversationStatus.OPEN:
            conversation.status = ConversationStatus.WAITING
    conversation.save(
        update_fields=[
            *("message_count", "last_message_at", "waiting_since", "first_response_at"),
            *("status", "assignee", "closed_at"),
        ]
    )


def _answers(conversation: Conversation, message: Message) -> bool:
    """Whether somebody waits for this message; the status `waiting` or closing stops the clock of one who does."""
    before = Message.objects.filter(conversation=conversation, number=message.number - 1, role=Role.CUSTOMER)
    return conversation.waiting_since is not None or before.exists()


def supersede_replies(conversation: Conversation, *, but: UUID | None = None, at: datetime | None = None) -> None:
    """Replies that are under way, and drafts that nobody has judged, answer nothing that waits any more; one
    statement. The conversation's row must be locked."""
    waiting = Reply.objects.filter(conversation=conversation, status__in=(ReplyStatus.UNDER_WAY, ReplyStatus.WAITING))
    others = waiting.exclude(id=but) if but else waiting
    others.update(status=ReplyStatus.SUPERSEDED, settled_at=at or timezone.now())


def assign(
    *, conversation_id: UUID, assignee: str, actor: str, version: int | None = None, note: str = ""
) -> Conversation:
    """Give the conversation to somebody, or to nobody. A note is kept though nothing else changes.

    Raises Conversation.DoesNotExist and ConversationChanged, as all of these do.
    """

    def change(conversation: Conversation) -> None:
        before, conversation.assignee = conversation.assignee, assignee
        if before != assignee or note:
            _tell(conversation, ConversationEvent.Kind.ASSIGNED, actor, before=before, after=assignee, note=note)

    return _change(conversation_id, version, change)


def move(
    *,
    conversation_id: UUID,
    to: str,
    actor: str,
    version: int | None = None,
    seen: int | None = None,
    note: str = "",
) -> Conversation:
    """Bring the conversation to another status; replies in one that is closed are superseded, until it is opened again.
    Its clock runs while it is open and a message of the customer has no answer, and while it is handed off.

    `seen` is how many messages the agent has seen: where there are more it stays as it is. Raises ValidationError for a
    move that there is not, CustomerUnknown for a hand-off, and ConversationChanged.
    """

    def change(conversation: Conversation) -> None:
        if seen is not None and (who := written_since(conversation, seen)):
            raise ConversationChanged(f"{who} has written meanwhile. Nothing was changed; look at it again.")
        if to == conversation.status:
            return
        if to not in MOVES[conversation.status]:
            allowed = ", ".join(MOVES[conversation.status])
            raise ValidationError({"status": f"from {conversation.status} it can become {allowed}; not {to}"})
        now, unanswered = timezone.now(), unanswered_since(conversation.id)
        if to == ConversationStatus.HANDED_OFF:
            reasons = [{"code": "asked", "text": note or "an agent was asked for"}]
            event = hand_over(conversation, {"reasons": reasons, "summary": summary_of(conversation)}, actor)
            conversation.waiting_since = unanswered or now
            store_event(conversation, "hand_off", of=event.id, at=now)
            return
        _tell(conversation, ConversationEvent.Kind.MOVED, actor, before=conversation.status, after=to, note=note)
        if conversation.closed_at and unanswered:
            _bring_back_reply(conversation)
        conversation.status = to
        conversation.waiting_since = unanswered if to == ConversationStatus.OPEN else None
        conversation.closed_at = now if to == ConversationStatus.CLOSED else None
        if to == ConversationStatus.CLOSED:
            supersede_replies(conversation, at=now)

    return _change(conversation_id, version, change)


def _bring_back_reply(conversation: Conversation) -> None:
    """A message has one reply: what closing has superseded waits again, as a draft, or for whoever writes it."""
    superseded = Reply.objects.filter(
        conversation=conversation, status=ReplyStatus.SUPERSEDED, settled_at=conversation.closed_at
    )
    for reply in superseded:
        is_made = reply.decision_id in find_decisions([reply.decision_id])
        reply.status = ReplyStatus.WAITING if is_made else ReplyStatus.UNDER_WAY
        reply.settled_at = None
        reply.save(update_fields=["status", "settled_at"])


def rate(*, conversation_id: UUID, satisfaction: int, actor: str, version: int | None = None) -> Conversation:
    """Keep what the customer gave, 1 to 5; the last one counts. Raises ValidationError."""
    if not 1 <= satisfaction <= 5:
        raise ValidationError({"satisfaction": "must be a whole number from 1 to 5"})

    def change(conversation: Conversation) -> None:
        before, conversation.satisfaction = conversation.satisfaction, satisfaction
        event = _tell(
            conversation, ConversationEvent.Kind.RATED, actor, before=str(before or ""), after=str(satisfaction)
        )
        last = Reply.objects.filter(conversation=conversation, status=ReplyStatus.SENT).order_by("-created_at").first()
        store_event(
            conversation,
            "satisfaction",
            of=event.id,
            at=timezone.now(),
            value=float(satisfaction),
            decision_id=last.decision_id if last else None,
        )

    return _change(conversation_id, version, change)


def hand_over(conversation: Conversation, hand_off: Mapping[str, object], actor: str) -> ConversationEvent:
    """Leave the conversation to the agents with what they need to know; its row must be locked, and is saved by the
    caller with `status`, `hand_off` and `handed_off_at`."""
    reasons = hand_off["reasons"]
    assert isinstance(reasons, list)
    note = "; ".join(str(reason["text"]) for reason in reasons)
    event = _tell(conversation, ConversationEvent.Kind.HANDED_OFF, actor, before=conversation.status, note=note)
    conversation.status = ConversationStatus.HANDED_OFF
    conversation.hand_off = dict(hand_off)
    conversation.handed_off_at = timezone.now()
    conversation.closed_at = None
    tell_hand_off(conversation)
    return event


def _change(conversation_id: UUID, version: int | None, change: Callable[[Conversation], None]) -> Conversation:
    with transaction.atomic():
        conversation = Conversation.objects.select_for_update().get(id=conversation_id)
        if version is not None and conversation.version != version:
            who = f" with {conversation.assignee}" if conversation.assignee else ""
            raise ConversationChanged(
                f"the conversation was changed meanwhile: it is {conversation.status}{who}; look at it again"
            )
        change(conversation)
        conversation.version += 1
        conversation.save()
    return conversation


def _tell(
    conversation: Conversation, kind: str, actor: str, *, before: str = "", after: str = "", note: str = ""
) -> ConversationEvent:
    return ConversationEvent.objects.create(
        conversation=conversation, kind=kind, actor=actor, before=before[:200], after=after[:200], note=note
    )
