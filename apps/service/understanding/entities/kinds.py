"""What an entity is."""

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["order", "product", "date", "amount", "email", "phone", "url"]
KINDS: tuple[Kind, ...] = ("order", "product", "date", "amount", "email", "phone", "url")


@dataclass(frozen=True)
class Entity:
    """`text` stands at [start, end) of the message, in characters.

    `value` by kind: {"id"} of an order, {"id", "title"} of a product, {"date"} in ISO 8601, {"amount", "currency"} with
    the amount as a decimal in text, {"address"} of an e-mail or URL, {"number"} of a telephone.
    """

    kind: Kind
    text: str
    start: int
    end: int
    value: dict[str, Any]


def without_overlaps(found: list[Entity]) -> list[Entity]:
    """In order of place; where two overlap the one that came first in the list stays."""
    kept: list[Entity] = []
    for entity in found:
        if all(entity.end <= other.start or other.end <= entity.start for other in kept):
            kept.append(entity)
    return sorted(kept, key=lambda entity: entity.start)
