"""What was said, done and decided joins the behaviour log: who, when, what kind, how long; never the words."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from apps.service.conversations.models import Conversation, Message
from behavior.clock import to_micros
from behavior.direct import JudgedEvent, store_judged
from behavior.models import TimeQuality
from behavior.subjects import is_known

SOURCE = "service"
MESSAGE_PREFIX = "service:"
# What this application itself writes of a customer: what was said and done here, and nothing of what led to it.
OWN_TYPES = (
    *("conversation_opened", "customer_message", "agent_message", "bot_message", "hand_off", "satisfaction"),
    *("reply_accepted", "reply_edited", "reply_rejected"),
)


class CustomerUnknown(LookupError):
    """The vault no longer knows the customer's id: it was erased."""


def check_known(conversation: Conversation) -> bytes:
    """The key of the customer, whom the vault still knows; one query, which does not open it: the console may not.

    Raises CustomerUnknown.
    """
    key = bytes(conversation.subject_key)
    if not is_known(key):
        raise CustomerUnknown("the customer of this conversation was erased")
    return key


def store_event(
    conversation: Conversation,
    type: str,
    *,
    of: UUID,
    at: datetime,
    subject: Mapping[str, str] | None = None,
    value: float | None = None,
    decision_id: UUID | None = None,
    properties: Mapping[str, Any] | None = None,
) -> UUID:
    """Store an event of the conversation's customer, once for each `type` of one row `of`; returns its id.

    Without `subject` it is the conversation's, by key, if the vault still knows it: one query more. Raises
    CustomerUnknown.
    """
    event = JudgedEvent(
        event_id=uuid7(),
        message_id=f"{MESSAGE_PREFIX}{type}:{of}",
        type=type,
        subject=subject or {},
        subject_key=None if subject else check_known(conversation),
        occurred_at=to_micros(at),
        time_quality=TimeQuality.SERVER,
        value=value,
        decision_id=decision_id,
        properties={"conversation_id": str(conversation.id), "channel": conversation.channel, **(properties or {})},
    )
    store_judged([event], source=SOURCE)
    return event.event_id


def message_event_type(message: Message) -> str:
    return f"{message.role}_message"
