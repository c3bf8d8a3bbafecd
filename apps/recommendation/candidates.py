"""From ranked sources to a full list of permitted items."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

# A source is asked for so many times the wanted number, then for more while too few of its items are permitted.
GROWTH = (2, 8, 32)
EVERYTHING = 1_000_000


@dataclass(frozen=True)
class Cause:
    """Why a source gives an item: a reason's code, its weight in [0, 1], and the item and event behind it, if any.

    `also` are further causes of the same code that matter, the strongest first.
    """

    code: str
    weight: float
    item_id: str | None = None
    event_type: str | None = None
    event_id: str | None = None
    also: tuple["Cause", ...] = ()

    @property
    def item_ids(self) -> set[str]:
        """Every item behind it."""
        return {cause.item_id for cause in (self, *self.also) if cause.item_id is not None}


@dataclass(frozen=True)
class Candidate:
    """`score` is not negative: the probability, or the share of interest, that its source gives the item."""

    item_id: str
    score: float
    cause: Cause


@dataclass(frozen=True)
class Ranked:
    """What a source answers: candidates, best first, and which model gave them."""

    candidates: list[Candidate]
    model_version: UUID | None = None
    degraded: str | None = None


# source(limit) gives its best `limit` candidates; permitted(item_ids) gives those that may be shown.
Source = Callable[[int], Ranked]
Permitted = Callable[[Sequence[str]], set[str]]


@dataclass
class Pool:
    """Permitted candidates, those of earlier sources first; `answers` holds the first answer of each source asked."""

    candidates: list[Candidate] = field(default_factory=list)
    answers: list[Ranked] = field(default_factory=list)


def fill(count: int, sources: Sequence[Source], permitted: Permitted) -> Pool:
    """Up to `count` permitted candidates; a source is used up before the next one is asked.

    The pool has fewer than `count` only when all the sources together hold no more permitted items.
    """
    pool = Pool()
    judged: set[str] = set()
    for source in sources:
        for number, ranked in enumerate(_growing(source, count)):
            if number == 0:
                pool.answers.append(ranked)
            fresh = {each.item_id: each for each in ranked.candidates if each.item_id not in judged}
            judged |= fresh.keys()
            allowed = permitted(list(fresh)) if fresh else set()
            pool.candidates += [each for each in fresh.values() if each.item_id in allowed]
            if len(pool.candidates) >= count:
                del pool.candidates[count:]
                return pool
    return pool


def _growing(source: Source, count: int) -> Iterator[Ranked]:
    for limit in (*(count * factor for factor in GROWTH), EVERYTHING):
        ranked = source(limit)
        yield ranked
        if len(ranked.candidates) < limit:
            return
