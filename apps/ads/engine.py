"""Ad placement's only door to `ml`: what an impression is worth, who wins an auction, how budgets are paced.

`smoothed_rates` is what counting says of clicks and conversions, `learned_rates` what a promoted model says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.data.impressions import Impressions
from ml.policy.auction import clearing_price, rank
from ml.policy.pacing import PidState, adaptive_step, bid_factor, pid_step, step_size
from ml.serving.requests import ClickRateRequest
from serving import gateway

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


# The lines of models that the auction asks.
CLICK_MODEL, CONVERSION_MODEL = "click-rate", "conversion-rate"
# What counting knows, a creative's own rate at a placement, is one field of its own: a model must beat it.
PAIR = "creative_at_placement"


def learned_rates(model: str, creatives: Sequence[str], placement: str) -> NDArray[np.float64] | None:
    """Rates of these creatives at a placement, (n,), by the live version of a line; None where none answers."""
    if not creatives:
        return None
    answer = gateway.rates(model, _rate_request(creatives, placement))
    return None if answer.prediction is None else np.array(answer.prediction["probabilities"])


def write_impressions(
    path: Path,
    *,
    time: Sequence[float],
    succeeded: Sequence[bool],
    delay: Sequence[float | None],
    creatives: Sequence[str],
    placements: Sequence[str],
) -> None:
    """What models of rates learn from: shown ads with their clicks, or clicks with their conversions."""
    pairs = [_pair(creative, placement) for creative, placement in zip(creatives, placements, strict=True)]
    Impressions.of(
        time=time,
        clicked=succeeded,
        delay=np.array(delay, dtype=np.float64),
        fields={"creative": creatives, "placement": placements, PAIR: pairs},
        target="creative",
    ).write(path)


def open_impressions(path: Path) -> Impressions:
    return Impressions.open(path)


def sample_requests(impressions: Impressions, count: int) -> list[ClickRateRequest]:
    """All creatives of the log at one placement after the other, as an auction asks."""
    creatives, placements, _ = impressions.values
    return [_rate_request(creatives, placements[number % len(placements)]) for number in range(count)]


def _rate_request(creatives: Sequence[str], placement: str) -> ClickRateRequest:
    return ClickRateRequest(
        candidates={"creative": list(creatives), PAIR: [_pair(creative, placement) for creative in creatives]},
        context={"placement": placement},
    )


def _pair(creative: str, placement: str) -> str:
    return f"{creative} {placement}"
