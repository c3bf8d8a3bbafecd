"""A reply without what belongs to its customer alone: the order's data and names as slots, other personal data as
marks."""

import re
from collections.abc import Mapping, Sequence

from apps.service.replies.masking import Mask, names_in

# Slots whose values say by themselves what they are; a word such as an order's status may stand for something else.
TELLING = (
    *("customer.name", "customer.first_name", "customer.last_name", "customer.email"),
    *("order.id", "order.tracking_number", "order.date", "order.delivery_date", "order.items", "item.title"),
)
# Of a text that names the order these are the order's, too.
OF_THE_ORDER = ("order.status", "order.total")
SHORTEST = 3
# Whom a letter is addressed to.
_GREETED = re.compile(
    r"^\s*(?:Dear|Hi|Hello|Hey|Good (?:morning|afternoon|evening))[ ,]+"
    r"(?:(?:Mr|Mrs|Ms|Dr)\.? )?(?P<name>[A-Z][\w'-]+(?: [A-Z][\w'-]+){0,2})(?=[,.!:\s]|$)",
    re.MULTILINE,
)
_NOBODY = {"There", "All", "Team", "Again", "Customer", "Everyone"}


def as_template(text: str, values: Mapping[str, str], said: Sequence[str] = ()) -> str:
    """The text with its customer's values as slots, and what else is personal masked.

    `values` are those that slots would be filled with for this customer; `said` are the customer's own messages, of
    which the names that they give themselves are taken out too.
    """
    text = _with_slots(text, {name: values[name] for name in TELLING if name in values})
    if "{{order.id}}" in text:
        text = _with_slots(text, {name: values[name] for name in OF_THE_ORDER if name in values})
    names = {name for each in said for name in names_in(each)} | (_greeted(text) - _NOBODY)
    return Mask(names=names).hide(text)


def _with_slots(text: str, values: Mapping[str, str]) -> str:
    """Longer values first, so that none is cut by a shorter one; a value within a slot is left alone."""
    slots = {value: name for name, value in reversed(list(values.items())) if len(value) >= SHORTEST}
    if not slots:
        return text
    longest_first = sorted(slots, key=lambda value: (-len(value), value))
    pattern = re.compile(r"\{\{[^{}]*\}\}|(?<!\w)(?:" + "|".join(map(re.escape, longest_first)) + r")(?!\w)")
    return pattern.sub(lambda found: f"{{{{{slots[found[0]]}}}}}" if found[0] in slots else found[0], text)


def _greeted(text: str) -> set[str]:
    return {found["name"] for found in _GREETED.finditer(text)}
