"""Whether what a model is asked today still looks like what it was trained on, and how right it is as labels mature.

numpy only. A reference is a few dozen numbers for each feature and lies in the model's artifact as JSON.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

DAY = 86_400.0
WEEK = 7 * DAY
# 1970-01-01 was a Thursday; weeks begin on Monday.
FIRST_MONDAY = 4 * DAY
BINS = 10
# Added to each bin's count, so that an empty bin does not make the index infinite (Jeffreys' prior).
SMOOTHING = 0.5
# The usual reading of the index (Siddiqi, 2006).
WATCHED, DRIFTED = 0.1, 0.25

Band = Literal["steady", "watch", "drifted"]


@dataclass(frozen=True)
class Reference:
    """How values were spread: counts[b] of them lay in bin b, which ends with edges[b] (included); the last bin is
    open. `missing` of them were NaN."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    missing: int

    def to_dict(self) -> dict[str, Any]:
        return {"edges": list(self.edges), "counts": list(self.counts), "missing": self.missing}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Reference":
        """What `to_dict` gave. Raises ValueError where edges and counts do not fit together."""
        edges, counts = tuple(map(float, stored["edges"])), tuple(map(int, stored["counts"]))
        if len(counts) != len(edges) + 1 or (np.diff(edges) <= 0).any():
            raise ValueError("a reference needs rising edges and one count more than edges")
        return cls(edges, counts, int(stored["missing"]))


def reference_of(values: ArrayLike, *, bins: int = BINS) -> Reference:
    """Bins at the quantiles of values (n,), fewer where values repeat. Raises ValueError for no values."""
    given = np.asarray(values, dtype=np.float64)
    if not len(given):
        raise ValueError("a reference needs at least one value")
    present = given[~np.isnan(given)]
    edges = (
        np.unique(np.quantile(present, np.arange(1, bins) / bins, method="inverted_cdf"))
        if len(present)
        else np.zeros(0)
    )
    edges = edges[np.isfinite(edges)]
    counts = _counts(edges, present)
    return Reference(tuple(edges.tolist()), tuple(counts.tolist()), len(given) - len(present))


def population_stability_index(reference: Reference, values: ArrayLike) -> float:
    """Sum over the bins of (share now - share then) * ln(share now / share then), 0 or more (Siddiqi, 2006).

    NaN is a bin of its own. Counts are smoothed by SMOOTHING, so a few hundred values are needed before the index
    means something. Raises ValueError for no values.
    """
    given = np.asarray(values, dtype=np.float64)
    if not len(given):
        raise ValueError("drift needs at least one value")
    present = given[~np.isnan(given)]
    now = np.append(_counts(np.array(reference.edges), present), len(given) - len(present)) + SMOOTHING
    then = np.array([*reference.counts, reference.missing]) + SMOOTHING
    now, then = now / now.sum(), then / then.sum()
    return float(((now - then) * np.log(now / then)).sum())


def band_of(index: float) -> Band:
    """How a population stability index is read: steady below 0.1, drifted above 0.25."""
    if index > DRIFTED:
        return "drifted"
    return "watch" if index >= WATCHED else "steady"


def references_of(table: NDArray[np.floating], names: Sequence[str], *, bins: int = BINS) -> dict[str, Reference]:
    """The reference of each column of table (n, names)."""
    return {name: reference_of(table[:, place], bins=bins) for place, name in enumerate(names)}


def drift_of(
    references: Mapping[str, Reference], table: NDArray[np.floating], names: Sequence[str]
) -> dict[str, float]:
    """The index of each column of table (n, names) that has a reference, the largest first."""
    found = {
        name: population_stability_index(references[name], table[:, place])
        for place, name in enumerate(names)
        if name in references
    }
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


@dataclass(frozen=True)
class WeekPerformance:
    """How right the flags of one week were, as far as its labels have had time to come.

    begins: Monday 00:00 UTC, Unix seconds. `matured` of the week's transactions are older than the label delay;
    `flagged`, `frauds` and `caught` count among these. precision and recall are None where there is nothing to divide
    by. is_mature says that the whole week is.
    """

    begins: float
    transactions: int
    matured: int
    flagged: int
    frauds: int
    caught: int
    precision: float | None
    recall: float | None
    is_mature: bool

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def performance_by_week(
    time: ArrayLike, flagged: ArrayLike, fraud: ArrayLike, *, now: float, label_delay_days: float
) -> list[WeekPerformance]:
    """One entry for each week with transactions, oldest first.

    time (n,) in Unix seconds, flagged (n,) whether it was sent to review or declined, fraud (n,) as known now. A young
    transaction counts nowhere, even where its fraud is known already: those are the quick ones, and the week would
    look worse than it will be.
    """
    moment, alarm, bad = np.asarray(time, dtype=np.float64), np.asarray(flagged, bool), np.asarray(fraud, bool)
    latest = now - label_delay_days * DAY
    mature = moment <= latest
    weeks, week = np.unique(np.floor((moment - FIRST_MONDAY) / WEEK), return_inverse=True)

    def count(chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(week[chosen], minlength=len(weeks))

    columns = (
        count(part) for part in (np.ones_like(mature), mature, mature & alarm, mature & bad, mature & alarm & bad)
    )
    begins = weeks * WEEK + FIRST_MONDAY
    return [
        _performance(float(begin), latest, *map(int, counts)) for begin, *counts in zip(begins, *columns, strict=True)
    ]


def _performance(
    begins: float, latest: float, transactions: int, matured: int, flagged: int, frauds: int, caught: int
) -> WeekPerformance:
    return WeekPerformance(
        begins=begins,
        transactions=transactions,
        matured=matured,
        flagged=flagged,
        frauds=frauds,
        caught=caught,
        precision=caught / flagged if flagged else None,
        recall=caught / frauds if frauds else None,
        is_mature=begins + WEEK <= latest,
    )


def _counts(edges: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
