"""Places of a macro that are filled when it is used: {{order.id}}. Only known names may stand in them."""

import re
from collections.abc import Iterator
from difflib import get_close_matches

from behavior.judging import MOST_NAMED

SLOTS = {
    "agent.name": "the agent who answers",
    "business.name": "the business as its customers know it",
    "conversation.id": "the conversation's id",
    "customer.email": "the customer's e-mail address",
    "customer.first_name": "the customer's first name",
    "customer.last_name": "the customer's last name",
    "customer.name": "the customer's whole name",
    "item.price": "price of the item that is asked about",
    "item.title": "title of the item that is asked about",
    "order.currency": "currency of the order",
    "order.date": "day of the order",
    "order.delivery_date": "day on which the order is expected, or came",
    "order.id": "number of the order",
    "order.items": "titles of what was ordered",
    "order.status": "how far the order is",
    "order.total": "what the order costs",
    "order.tracking_number": "number by which the parcel is followed",
}
SLOT = re.compile(r"\{\{([^{}]*)\}\}")


def slots_of(text: str) -> list[str]:
    """Names of the slots that a text holds, each once, in their order."""
    return list(dict.fromkeys(match[1].strip() for match in SLOT.finditer(text)))


def slot_problems(text: str) -> list[str]:
    """What is wrong with the slots of a macro; empty where nothing is."""
    return [*_unknown(text), *_broken(text)]


def _unknown(text: str) -> Iterator[str]:
    for name in [name for name in slots_of(text) if name not in SLOTS][:MOST_NAMED]:
        near = get_close_matches(name[:50], SLOTS, n=1)
        cure = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(SLOTS)}"
        yield f"'{name[:50]}' is no slot; {cure}"


def _broken(text: str) -> Iterator[str]:
    rest = SLOT.sub("", text)
    for mark in ("{{", "}}"):
        if mark in rest:
            yield f"'{mark}' belongs to no slot; write a slot as {{{{order.id}}}}"
