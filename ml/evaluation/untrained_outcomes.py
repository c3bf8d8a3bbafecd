"""Outcomes predicted by counting alone: what a prediction head starts from, and what it has to beat."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]

# A group's rates count as if this many more events had come there at the rates of all.
PRIOR_EVENTS = 20.0


@dataclass(frozen=True)
class OutcomeRates:
    """How often each outcome came: `overall` (outcomes,), and `rate` (groups, outcomes) by group of events. Both sum to
    1 over the outcomes, and none is 0."""

    overall: Floats
    rate: Floats

    @classmethod
    def count(cls, group: Indices, outcome: Indices, *, groups: int, outcomes: int) -> "OutcomeRates":
        """From pairs of codes. Each outcome counts once more than it was seen, so that none is impossible."""
        count = np.bincount(outcome, minlength=outcomes) + 1.0
        overall: Floats = count / count.sum()
        seen = np.bincount(group * outcomes + outcome, minlength=groups * outcomes).reshape(groups, outcomes)
        rate = (seen + PRIOR_EVENTS * overall) / (seen.sum(axis=1, keepdims=True) + PRIOR_EVENTS)
        return cls(overall, rate)
