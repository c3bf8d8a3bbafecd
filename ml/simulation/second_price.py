"""Second-price auctions of a log, replayed for one bidder whose budget is renewed each round."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.policy.bidding import Bidder


@dataclass(frozen=True)
class Round:
    """What one round brought: `wins`, what was `spent`, and the sum of the outcomes of the auctions won (`gained`)."""

    wins: int
    spent: int
    gained: float


def replay(
    bidder: Bidder,
    *,
    prices: NDArray[np.int64],
    values: NDArray[np.float64],
    outcomes: NDArray[np.float64],
    auctions: int,
    budget: int,
) -> Iterator[Round]:
    """Rounds of `auctions` each, the last one as long as the log has it; arrays are (all auctions,).

    A bid of at least the market price wins and pays it; the bidder is told the value, never price or outcome of what
    it loses. Raises ValueError for a bid below 0 or above what is left of the budget.
    """
    for begin in range(0, len(prices), auctions):
        left, wins, gained = budget, 0, 0.0
        for place in range(begin, min(begin + auctions, len(prices))):
            bid = bidder.bid(float(values[place]), auctions - (place - begin), left)
            if not 0 <= bid <= left:
                raise ValueError(f"a bid of {bid} with {left} left")
            paid = int(prices[place]) if bid >= prices[place] else 0
            if bid >= prices[place]:
                wins, gained, left = wins + 1, gained + float(outcomes[place]), left - paid
            bidder.spent(paid)
        yield Round(wins, budget - left, gained)
