"""Sealed-bid auctions for places: who wins, and what it costs.

Values are what a thousand impressions are worth to a bidder, scores are value x quality (the "rank score"), and prices
are for a thousand impressions. Sources: W. Vickrey, "Counterspeculation, auctions, and competitive sealed tenders",
J. Finance 16 (1961), for the second price; B. Edelman, M. Ostrovsky and M. Schwarz, "Internet advertising and the
generalized second-price auction", American Economic Review 97 (2007), section II, for GSP with quality scores.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

KINDS = ("first_price", "second_price", "gsp")


@dataclass(frozen=True)
class Award:
    """`position` of the winner among the bidders, and the price for a thousand impressions."""

    position: int
    price: float


def rank(
    scores: NDArray[np.float64], draw: Callable[[int], NDArray[np.float64]], *, best: int | None = None
) -> NDArray[np.int64]:
    """Positions (bidders,) by falling score; equals stand in a drawn order, each with equal chances.

    `draw(n)` gives n numbers as `Generator.random` does, and is asked only where there are equals. With `best` only so
    many of the first and their equals are sorted and returned, which is much faster for many bidders; they are equal.
    """
    if best is None or best >= len(scores):
        found = np.arange(len(scores))
    else:
        found = np.flatnonzero(scores >= np.partition(scores, -best)[-best])
    falling = -scores[found]
    order = np.argsort(falling)
    ranked = falling[order]
    if (ranked[1:] == ranked[:-1]).any():
        order = np.lexsort((draw(len(scores))[found], falling))
    return found[order]


def clearing_price(value: float, quality: float, next_score: float, floor: float, kind: str) -> float:
    """What the winner pays: its value, or the least with which it would still have won, never below the floor.

    `next_score` is that of the best loser, 0 without one. Raises ValueError for an unknown kind.
    """
    if kind == "first_price":
        return value
    if kind not in KINDS:
        raise ValueError(f"'{kind}' is no auction; known are {', '.join(KINDS)}")
    return min(value, max(floor, next_score / quality))


def run_auction(
    kind: str,
    values: Sequence[float],
    qualities: Sequence[float],
    *,
    floor: float,
    slots: int,
    generator: np.random.Generator,
) -> list[Award]:
    """Awards of up to `slots` places, the best first. Bidders whose value is below the floor stay out.

    `second_price` ranks by value alone, and all winners pay the best value that won nothing (the uniform price of
    several equal places). `gsp` ranks by value x quality, and each winner pays what keeps it above the next.
    """
    value = np.asarray(values, dtype=np.float64)
    quality = np.ones(len(value)) if kind == "second_price" else np.asarray(qualities, dtype=np.float64)
    able = np.flatnonzero(value >= floor)
    score = (value * quality)[able]
    order = able[rank(score, generator.random)]
    ranked = value[order] * quality[order]
    awards = []
    for place, position in enumerate(order[:slots]):
        below = min(slots, len(order)) if kind == "second_price" else place + 1
        next_score = float(ranked[below]) if below < len(order) else 0.0
        price = clearing_price(float(value[position]), float(quality[position]), next_score, floor, kind)
        awards.append(Award(int(position), price))
    return awards
