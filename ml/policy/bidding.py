"""Bidding for places in second-price auctions, so that a budget brings the most clicks (or any other value).

Dynamic programme: H. Cai et al., "Real-time bidding by reinforcement learning in display advertising", WSDM 2017,
section 3; here over a sample of values, of which theirs has the mean alone, and on a grid of budgets.
Dual: S. Balseiro and Y. Gur, "Learning in repeated auctions with budgets", Management Science 65 (2019), in the
multiplicative form of S. Balseiro, H. Lu and V. Mirrokni, "The best of many worlds: dual mirror descent for online
allocation problems", Operations Research 71 (2023). PID: ml.policy.pacing.

Prices and budgets are whole numbers of one small unit; a value is what an auction brings if it is won, for instance the
probability of a click.
"""

import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml.policy.pacing import PidState, pid_step

Doubles = NDArray[np.float64]

# Cells in which the mean gain over values is kept, from what money costs later 0 to the highest value.
GAIN_CELLS = 4096
# Budgets of a table's grid.
STEPS = 4000
# Auctions after which the PID controller looks at what was spent.
PID_STRETCH = 10


class Bidder(Protocol):
    def bid(self, value: float, auctions_left: int, budget_left: int) -> int:
        """What to offer at most, from 0 to `budget_left`; `auctions_left` counts this one."""
        ...

    def spent(self, price: int) -> None:
        """What the auction just bid in did cost, 0 where it was lost."""
        ...


def price_chances(counts: ArrayLike, smoothing: float = 1.0) -> Doubles:
    """Chances (P,) of the market prices 0 to P - 1 from how often each was seen, each `smoothing` times more."""
    raised = np.asarray(counts, dtype=np.float64) + smoothing
    return raised / raised.sum()


@dataclass(frozen=True)
class ValueTable:
    """`expected[n, s]` is the value that n auctions bring in the mean from a budget of s x unit, bid in at best."""

    expected: NDArray[np.float32]
    unit: float
    highest_price: int

    @classmethod
    def of(cls, chances: Doubles, values: ArrayLike, *, auctions: int, budget: int, steps: int = STEPS) -> "ValueTable":
        """For up to `auctions` (1 or more) from up to `budget` (1 or more), on a grid of at most `steps` budgets.

        chances: (P,) of the market prices 0 to P - 1. values: any sample of what auctions are worth, 0 or more.
        Raises ValueError for values that are negative or none at all.

        With h = V(n-1, b) - V(n-1, b - price), what a price costs later, an auction of value v is bid in up to the
        price at which h reaches v: V(n, b) = V(n-1, b) + sum over prices of chance x mean over values of max(v - h, 0).
        """
        sample = np.asarray(values, dtype=np.float64)
        if not len(sample) or sample.min() < 0:
            raise ValueError("values must be numbers of 0 or more, and at least one")
        unit = max(1.0, budget / steps)
        size = int(budget / unit)
        on_grid = _on_grid(chances, unit)
        gain, cells = _mean_gain(sample)
        expected = np.zeros((auctions, size + 1), dtype=np.float32)
        for left in range(1, auctions):
            before = expected[left - 1]
            now = before.copy()
            for price in np.flatnonzero(on_grid[: size + 1]):
                later = before[price:] - before[: size + 1 - price]
                cell = (later * np.float32(cells)).astype(np.int32)
                now[price:] += np.float32(on_grid[price]) * gain.take(cell, mode="clip")
            expected[left] = now
        return cls(expected, unit, len(chances) - 1)

    def bid(self, value: float, auctions_left: int, budget_left: int) -> int:
        """The highest price at which winning is worth what the money would bring later."""
        highest = min(self.highest_price, budget_left)
        prices = np.arange(highest + 1)
        points = (budget_left - prices) / self.unit
        row = self.expected[min(auctions_left, len(self.expected)) - 1]
        left = np.interp(points, np.arange(len(row)), row)
        worth = np.flatnonzero(value + left >= left[0])
        return int(worth[-1])


