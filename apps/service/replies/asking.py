"""What a conversation asks: all that its customer wrote since the last answer."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from uuid import UUID

from django.db.models import Subquery

from apps.service.conversations.models import Conversation, Message, Role
from apps.service.replies.evidence import order_ids_in
from apps.service.replies.facts import Chosen, Facts, choose_order
from apps.service.replies.grounding.wording import words_of
from apps.service.replies.models import Reply, ReplyStatus
from apps.service.replies.statements import MESSAGES_READ
from apps.service.replies.wishes import is_courtesy

LONGEST_QUERY = 2_000
# Of what waits so many characters are read, the newest: hostile ones take a quarter of a second.
LONGEST_READ = 20_000
SHORT = 40  # characters
# Beside what is short so many of the customer's last messages are searched for.
SEARCHED = 3


@dataclass(frozen=True)
class Asked:
    """What is to be answered. `texts` are the customer's last messages, the newest first, of which the first `waiting`
    have no answer yet; `keys` whose events to read, none where the customer is unknown."""

    texts: Sequence[str]
    waiting: int = 1
    keys: Sequence[bytes] = ()
    language: str | None = None
    segments: Sequence[str] = ()  # of the customer, for sources that are not for everybody
    is_with_agent: bool = False
    values: Mapping[str, str] = field(default_factory=dict)  # of slots
    conversation_id: UUID | None = None  # by which an experiment knows it; None for what is kept elsewhere

    @cached_property
    def said(self) -> str:
        """What the customer wrote since the last answer, in its order: one reply answers all of it."""
        return "\n".join(reversed(self.texts[: self.waiting]))[-LONGEST_READ:]

    @cached_property
    def messages(self) -> Sequence[str]:
        """Where several messages wait: those that are more than a courtesy, the newest first."""
        waiting = self.texts[: min(self.waiting, MESSAGES_READ)] if self.waiting > 1 else ()
        return [text[-LONGEST_QUERY:] for text in waiting if not is_courtesy(text)]

    @property
    def is_long(self) -> bool:
        """Whether more waits than is searched for and matched, or may wait: no more than MESSAGES_READ are known."""
        return len(self.said) > LONGEST_QUERY or self.waiting >= MESSAGES_READ

    @property
    def query(self) -> str:
        """What is searched for: what waits; where it is short, with the messages before it."""
        if len(self.said) >= SHORT:
            return self.said[-LONGEST_QUERY:]
        return "\n".join(reversed(self.texts[: max(self.waiting, SEARCHED)]))[-LONGEST_QUERY:]

    @property
    def question(self) -> str:
        """What replies are measured by: what waits, without courtesies, if it says anything by itself."""
        said = "\n".join(reversed(self.messages)) or self.said
        return said[-LONGEST_QUERY:] if words_of(said) else self.query


def asked_of(conversation: Conversation, messages: Sequence[Message], heard: Collection[UUID]) -> Asked:
    """What a conversation asks. `messages` are its last ones up to one of the customer's, the newest first; `heard` has
    the ids of those whose reply has handed off: what came until then would hand off each later message again."""
    earlier = takewhile(lambda each: each.role == Role.CUSTOMER and each.id not in heard, messages[1:])
    return Asked(
        texts=[message.text for message in messages if message.role == Role.CUSTOMER],
        waiting=1 + sum(1 for _ in earlier),
        keys=conversation.keys,
        language=conversation.language or None,
        segments=conversation.segments,
        is_with_agent=conversation.is_with_agent,
        values={"conversation.id": str(conversation.id)},
        conversation_id=conversation.id,
    )


def read_asked(conversation: Conversation) -> Asked:
    """What its customer asked last, whether it was answered or not; without `texts` where nothing was. Two queries."""
    said = Message.objects.filter(conversation=conversation).order_by("-number")
    newest = said.filter(role=Role.CUSTOMER).values("number")[:1]
    messages = said.filter(number__lte=Subquery(newest))[:MESSAGES_READ]
    return asked_of(conversation, list(messages), heard_in([conversation.id]))


def heard_in(conversation_ids: Collection[UUID]) -> set[UUID]:
    """Messages of these conversations whose reply has handed off; one query."""
    replies = Reply.objects.filter(conversation__in=conversation_ids, status=ReplyStatus.HANDED_OFF)
    return set(replies.values_list("message", flat=True))


def order_asked_of(asked: Asked, facts: Facts) -> Chosen:
    """By all that waits, and else by the newest message before it that names an order."""
    return choose_order(facts, [asked.said, *asked.texts[asked.waiting :]], order_ids_in)
