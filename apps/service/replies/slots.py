"""Slots of macros: {{order.status}} is filled from the customer's own data, once; and what no customer may read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from django.core.exceptions import ValidationError

from apps.service.knowledge.slots import SLOTS
from apps.service.replies.masking import marks_in

AGENT_NAME = "agent.name"
_SLOT = re.compile(r"\{\{([^{}]*)\}\}")
_PARTS = "|".join(sorted({name.partition(".")[0] for name in SLOTS}))
_OPEN = re.compile(rf"\[(?:{_PARTS})\.\w+\]|\{{\{{\s*(?:{_PARTS})\.\w+\s*\}}\}}")


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


def as_given(text: str, agent_name: str) -> str:
    """A text as an agent sends it: with the agent's name, where one is known."""
    if not agent_name:
        return text
    return re.sub(r"\[agent\.name\]|\{\{\s*agent\.name\s*\}\}", lambda _: agent_name, text)


def check_filled(text: str) -> None:
    """Raises ValidationError where a text still holds what stands for a value: [order.status], {{order.status}}, or a
    mark such as [PHONE_1]."""
    left = dict.fromkeys([*_OPEN.findall(text), *(f"[{mark}]" for mark in marks_in(text))])
    if left:
        raise ValidationError(
            {"text": f"{', '.join(left)} still stands for a value; write it, and send the edited text"}
        )