def _on_grid(chances: Doubles, unit: float) -> Doubles:
    """Chances of prices in whole units; a price between two counts for both, so that the mean stays the same."""
    place = np.arange(len(chances)) / unit
    lower = place.astype(np.int64)
    found = np.zeros(lower[-1] + 2)
    np.add.at(found, lower, chances * (1 - (place - lower)))
    np.add.at(found, lower + 1, chances * (place - lower))
    return found


def _mean_gain(values: Doubles) -> tuple[NDArray[np.float32], float]:
    """(mean of max(v - h, 0) in the middle of GAIN_CELLS of h from 0 to the highest value, 0 beyond; cells for each
    unit of h)."""
    highest = max(float(values.max()), 1e-12)
    ordered = np.sort(values)
    sums = np.concatenate([np.cumsum(ordered[::-1])[::-1], [0.0]])
    middle = highest * (np.arange(GAIN_CELLS) + 0.5) / GAIN_CELLS
    above = np.searchsorted(ordered, middle, side="right")
    gain = np.maximum(sums[above] - middle * (len(ordered) - above), 0.0) / len(ordered)
    return np.append(gain, 0.0).astype(np.float32), GAIN_CELLS / highest


@dataclass
class DynamicBidder:
    """Bids by a ValueTable in rounds of `auctions` with the same `budget`.

    Auctions to come are taken to be worth `mean_value` each (RLB). One that `learns` does so in its first round alone:
    later its table rests on the values seen, and is made anew when they have become four times as many.
    """

    chances: Doubles
    mean_value: float
    auctions: int
    budget: int
    learns: bool = False
    steps: int = STEPS
    seen: list[float] = field(default_factory=list)
    table: ValueTable = field(init=False)

    def __post_init__(self) -> None:
        self.table, self.next_table = self._table([self.mean_value]), self.auctions

    def _table(self, values: ArrayLike) -> ValueTable:
        return ValueTable.of(self.chances, values, auctions=self.auctions, budget=self.budget, steps=self.steps)

    def bid(self, value: float, auctions_left: int, budget_left: int) -> int:
        if self.learns:
            if auctions_left == self.auctions and len(self.seen) >= self.next_table:
                self.table, self.next_table = self._table(self.seen), 4 * len(self.seen)
            self.seen.append(value)
        return self.table.bid(value, auctions_left, budget_left)

    def spent(self, price: int) -> None:
        pass


@dataclass
class TruthfulBidder:
    """Bids what an auction is worth until the budget is gone: `price_of_value` converts a value to money."""

    price_of_value: float

    def bid(self, value: float, auctions_left: int, budget_left: int) -> int:
        return min(int(self.price_of_value * value), budget_left)

    def spent(self, price: int) -> None:
        pass


@dataclass
class DualBidder:
    """Bids value x price_of_value, which rises where less than `target` (above 0) is spent for an auction, and falls
    where more: price_of_value *= exp(step (1 - spent / target)). A step of 1 / sqrt(auctions) gives the best bound.
    """

    price_of_value: float
    target: float
    step: float

    def bid(self, value: float, auctions_left: int, budget_left: int) -> int:
        return min(int(self.price_of_value * value), budget_left)

    def spent(self, price: int) -> None:
        self.price_of_value *= math.exp(self.step * (1.0 - price / self.target))


@dataclass
class PidBidder:
    """Truthful bids, lowered by what the PID controller of ml.policy.pacing says after each PID_STRETCH auctions."""

    price_of_value: float
    target: float
    state: PidState = field(default_factory=PidState)
    share: float = 1.0
    stretch: list[int] = field(default_factory=list)

    def bid(self, value: float, auctions_left: int, budget_left: int) -> int:
        return min(int(self.price_of_value * self.share * value), budget_left)

    def spent(self, price: int) -> None:
        self.stretch.append(price)
        if len(self.stretch) == PID_STRETCH:
            planned = self.target * PID_STRETCH
            self.state, self.share = pid_step(self.state, target=planned, spent=sum(self.stretch))
            self.stretch.clear()


def price_of_value_within(chances: Doubles, mean_value: float, target: float) -> float:
    """The price_of_value at which an auction of the mean value costs `target` in the mean, by the chances of prices."""
    cost = np.cumsum(np.arange(len(chances)) * chances)
    return float(np.searchsorted(cost, target)) / mean_value
