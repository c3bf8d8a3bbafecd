"""Ad placement's only door to `ml`: what an impression is worth, who wins an auction, how budgets are paced.

`smoothed_rates` is where a model of clicks and conversions takes its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.policy.auction import clearing_price, rank
from ml.policy.pacing import PidState, adaptive_step, bid_factor, pid_step, step_size

__all__ = [
    "PidState",
    "Prior",
    "adaptive_step",
    "bid_factor",
    "clearing_price",
    "pid_step",
    "rank",
    "smoothed_rates",
    "step_size",
]


@dataclass(frozen=True)
class Prior:
    """A Beta distribution by its mean and by how many observations it is worth."""

    mean: float
    weight: float


def smoothed_rates(successes: Sequence[int], trials: Sequence[int], prior: Prior) -> NDArray[np.float64]:
    """Posterior means of rates (n,), in (0, 1), under a Beta prior: (s + mean w) / (t + w).

    Source: T. Graepel et al., "Web-scale Bayesian click-through rate prediction", ICML 2010, section 2, of which this
    is the case without features.
    """
    s, t = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    # Events may be counted before what they follow, so a rate is kept below one.
    return np.minimum((s + prior.mean * prior.weight) / (np.maximum(t, s) + prior.weight), 0.999)
