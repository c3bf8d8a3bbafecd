"""Which of many ads a request may be shown: an inverted index from values to the ads that ask for them.

A set of ads is the bits of one whole number, so that one dimension of a request costs a few operations on numbers,
however many ads there are. The idea is that of S. Whang et al., "Indexing Boolean expressions", VLDB 2009, with bit
sets in place of posting lists.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.ads.campaigns.targeting import ATTRIBUTE, HOURS_OF_WEEK, hours_of_week

NOTHING: frozenset[str] = frozenset()


@dataclass
class Dimension:
    """Ads by value: those that ask for one (`included`), those that will not have one (`excluded`)."""

    asking: int = 0
    included: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    excluded: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def passing(self, values: Iterable[str], everyone: int) -> int:
        wanted = everyone & ~self.asking
        unwanted = 0
        for value in values:
            wanted |= self.included.get(value, 0)
            unwanted |= self.excluded.get(value, 0)
        return wanted & ~unwanted


class TargetingIndex:
    """Ads by position, in the order of the targetings that it is made of."""

    def __init__(self, targetings: Iterable[Mapping[str, Any]]) -> None:
        self.dimensions: dict[str, Dimension] = defaultdict(Dimension)
        self.hours = [0] * HOURS_OF_WEEK
        self.any_hour = 0
        self.size = 0
        for targeting in targetings:
            self._add(1 << self.size, targeting)
            self.size += 1
        self.everyone = (1 << self.size) - 1

    def _add(self, bit: int, targeting: Mapping[str, Any]) -> None:
        included = dict(targeting.get("include", {}))
        included |= {ATTRIBUTE + name: values for name, values in targeting.get("attributes", {}).items()}
        for name, values in included.items():
            dimension = self.dimensions[name]
            dimension.asking |= bit
            for value in values:
                dimension.included[value] |= bit
        for name, values in targeting.get("exclude", {}).items():
            for value in values:
                self.dimensions[name].excluded[value] |= bit
        if not targeting.get("hours"):
            self.any_hour |= bit
            return
        for hour in hours_of_week(targeting):
            self.hours[hour] |= bit

    def match(self, left: int, facts: Mapping[str, Iterable[str]], hour_of_week: int, lost: dict[str, int]) -> int:
        """Those of the ads `left` that a request may be shown. `facts` are its values by dimension; what each dimension
        takes away is added to `lost`, under its name."""
        for name, dimension in self.dimensions.items():
            left = _keep(left, dimension.passing(facts.get(name, NOTHING), self.everyone), f"targeting.{name}", lost)
        return _keep(left, self.any_hour | self.hours[hour_of_week], "targeting.hours", lost)


def _keep(left: int, passing: int, reason: str, lost: dict[str, int]) -> int:
    if gone := left & ~passing:
        lost[reason] = lost.get(reason, 0) | gone
    return left & passing


def positions(bits: int, size: int) -> NDArray[np.int64]:
    """The positions of the bits that are set, rising."""
    raw = np.frombuffer(bits.to_bytes(-(-size // 8) or 1, "little"), dtype=np.uint8)
    return np.flatnonzero(np.unpackbits(raw, bitorder="little"))


def bits_of(positions: NDArray[np.int64]) -> int:
    """The number with the bits at these positions set."""
    marks = np.zeros(int(positions.max(initial=-1)) + 1, dtype=np.uint8)
    marks[positions] = 1
    return int.from_bytes(np.packbits(marks, bitorder="little").tobytes(), "little")
