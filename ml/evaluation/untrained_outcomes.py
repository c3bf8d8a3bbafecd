"""Outcomes predicted by counting alone: what a prediction head has to beat."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.data.columns import EventColumns

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
# Where the time since the event before is cut.
GAPS = np.array([MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, DAY, 3 * DAY, 7 * DAY, 30 * DAY])
# Numbers of recent events are told apart by powers of two, up to this power.
MOST_DOUBLINGS = 7
# A cell's rate counts as if this many more events had come there at the rate of all.
PRIOR_EVENTS = 20.0


@dataclass(frozen=True)
class NextTypeCounts:
    """Which event type most often follows which: share (types, types), rows sum to 1."""

    share: Floats

    @classmethod
    def count(cls, last: Indices, following: Indices, *, types: int) -> "NextTypeCounts":
        """From pairs of type codes. Each pair counts once more than it was seen, so that none is impossible."""
        pairs = np.bincount(last * types + following, minlength=types * types) + 1.0
        count = pairs.reshape(types, types)
        return cls(count / count.sum(axis=1, keepdims=True))

    def probability(self, last: Indices) -> Floats:
        """(cases, types)"""
        return self.share[last]


@dataclass(frozen=True)
class RecencyFrequency:
    """The rate of an outcome by cell; cells as of `recency_frequency_cells`."""

    rate: Floats

    @classmethod
    def count(cls, cell: Indices, outcome: Indices, *, cells: int) -> "RecencyFrequency":
        overall = outcome.mean()
        events = np.bincount(cell, minlength=cells)
        positives = np.bincount(cell, weights=outcome, minlength=cells)
        return cls((positives + PRIOR_EVENTS * overall) / (events + PRIOR_EVENTS))

    def probability(self, cell: Indices) -> Floats:
        """(cases,)"""
        return self.rate[cell]


def recency_frequency_cells(columns: EventColumns, rows: Indices, *, seconds: float) -> tuple[Indices, int]:
    """The cell of each event, and how many cells there are: by the event's type, the time since the event before it,
    and how many events came in the `seconds` up to it."""
    subject = columns.subject_of_events()[rows]
    first = columns.offsets[subject]
    time = np.asarray(columns.time)
    gap = np.where(rows > first, time[rows] - time[np.maximum(rows - 1, 0)], np.inf)
    recency = np.searchsorted(GAPS, gap, side="right")
    recent = rows - np.maximum(first, _first_since(columns, rows, subject, seconds)) + 1
    frequency = np.minimum(np.log2(recent).astype(np.int64), MOST_DOUBLINGS)
    cell = (columns.type[rows].astype(np.int64) * (len(GAPS) + 1) + recency) * (MOST_DOUBLINGS + 1) + frequency
    return cell, len(columns.types) * (len(GAPS) + 1) * (MOST_DOUBLINGS + 1)


def _first_since(columns: EventColumns, rows: Indices, subject: Indices, seconds: float) -> Indices:
    """The subject's first row that is at most `seconds` before each of the rows."""
    # One axis for all subjects, on which each one's times lie clear of the others'.
    earliest = columns.time.min()
    room = columns.time.max() - earliest + seconds + 1.0
    axis = columns.time - earliest + room * columns.subject_of_events()
    return np.searchsorted(axis, columns.time[rows] - earliest + room * subject - seconds, side="left")
