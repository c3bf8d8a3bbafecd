"""What an agent needs to take over from the bot."""

from collections.abc import Sequence
from typing import Any

from apps.service.conversations.models import Conversation, Message, Role
from apps.service.replies import evidence
from apps.service.replies.evidence import Understanding
from apps.service.replies.facts import Chosen, Facts, choose_order, read_facts
from apps.service.replies.settings import current_settings

LONGEST_WANT = 300
# Of the customer's last messages so many say which order is meant.
MESSAGES_READ = 3


def summarise(
    text: str, understood: Understanding, facts: Facts, chosen: Chosen, missing: Sequence[str] = ()
) -> dict[str, Any]:
    """Of what the customer wrote last; `missing` are slots without a value."""
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
    said = Message.objects.filter(conversation=conversation, role=Role.CUSTOMER).order_by("-number")
    texts = list(said.values_list("text", flat=True)[:MESSAGES_READ])
    if not texts:
        return None
    facts = read_facts(conversation.keys, current_settings().order_event_types)
    return summarise(texts[0], evidence.understand(texts[0]), facts, choose_order(facts, texts, evidence.order_ids_in))
