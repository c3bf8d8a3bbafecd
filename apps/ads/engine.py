"""Ad placement's only door to `ml`: what an impression is worth, who wins an auction, how budgets are paced.

`smoothed_rates` is what counting says of clicks and conversions, `learned_rates` what a promoted model says;
`find_alike` is what makes audiences from a seed.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from behavior.histories import Histories
from ml.data.columns import EventColumns
from ml.data.impressions import Impressions
from ml.policy.auction import clearing_price, rank
from ml.policy.lookalike import Choice, Head, Quality, choose, fit_head, judge
from ml.policy.pacing import PidState, adaptive_step, bid_factor, pid_step, step_size
from ml.serving.requests import ClickRateRequest
from serving import gateway
from serving.artifacts import resolve_artifact
from serving.engine import open_predictor
from serving.selectors import current_line
from tenancy.scope import current_tenant_id

if TYPE_CHECKING:
    from ml.serving.next_item import NextItemPredictor

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
    """A Beta distribution by its mean, or one of each rate (n,), and by how many observations it is worth."""

    mean: float | NDArray[np.float64]
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
# How long an auction waits for rates that know the subject; after that the others count.
PERSONAL_SECONDS = 0.05
# So many rates are asked for at once, so that an answer takes no longer than its deadline and others wait for one only.
MOST_ASKED = 5_000


def learned_rates(model: str, creatives: Sequence[str], placements: Sequence[str]) -> NDArray[np.float64] | None:
    """Rates (n,) of creatives, each at its placement, by the live version of a line; None where none answers."""
    found: list[float] = []
    for start in range(0, len(creatives), MOST_ASKED):
        part = slice(start, start + MOST_ASKED)
        answer = gateway.rates(model, _rate_request(creatives[part], placements[part], []))
        if answer.prediction is None:
            return None
        found += answer.prediction["probabilities"]
    return np.array(found) if found else None


def learned_rates_after(
    model: str, creatives: Sequence[str], placements: Sequence[str], history: Sequence[str]
) -> NDArray[np.float64] | None:
    """Rates (n,) of creatives, each at its placement, before somebody who did what `history` tells, oldest first; None
    where the live version of the line does not answer in PERSONAL_SECONDS."""
    if not gateway.has_model(model):
        return None
    answer = gateway.rates(model, _rate_request(creatives, placements, history), PERSONAL_SECONDS)
    return None if answer.prediction is None else np.array(answer.prediction["probabilities"])


def reads_history() -> bool:
    """Whether the live version of the model of clicks was trained with what subjects did."""
    live = current_line(CLICK_MODEL).live
    if live is None:
        return False
    try:
        return _history_length(resolve_artifact(current_tenant_id(), live.artifact)) > 0
    except (OSError, ValueError, KeyError):
        # An artifact that cannot be read now may be there for the next auction, so nothing of this is kept.
        return False


@lru_cache(maxsize=1024)
def _history_length(folder: Path) -> int:
    return int(json.loads((folder / "config.json").read_text(encoding="utf-8"))["history_length"])


def write_impressions(
    path: Path,
    *,
    time: Sequence[float],
    succeeded: Sequence[bool],
    delay: Sequence[float | None],
    creatives: Sequence[str],
    placements: Sequence[str],
    histories: Sequence[Sequence[str]],
) -> None:
    """What models of rates learn from: shown ads with their clicks, or clicks with their conversions; and what the
    subjects had done before, oldest first."""
    pairs = [_pair(creative, placement) for creative, placement in zip(creatives, placements, strict=True)]
    Impressions.of(
        time=time,
        clicked=succeeded,
        delay=np.array(delay, dtype=np.float64),
        fields={"creative": creatives, "placement": placements, PAIR: pairs},
        target="creative",
        history=histories,
    ).write(path)


def open_impressions(path: Path) -> Impressions:
    return Impressions.open(path)


def sample_requests(impressions: Impressions, count: int) -> list[ClickRateRequest]:
    """All creatives of the log at one placement after the other, with the history of one of its rows, as an auction
    asks."""
    told, placements, _ = impressions.values
    creatives = [told[code - 1] for code in np.unique(impressions.fields[:, impressions.target_place]) if code]
    requests = []
    for number in range(count):
        placement = placements[number % len(placements)]
        history = [told[code - 1] for code in impressions.history[number % len(impressions)] if code]
        requests.append(_rate_request(creatives, [placement] * len(creatives), history))
    return requests


def _rate_request(creatives: Sequence[str], placements: Sequence[str], history: Sequence[str]) -> ClickRateRequest:
    pairs = [_pair(creative, placement) for creative, placement in zip(creatives, placements, strict=True)]
    return ClickRateRequest(
        candidates={"creative": list(creatives), "placement": list(placements), PAIR: pairs}, history=list(history)
    )


def _pair(creative: str, placement: str) -> str:
    return f"{creative} {placement}"


# Audiences -----------------------------------------------------------------------------------------------------------
# The line whose encoder reads what subjects did.
SUBJECT_MODEL = "next-item"


@dataclass(frozen=True)
class SubjectReader:
    """The live version of a model of the next item, as a reader of histories."""

    version: UUID
    predictor: "NextItemPredictor"

    def read(
        self, histories: Histories, person: NDArray[np.int64], end: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Vectors (n, D) of what persons (n,) did before the rows `end` (n,), and which of them did anything that the
        model knows, (n,)."""
        from ml.serving.subject_vectors import subject_vectors

        columns = EventColumns(
            path=Path(),
            offsets=histories.offsets,
            item=(histories.item + 1).astype(np.int32),
            type=histories.type.astype(np.int16),
            time=histories.time,
            value=histories.value,
            items=histories.items,
            types=histories.types,
        )
        return subject_vectors(self.predictor, columns, person, end)


@dataclass(frozen=True)
class Alike:
    """A head that says how much subjects are like a seed, how it was chosen, and how well such heads do."""

    head: Head
    choice: Choice
    quality: Quality


def subject_reader() -> SubjectReader | None:
    """None where no version of the line is live. Raises OSError or ValueError for a broken artifact."""
    live = current_line(SUBJECT_MODEL).live
    if live is None:
        return None
    predictor = open_predictor(resolve_artifact(current_tenant_id(), live.artifact))
    return SubjectReader(live.id, cast("NextItemPredictor", predictor))


def find_alike(
    *,
    seed: NDArray[np.float32],
    others: NDArray[np.float32],
    seed_activity: NDArray[np.int64],
    other_activity: NDArray[np.int64],
    share: float,
    generator: np.random.Generator,
) -> Alike:
    """See ml.policy.lookalike; vectors (s, D), (n, D) and numbers of events (s,), (n,)."""
    quality = judge(seed, others, seed_activity, other_activity, share, generator)
    choice = choose(seed, others, share, generator)
    return Alike(fit_head(choice, seed, others), choice, quality)
