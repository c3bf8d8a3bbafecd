"""Examples that teach a model badly: nearly the same text under two intents, or twice under one."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from apps.service.understanding.examples import OUT_OF_SCOPE
from apps.service.understanding.models import IntentExample
from apps.service.understanding.overlap import Overlap

# From so much likeness of their words two texts of different intents are in conflict, and of one intent superfluous.
CONFLICT, DUPLICATE = 0.85, 0.97
NEAREST_READ = 5
MOST_PROBLEMS = 200
# Below this nobody can hold out examples to judge by.
FEW_EXAMPLES = 5

Kind = Literal["conflict", "similar"]


@dataclass(frozen=True)
class Problem:
    """`other` is like `text`, by the cosine `similarity`, and belongs to `other_intent`."""

    kind: Kind
    example_id: UUID
    text: str
    other_id: UUID
    other: str
    other_intent: str
    similarity: float


def find_problems(intent_id: UUID | None) -> list[Problem]:
    """Problems of the examples of one intent, or of those out of scope; conflicts first. All examples are read."""
    rows = list(IntentExample.objects.order_by("id").values_list("id", "text", "intent_id", "intent__name"))
    overlap = Overlap([text for _, text, _, _ in rows])
    found: list[Problem] = []
    for row, (example_id, text, owner, _) in enumerate(rows):
        if owner != intent_id:
            continue
        for match in overlap.nearest(text, NEAREST_READ):
            other_id, other, other_owner, name = rows[match.row]
            in_conflict = other_owner != intent_id and match.similarity >= CONFLICT
            # Of a pair within the intent one row is enough.
            is_similar = other_owner == intent_id and match.row < row and match.similarity >= DUPLICATE
            if in_conflict or is_similar:
                kind: Kind = "conflict" if in_conflict else "similar"
                found.append(
                    Problem(kind, example_id, text, other_id, other, name or OUT_OF_SCOPE, round(match.similarity, 4))
                )
    return sorted(found, key=lambda each: (each.kind, -each.similarity, each.text))[:MOST_PROBLEMS]
