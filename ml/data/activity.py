"""What can be said of an event by counting alone: its type, how long after the one before it came, and how busy the
subject has been. All three together are one code, its activity."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml.data.columns import EventColumns

Indices = NDArray[np.int64]

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
WEEK = 7 * DAY
# Where the time since the event before is cut; a first event comes after the longest time.
GAPS = np.array([MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, DAY, 3 * DAY, WEEK, 30 * DAY])
# The number of events in the week up to this one is told apart by powers of two, up to this power.
MOST_DOUBLINGS = 7
# Events up to the last one, beyond which no further one changes the activity.
EVENTS_COUNTED = 2**MOST_DOUBLINGS
ACTIVITIES_OF_TYPE = (len(GAPS) + 1) * (MOST_DOUBLINGS + 1)


def activity(type_code: ArrayLike, gap: ArrayLike, recent: ArrayLike) -> Indices:
    """One code for each event, 0 to ACTIVITIES_OF_TYPE * (types + 1) - 1; code // ACTIVITIES_OF_TYPE is the type's.

    type_code is 0 for an unknown type; gap in seconds, infinite for a first event; recent counts the events of the week
    up to this one, itself included.
    """
    doublings = np.minimum(np.log2(recent).astype(np.int64), MOST_DOUBLINGS)
    recency = np.searchsorted(GAPS, gap, side="right")
    return (np.asarray(type_code, dtype=np.int64) * (len(GAPS) + 1) + recency) * (MOST_DOUBLINGS + 1) + doublings


def activity_of_events(columns: EventColumns) -> Indices:
    """The activity of each event of a log, (events,)."""
    row = np.arange(columns.events)
    subject = columns.subject_of_events()
    first = columns.offsets[subject]
    gap = np.append(np.inf, np.diff(columns.time))
    gap[row == first] = np.inf
    # One axis for all subjects, on which each one's times lie clear of the others'.
    earliest = columns.time.min()
    axis = columns.time - earliest + (columns.time.max() - earliest + WEEK + 1.0) * subject
    since = np.maximum(np.searchsorted(axis, axis - WEEK, side="left"), first)
    return activity(columns.type.astype(np.int64) + 1, gap, row - since + 1)


def activity_of_history(type_code: int, times: NDArray[np.float64]) -> int:
    """The activity of the last of a subject's events, from the times of its last EVENTS_COUNTED ones, oldest first."""
    gap = times[-1] - times[-2] if len(times) > 1 else np.inf
    return int(activity(type_code, gap, np.count_nonzero(times >= times[-1] - WEEK)))
