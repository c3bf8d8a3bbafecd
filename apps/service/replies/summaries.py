"""What an agent needs to take over from the bot."""

from collections.abc import Sequence
from typing import Any

from apps.service.conversations.models import Conversation
from apps.service.replies import evidence
from apps.service.replies.asking import order_asked_of, read_asked
from apps.service.replies.evidence import Understanding
from apps.service.replies.facts import Chosen, Facts, read_facts
from apps.service.replies.settings import current_settings

LONGEST_WANT = 300


def summarise(
    text: str, understood: Understanding, facts: Facts, chosen: Chosen, missing: Sequence[str] = ()
) -> dict[str, Any]:
    """Of all that the customer wrote last; `missing` are slots without a value."""
    want = " ".join(text.split())
    return {
        "wants": want if len(want) <= LONGEST_WANT else f"{want[: LONGEST_WANT - 1]}…",
        "intent": understood.intent,
        "entities": evidence.entities_as_json(text),
        "order": dict(chosen.values),
        "orders": [order.order_id for order in facts.orders[:10]],
        "missing": list(missing),
        "language": understood.language,
    }


def summary_of(conversation: Conversation) -> dict[str, Any] | None:
    """Of a conversation that somebody hands off by hand; None where the customer has written nothing."""
    asked = read_asked(conversation)
    if not asked.texts:
        return None
    facts = read_facts(asked.keys, current_settings().order_event_types)
    understood, _ = evidence.understand(asked.said)
    return summarise(asked.said, understood, facts, order_asked_of(asked, facts))
