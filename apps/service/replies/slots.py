"""Slots of macros: {{order.status}} is filled from the customer's own data, once."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_SLOT = re.compile(r"\{\{([^{}]*)\}\}")


@dataclass(frozen=True)
class Filled:
    """`missing` names the slots that could not be filled; in `text` they stand as [order.status]."""

    text: str
    missing: tuple[str, ...]
    used: tuple[str, ...]


def fill_slots(template: str, values: Mapping[str, str]) -> Filled:
    """Fill each slot of a macro. A value is never read for slots itself."""
    names = [name.strip() for name in _SLOT.findall(template)]
    missing = tuple(dict.fromkeys(name for name in names if not values.get(name)))
    used = tuple(dict.fromkeys(name for name in names if values.get(name)))
    text = _SLOT.sub(lambda match: values.get(match[1].strip()) or f"[{match[1].strip()}]", template)
    return Filled(text, missing, used)
