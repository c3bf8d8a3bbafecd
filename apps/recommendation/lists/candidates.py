"""From ranked sources to a full list of permitted items."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from catalog.selectors import ItemFacts

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


# source(limit) gives its best `limit` candidates; permitted(item_ids) gives the facts of those that may be shown.
Source = Callable[[int], Ranked]
Permitted = Callable[[Sequence[str]], Mapping[str, ItemFacts]]


@dataclass(frozen=True)
class Pooled:
    """A permitted candidate; scores compare only within the same `source`, which counts from 0."""

    candidate: Candidate
    facts: ItemFacts
    source: int


@dataclass
class Pool:
    """Permitted candidates, those of earlier sources first; `answers` holds the first answer of each source asked."""

    candidates: list[Pooled] = field(default_factory=list)
    answers: list[Ranked] = field(default_factory=list)


def fill(count: int, sources: Sequence[Source], permitted: Permitted, *, choices: int = 1) -> Pool:
    """At least `count` permitted candidates, and up to `choices` times as many where the order is not only the
    source's; a source is used up before the next one is asked, and none is asked where `count` are there.

    The pool has fewer than `count` only when all the sources together hold no more permitted items.
    """
    most = count * choices
    pool = Pool()
    judged: set[str] = set()
    for place, source in enumerate(sources):
        for number, ranked in enumerate(_growing(source, most)):
            if number == 0:
                pool.answers.append(ranked)
            fresh = {each.item_id: each for each in ranked.candidates if each.item_id not in judged}
            judged |= fresh.keys()
            allowed = permitted(list(fresh)) if fresh else {}
            pool.candidates += [
                Pooled(each, allowed[each.item_id], place) for each in fresh.values() if each.item_id in allowed
            ]
            if len(pool.candidates) >= most:
                break
        if len(pool.candidates) >= count:
            break
    del pool.candidates[most:]
    return pool


def _growing(source: Source, count: int) -> Iterator[Ranked]:
    for limit in (*(count * factor for factor in GROWTH), EVERYTHING):
        ranked = source(limit)
        yield ranked
        if len(ranked.candidates) < limit:
            return
