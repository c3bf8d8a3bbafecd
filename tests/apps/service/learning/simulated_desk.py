"""A desk that has worked for a while: what customers did and wrote, and the macros that its agents gave them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
from uuid_utils.compat import uuid7

from apps.service.conversations.models import Conversation, ConversationStatus, Message, Role
from apps.service.knowledge.models import Source
from apps.service.knowledge.services import create_source
from apps.service.replies.models import Reply, ReplyStatus
from behavior.services import store_events
from ml.data.reply_pairs import ReplyPairs
from ml.simulation.replies import SITUATIONS, STARTED, simulate_replies
from tenancy.secrets import subject_key

# Trains in seconds, and tells the situations apart.
QUICK = {"pretrained": False, "batch_pairs": 64, "epochs": 6, "least_steps": 100}
EVENTS_AT_ONCE = 2_000


def publish_macros() -> dict[str, Source]:
    """A macro for each situation, by its text. Their titles say nothing that customers write."""
    return {
        text: create_source(kind="macro", actor="test", publish=True, title=name.replace("_", " "), body=text)
        for name, (_, text) in SITUATIONS.items()
    }


def fill_desk(count: int, *, seed: int = 1, macros: Mapping[str, Source] | None = None) -> ReplyPairs:
    """Conversations of the last days with the macro that an agent gave, as if it had been suggested and accepted."""
    pairs, macros = simulate_replies(count, generator=np.random.default_rng(seed)), macros or publish_macros()
    began = datetime.now(UTC) - timedelta(minutes=count + 10)
    _store_events(pairs, began, seed)
    conversations, messages, replies = [], [], []
    for number, (said, given) in enumerate(zip(pairs.conversations, pairs.replies, strict=True)):
        at = began + timedelta(minutes=number)
        conversation = Conversation(
            subject_key=subject_key("user_id", _customer(seed, number)),
            channel="web",
            status=ConversationStatus.WAITING,
            message_count=len(said) + 1,
            opened_at=at,
            last_message_at=at,
            first_response_at=at + timedelta(minutes=1),
        )
        conversations.append(conversation)
        for place, text in enumerate([*said, given], start=1):
            role = Role.AGENT if place > len(said) else Role.CUSTOMER
            messages.append(
                Message(
                    conversation=conversation,
                    number=place,
                    role=role,
                    text=text,
                    client_id=f"m-{place}",
                    event_id=uuid7(),
                    created_at=at,
                )
            )
        source = macros[given]
        replies.append(
            Reply(
                conversation=conversation,
                message=messages[-2],
                decision_id=uuid7(),
                status=ReplyStatus.ACCEPTED,
                action="draft",
                text=given,
                final_text=given,
                edit_distance=0.0,
                citations=[{"source": str(source.id), "version": source.version, "sentences": [1]}],
                confidence=0.5,
                backend="selection",
                judged_by="agent",
                created_at=at,
                settled_at=at + timedelta(minutes=1),
            )
        )
    Conversation.objects.bulk_create(conversations)
    Message.objects.bulk_create(messages)
    Reply.objects.bulk_create(replies)
    return pairs


def _customer(seed: int, number: int) -> str:
    return f"c-{seed}-{number}"


def _store_events(pairs: ReplyPairs, began: datetime, seed: int) -> None:
    """As the simulation has them, before the customer writes; moved to our days."""
    moved = began.timestamp() - STARTED
    events = [
        {
            "message_id": f"e-{seed}-{number}-{place}",
            "type": event["type"],
            "subject": {"user_id": _customer(seed, number)},
            "created_at": datetime.fromtimestamp(event["time"] + moved, UTC).isoformat(),
            **({"item_id": event["item"]} if event["item"] else {}),
            **({} if event["value"] is None else {"value": event["value"]}),
        }
        for number, history in enumerate(pairs.events_of(np.arange(len(pairs))))
        for place, event in enumerate(history)
    ]
    for start in range(0, len(events), EVENTS_AT_ONCE):
        batch = events[start : start + EVENTS_AT_ONCE]
        assert store_events(events=batch, source="test", historical=True).counts["ok"] == len(batch)
