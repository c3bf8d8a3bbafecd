"""What a made desk has done before: conversations of past days with what agents gave, written as they were then.

Rows are stored directly, since no door lets anybody write into the past.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from uuid_utils.compat import uuid7

from apps.service.conversations.models import Conversation, ConversationStatus, Message, Role
from apps.service.engine import MADE_EVENTS_START, MADE_SITUATIONS, ReplyPairs, made_replies
from apps.service.knowledge.models import Source
from apps.service.knowledge.services import create_source
from apps.service.replies.editing import edit_distance
from apps.service.replies.models import Reply, ReplyAction, ReplyStatus
from behavior.services import store_events
from tenancy.secrets import subject_key

EVENTS_AT_ONCE = 2_000
ADDED = " Write again at any time."
REJECTED_INSTEAD = "Let me look into this, I come back to you today."
CHANNELS = ("web", "web", "mail")


@dataclass(frozen=True)
class Outcome:
    """What an agent made of a suggestion, and what the customer gave for it."""

    status: str = ReplyStatus.ACCEPTED
    confidence: float = 0.5
    minutes: int = 1
    satisfaction: int | None = None
    channel: str = "web"

    def given(self, text: str) -> str:
        """What the customer got."""
        return {ReplyStatus.EDITED: text + ADDED, ReplyStatus.REJECTED: REJECTED_INSTEAD}.get(
            ReplyStatus(self.status), text
        )


def publish_macros(actor: str) -> dict[str, Source]:
    """A macro for each made situation, by its text. Their titles say nothing that customers write."""
    return {
        text: create_source(kind="macro", actor=actor, publish=True, title=name.replace("_", " "), body=text)
        for name, text in MADE_SITUATIONS.items()
    }


def mixed_outcomes(count: int, *, seed: int) -> list[Outcome]:
    """Surer suggestions are accepted more often, and accepted ones are rated better."""
    chance = np.random.default_rng(seed)
    return [_mixed_outcome(chance) for _ in range(count)]


def _mixed_outcome(chance: np.random.Generator) -> Outcome:
    confidence = float(chance.random())
    accepted = chance.random() < 0.55 + 0.5 * confidence
    edited = chance.random() < 0.6
    status = ReplyStatus.ACCEPTED if accepted else ReplyStatus.EDITED if edited else ReplyStatus.REJECTED
    rating = int(chance.integers(4, 6) if accepted else chance.integers(2, 5))
    return Outcome(
        status=status,
        confidence=confidence,
        minutes=1 + int(chance.exponential(20.0)),
        satisfaction=rating if chance.random() < 0.4 else None,
        channel=str(chance.choice(CHANNELS)),
    )


def fill_history(
    outcomes: Sequence[Outcome], macros: Mapping[str, Source], *, seed: int, spacing: timedelta, agent: str
) -> ReplyPairs:
    """One conversation for each outcome, `spacing` apart and the last one not long ago, with what the customer did
    before; what was suggested is what fits."""
    made = made_replies(len(outcomes), seed=seed)
    began = datetime.now(UTC) - spacing * len(outcomes) - timedelta(hours=2)
    _store_events(made, began, spacing, seed)
    conversations: list[Conversation] = []
    messages: list[Message] = []
    replies: list[Reply] = []
    for number, (said, suggested, outcome) in enumerate(zip(made.conversations, made.replies, outcomes, strict=True)):
        at = began + spacing * number
        conversation = _conversation(subject_key("user_id", _customer(seed, number)), at, outcome, len(said) + 1)
        conversations.append(conversation)
        for place, text in enumerate([*said, outcome.given(suggested)], start=1):
            answered = place > len(said)
            messages.append(
                Message(
                    conversation=conversation,
                    number=place,
                    role=Role.AGENT if answered else Role.CUSTOMER,
                    author=agent if answered else "",
                    text=text,
                    client_id=f"m-{place}",
                    event_id=uuid7(),
                    created_at=at + timedelta(minutes=outcome.minutes) if answered else at,
                )
            )
        replies.append(_reply(conversation, messages[-2], suggested, macros[suggested], outcome, agent))
    Conversation.objects.bulk_create(conversations)
    Message.objects.bulk_create(messages)
    Reply.objects.bulk_create(replies)
    return made


def _conversation(key: bytes, at: datetime, outcome: Outcome, messages: int) -> Conversation:
    answered_at = at + timedelta(minutes=outcome.minutes)
    return Conversation(
        subject_key=key,
        channel=outcome.channel,
        language="en",
        status=ConversationStatus.CLOSED,
        satisfaction=outcome.satisfaction,
        message_count=messages,
        opened_at=at,
        last_message_at=answered_at,
        first_response_at=answered_at,
        closed_at=answered_at,
    )


def _reply(
    conversation: Conversation, message: Message, text: str, source: Source, outcome: Outcome, agent: str
) -> Reply:
    rejected = outcome.status == ReplyStatus.REJECTED
    given = "" if rejected else outcome.given(text)
    citation: dict[str, Any] = {
        "source": str(source.id),
        "version": source.version,
        "kind": str(source.kind),
        "title": source.title,
        "quote": text,
        "sentences": [1],
    }
    return Reply(
        conversation=conversation,
        message=message,
        decision_id=uuid7(),
        status=outcome.status,
        action=ReplyAction.DRAFT,
        text=text,
        final_text=given,
        edit_distance=None if rejected else edit_distance(text, given),
        citations=[citation],
        confidence=outcome.confidence,
        backend="selection",
        judged_by=agent,
        created_at=conversation.opened_at,
        settled_at=conversation.first_response_at,
    )


def _customer(seed: int, number: int) -> str:
    return f"c-{seed}-{number}"


def _store_events(made: ReplyPairs, began: datetime, spacing: timedelta, seed: int) -> None:
    """As they were made, each customer's moved to end before that customer writes."""
    events = []
    for number, history in enumerate(made.events or ()):
        moved = (began + spacing * number).timestamp() - MADE_EVENTS_START - 60.0 * number
        for place, event in enumerate(history):
            events.append(
                {
                    "message_id": f"made-{seed}-{number}-{place}",
                    "type": event["type"],
                    "subject": {"user_id": _customer(seed, number)},
                    "created_at": datetime.fromtimestamp(event["time"] + moved, UTC).isoformat(),
                    **({"item_id": event["item"]} if event["item"] else {}),
                    **({} if event["value"] is None else {"value": event["value"]}),
                }
            )
    for start in range(0, len(events), EVENTS_AT_ONCE):
        store_events(events=events[start : start + EVENTS_AT_ONCE], source="made", historical=True)
