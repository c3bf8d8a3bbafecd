"""Mixtures of the network and the untrained predictor, with weights chosen on validation cases."""

from dataclasses import asdict, astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from ml.evaluation.ranking import ndcg

Floats = NDArray[np.float32]

# Enough popularity to order what nothing else knows, too little to overrule what something does.
TIE_BREAKER = 0.001


@dataclass(frozen=True)
class Mixture:
    """Shares of four distributions over the items; they sum to 1, so the mixture is a distribution too."""

    neural: float
    rules: float
    repeats: float
    popularity: float

    def combine(self, components: Floats) -> Floats:
        """(4, cases, items) in the order of the fields -> (cases, items)."""
        combined = np.zeros(components.shape[1:], dtype=np.float32)
        for share, component in zip(astuple(self), components, strict=True):
            if share:
                combined += np.float32(share) * component
        return combined

    def to_dict(self) -> dict[str, float]:
        return asdict(self)


NEURAL = Mixture(neural=1.0, rules=0.0, repeats=0.0, popularity=0.0)
POPULARITY = Mixture(neural=0.0, rules=0.0, repeats=0.0, popularity=1.0)


def untrained_mixtures() -> list[Mixture]:
    """Candidates without a network, plain rules first: every balance of rules, repeats and popularity."""
    return [
        Mixture(0.0, (1.0 - popularity) * (1.0 - repeats), (1.0 - popularity) * repeats, popularity)
        for popularity in (TIE_BREAKER, 0.1, 0.4)
        for repeats in (0.0, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.0)
    ]


def blended_mixtures(untrained: Mixture) -> list[Mixture]:
    """Candidates with a network: every share of it beside the chosen `untrained` mixture and beside rules alone.

    The share 0 comes first, so that a network which does not help is left out.
    """
    rules = Mixture(0.0, 1.0 - TIE_BREAKER, 0.0, TIE_BREAKER)
    return [
        Mixture(share, *((1.0 - share) * part for part in astuple(beside)[1:]))
        for beside in (untrained, rules)
        for share in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
    ]


def choose_mixture(candidates: list[Mixture], ranks: NDArray[np.int64]) -> Mixture:
    """The candidate with the best NDCG@10, the earlier one among equals; ranks (candidates, cases)."""
    return candidates[int(np.argmax(ndcg(ranks, 10).mean(axis=1)))]
