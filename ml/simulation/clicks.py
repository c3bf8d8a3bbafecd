"""Clicks on the results of searches whose true relevance is known, and how people came to look at a place.

For judging what a ranker makes of such a log: it sees the clicks, the truth stays here.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ml.data.ranked_lists import RankedLists, write_ranked_lists

Browsing = Literal["positions", "cascade"]
NAMES = ["client_score", "client_rank", "sequence", "popularity", "price"]
STARTED = 1_700_000_000.0
MINUTE = 60.0
# Of the cascade: chance to go on to the next place after one that was not clicked.
GOES_ON = 0.85

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Searches:
    """Candidates in the order in which they were shown, (searches, candidates); features has one more axis.

    relevance is the chance that an item is clicked by someone who looks at it.
    """

    features: Floats
    relevance: Floats

    def log(self, path: Path, clicks: NDArray[np.bool_]) -> RankedLists:
        """The searches with a click as a log of shown lists."""
        kept = clicks.any(axis=1)
        searches, candidates = clicks[kept].shape
        return write_ranked_lists(
            path,
            list_of_row=np.repeat(np.arange(searches), candidates),
            time=STARTED + MINUTE * np.arange(searches),
            rank=np.tile(np.arange(1, candidates + 1), searches),
            grade=clicks[kept].ravel().astype(np.float32),
            features=self.features[kept].reshape(-1, len(NAMES)),
            names=NAMES,
        )


def simulate_searches(count: int, *, candidates: int, exploration: float, generator: np.random.Generator) -> Searches:
    """Searches whose client scores know the text alone, with noise, while people also want what suits them.

    The client's order is shown, drawn from a Plackett-Luce distribution with weight 1 / rank and the temperature
    `exploration`; 0 shows it as it is.
    """
    shape = (count, candidates)
    text, sequence, price = (generator.normal(size=shape) for _ in range(3))
    popularity = generator.normal(size=shape)
    client_score = text + 0.7 * generator.normal(size=shape)
    client_rank = 1 + np.argsort(np.argsort(-client_score, axis=1), axis=1)
    wanted = 1.2 * text + 1.2 * sequence + 0.4 * popularity - 0.5 * price**2
    relevance = 1 / (1 + np.exp(2.0 - wanted))
    shown_by = -np.log(client_rank) + exploration * generator.gumbel(size=shape)
    order = np.argsort(-shown_by, axis=1, kind="stable")
    features = np.stack([client_score, -np.log2(client_rank), sequence, popularity, price], axis=2)
    return Searches(
        features=np.take_along_axis(features, order[:, :, None], axis=1),
        relevance=np.take_along_axis(relevance, order, axis=1),
    )


def simulate_clicks(
    relevance: Floats, *, browsing: Browsing, power: float, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Clicks (searches, candidates) on lists of this relevance, in the order shown.

    positions: place r is looked at with probability 1 / r**power, whatever else happens (position-based model).
    cascade: places are looked at from the first on, until a click or until patience ends (Craswell et al., 2008, WSDM).
    """
    wanted = generator.random(relevance.shape) < relevance
    places = np.arange(1, relevance.shape[1] + 1)
    if browsing == "positions":
        return wanted & (generator.random(relevance.shape) < 1.0 / places**power)
    ends = wanted | (generator.random(relevance.shape) >= GOES_ON)
    first_end = np.where(ends.any(axis=1), ends.argmax(axis=1), relevance.shape[1])
    reached: NDArray[np.bool_] = places - 1 <= first_end[:, None]
    return wanted & reached


def true_ndcg(relevance: Floats, scores: NDArray[np.floating], k: int = 10) -> float:
    """Mean NDCG@k of the order by falling scores, with the true relevance as gain; both (searches, candidates)."""
    discount = 1.0 / np.log2(np.arange(2, k + 2))

    def gain(by: NDArray[np.floating]) -> Floats:
        order = np.argsort(-by, axis=1, kind="stable")[:, :k]
        total: Floats = (np.take_along_axis(relevance, order, axis=1) * discount[: order.shape[1]]).sum(axis=1)
        return total

    return float((gain(scores) / gain(relevance)).mean())
