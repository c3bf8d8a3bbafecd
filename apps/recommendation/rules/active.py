"""What operators want of a list, as it stands at one moment, and what that leaves for each place."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from django.db.models import Q

from catalog.selectors import ItemFacts

# Ends the key of a cap on an item that broke it, since nothing else was left.
RELAXED = ":relaxed"


@dataclass(frozen=True)
class Choice:
    """Positions among the candidates that are left, and the keys of the rules that narrowed them."""

    positions: Sequence[int]
    rules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pin:
    """The best item with the mark stands at `position`, from 1, or at the next place that no other pin has."""

    key: str
    position: int

    def waits(self, first: int, placed: Sequence[ItemFacts]) -> bool:
        """Whether its place, in a list that begins at rank `first`, is still to come or went to another pin."""
        return self.position >= first and not any(self.key in each.marks for each in placed[self.position - first :])


class Shaping(Protocol):
    """A rule on what stands beside what."""

    def narrow(
        self, positions: Sequence[int], left: Sequence[ItemFacts], placed: Sequence[ItemFacts], count: int
    ) -> Choice:
        """Those of the positions that it wants for the next place; all of them where it wants none or finds none."""
        ...


@dataclass(frozen=True)
class Cap:
    """At most `limit` items of one category or brand in any `window` places, or in the list.

    It counts the items with its mark, or all where it has no target. Where every candidate breaks it, it gives way.
    """

    key: str
    attribute: str
    limit: int
    window: int | None = None
    has_target: bool = False

    def narrow(
        self, positions: Sequence[int], left: Sequence[ItemFacts], placed: Sequence[ItemFacts], count: int
    ) -> Choice:
        near = placed if self.window is None else placed[max(0, len(placed) - self.window + 1) :]
        counts = Counter(name for each in near for name in set(self._names(each)))
        full = {name for name, number in counts.items() if number >= self.limit}
        kept = [each for each in positions if full.isdisjoint(self._names(left[each]))] if full else positions
        if not kept:
            return Choice(positions, (self.key + RELAXED,))
        return Choice(kept, () if kept[0] == positions[0] else (self.key,))

    def _names(self, facts: ItemFacts) -> Sequence[str]:
        if self.has_target and self.key not in facts.marks:
            return ()
        if self.attribute == "category":
            return facts.categories
        return (facts.brand,) if facts.brand else ()


@dataclass(frozen=True)
class Promotion:
    """At least `share` percent of the places go to items with the mark, spread over the list."""

    key: str
    share: int

    def wanted(self, count: int) -> int:
        return -(-self.share * count // 100)

    def narrow(
        self, positions: Sequence[int], left: Sequence[ItemFacts], placed: Sequence[ItemFacts], count: int
    ) -> Choice:
        held = sum(self.key in each.marks for each in placed)
        missing = self.wanted(count) - held
        behind = held < (len(placed) + 1) * self.share // 100
        is_last_chance = count - len(placed) <= missing
        if missing <= 0 or not (behind or is_last_chance):
            return Choice(positions)
        kept = [each for each in positions if self.key in left[each].marks]
        return Choice(kept, (self.key,)) if kept else Choice(positions)


@dataclass(frozen=True)
class ActiveRules:
    """The rules that hold for one request.

    conditions   what every item of the list must meet
    excluded     ids of items that stay out
    marks        conditions by rule that are looked up with each candidate (ItemFacts.marks), for rules that touch some
    multipliers  by rule, what it multiplies the scores of items with its mark by
    pins         by falling priority, as are the rules that shape the list
    count        how many places the list has
    """

    conditions: Sequence[Q] = ()
    excluded: frozenset[str] = frozenset()
    marks: Mapping[str, Q] | None = None
    multipliers: Mapping[str, float] = field(default_factory=dict)
    pins: Sequence[Pin] = ()
    shaping: Sequence[Shaping] = ()
    count: int = 0

    @property
    def reorders(self) -> bool:
        """Whether a list is better chosen from more candidates than it has places."""
        return bool(self.multipliers or self.shaping)

    def factors(self, facts: ItemFacts) -> dict[str, float]:
        """By rule, what it multiplies the item's score by."""
        return {key: factor for key, factor in self.multipliers.items() if key in facts.marks}

    def lacking(self, found: Sequence[ItemFacts]) -> dict[str, int]:
        """How many items are missing among those found, by pin and promotion for which there are too few."""
        counts = Counter(mark for each in found for mark in each.marks)
        wanted = {pin.key: 1 for pin in self.pins}
        wanted |= {each.key: each.wanted(self.count) for each in self.shaping if isinstance(each, Promotion)}
        return {key: number - counts[key] for key, number in wanted.items() if counts[key] < number}

    def choice(self, rank: int, left: Sequence[ItemFacts], placed: Sequence[ItemFacts]) -> Choice:
        """Which of the candidates that are left may stand at a rank (from 1), after those placed before.

        There is always one. A pin comes before caps and promotions; what a pin waits for is kept for its place.
        """
        waiting = [pin for pin in self.pins if pin.waits(rank - len(placed), placed)]
        held = _hold(waiting, left)
        due = next((pin for pin in waiting if pin.position <= rank and pin.key in held), None)
        free = [each for each in range(len(left)) if each not in held.values()]
        if due is None and not free:
            due = min((pin for pin in waiting if pin.key in held), key=lambda pin: pin.position)
        if due is None:
            return self._shaped(Choice(free), left, placed)
        own = [each for each in (*free, held[due.key]) if due.key in left[each].marks]
        return self._shaped(Choice(sorted(own), (due.key,)), left, placed)

    def _shaped(self, choice: Choice, left: Sequence[ItemFacts], placed: Sequence[ItemFacts]) -> Choice:
        for rule in self.shaping:
            narrowed = rule.narrow(choice.positions, left, placed, self.count)
            choice = Choice(narrowed.positions, (*choice.rules, *narrowed.rules))
        return choice


def _hold(waiting: Sequence[Pin], left: Sequence[ItemFacts]) -> dict[str, int]:
    """By pin, the position of a candidate that is kept for it: of several the last, so that the best go where they
    belong. Pins that have the fewest to choose from come first."""
    own = {pin.key: [each for each in range(len(left)) if pin.key in left[each].marks] for pin in waiting}
    held: dict[str, int] = {}
    for key in sorted(own, key=lambda key: len(own[key])):
        if free := [each for each in own[key] if each not in held.values()]:
            held[key] = free[-1]
    return held


NO_RULES = ActiveRules()
