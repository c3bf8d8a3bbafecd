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
    """Shares of five distributions over the items; they sum to 1, so the mixture is a distribution too."""

    neural: float
    rules: float
    neighbors: float
    repeats: float
    popularity: float

    def combine(self, components: Floats) -> Floats:
        """(5, cases, items) in the order of the fields -> (cases, items)."""
        combined = np.zeros(components.shape[1:], dtype=np.float32)
        for share, component in zip(astuple(self), components, strict=True):
            if share:
                combined += np.float32(share) * component
        return combined

    def to_dict(self) -> dict[str, float]:
        return asdict(self)

    def beside(self, neural: float) -> "Mixture":
        """The same balance of the others, with this share for the network."""
        rest = (1.0 - neural) / max(1.0 - self.neural, 1e-12)
        return Mixture(neural, *(rest * part for part in astuple(self)[1:]))


NEURAL = Mixture(neural=1.0, rules=0.0, neighbors=0.0, repeats=0.0, popularity=0.0)
POPULARITY = Mixture(neural=0.0, rules=0.0, neighbors=0.0, repeats=0.0, popularity=1.0)
NEIGHBORS = Mixture(neural=0.0, rules=0.0, neighbors=1.0 - TIE_BREAKER, repeats=0.0, popularity=TIE_BREAKER)


def untrained_mixtures(*, with_neighbors: bool) -> list[Mixture]:
    """Candidates without a network, plain rules first: every balance of rules, repeats and popularity, and some of
    these with neighbours in the rules' stead, in part or whole."""
    balances = [
        (1.0, repeats, popularity)
        for popularity in (TIE_BREAKER, 0.1, 0.4)
        for repeats in (0.0, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.0)
    ]
    if with_neighbors:
        balances += [
            (rules, repeats, TIE_BREAKER)
            for rules in (0.75, 0.5, 0.25, 0.1, 0.0)
            for repeats in (0.0, 0.1, 0.2, 0.35, 0.5)
        ]
    return [
        Mixture(
            neural=0.0,
            rules=(1.0 - popularity) * (1.0 - repeats) * rules,
            neighbors=(1.0 - popularity) * (1.0 - repeats) * (1.0 - rules),
            repeats=(1.0 - popularity) * repeats,
            popularity=popularity,
        )
        for rules, repeats, popularity in balances
    ]


def blended_mixtures(untrained: Mixture) -> list[Mixture]:
    """Candidates with a network: every share of it beside the chosen `untrained` mixture and beside simpler ones.

    The share 0 comes first, so that a network which does not help is left out.
    """
    rules = Mixture(0.0, 1.0 - TIE_BREAKER, 0.0, 0.0, TIE_BREAKER)
    others = [untrained, rules]
    if untrained.neighbors:
        half = (1.0 - TIE_BREAKER) / 2
        others += [NEIGHBORS, Mixture(0.0, half, half, 0.0, TIE_BREAKER)]
    return [
        beside.beside(share)
        for beside in others
        for share in (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
    ]


def choose_mixture(candidates: list[Mixture], ranks: NDArray[np.int64], cutoff: int = 10) -> Mixture:
    """The candidate with the best NDCG@cutoff, the earlier one among equals; ranks (candidates, cases)."""
    return candidates[int(np.argmax(ndcg(ranks, cutoff).mean(axis=1)))]
