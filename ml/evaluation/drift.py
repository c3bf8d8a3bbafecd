"""Whether what a model is asked today still looks like what it was trained on.

numpy only. A reference is a few dozen numbers for each feature and lies in the model's artifact as JSON.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

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


def _counts(edges: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
