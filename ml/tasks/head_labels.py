"""Outcomes of the events of a log, as labels for the prediction heads, without a look at what may not be seen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.data.activity import ACTIVITIES_OF_TYPE
from ml.data.columns import EventColumns
from ml.data.splits import Split, count_before
from ml.evaluation.untrained_outcomes import OutcomeRates
from ml.nn.heads import NO_LABEL
from ml.nn.names import NEXT_TYPE
from ml.tasks.head_settings import PURCHASE, Head

Indices = NDArray[np.int64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Seen:
    """What is seen of a log: rows below end[s] of each subject s, all of them before the time `until`."""

    end: Indices
    until: float

    @classmethod
    def in_training(cls, columns: EventColumns, split: Split) -> "Seen":
        """Events before the validation time. Raises ValueError for a split without one."""
        if split.validation_time is None:
            raise ValueError("prediction_heads needs a split by time: outcomes within days need one clock for all")
        return cls(columns.offsets[:-1] + count_before(columns, split.validation_time), split.validation_time)

    @classmethod
    def whole(cls, columns: EventColumns) -> "Seen":
        """All events; the log ends with the newest one."""
        return cls(np.array(columns.offsets[1:]), float(np.nextafter(columns.time.max(), np.inf)))


def labels(head: Head, columns: EventColumns, seen: Seen) -> Labels:
    """The outcome after each event, (events,) int64, NO_LABEL where it is not known from what is seen.

    next_type: the type code of the subject's next event. purchase: 1 where an event of one of the types follows within
    the days, the last moment included, else 0. churn: 1 where no event follows within the days, else 0.

    An outcome within days is known only where all these days are seen. One that has happened already is no exception:
    with it, the newest positions would be those where something happened alone, and every rate would come out too high.
    """
    subject = columns.subject_of_events()
    row = np.arange(columns.events)
    end = seen.end[subject]
    if head.name == NEXT_TYPE:
        following = columns.type[np.minimum(row + 1, columns.events - 1)].astype(np.int64)
        return np.where(row + 1 < end, following, NO_LABEL)
    until = columns.time + head.seconds
    candidate = np.isin(columns.type, _codes(head, columns)) if head.name == PURCHASE else np.ones(len(row), dtype=bool)
    following_row = _next_row(candidate)
    within = columns.time[np.minimum(following_row, columns.events - 1)] <= until
    happened = (following_row < end) & within
    outcome = happened if head.name == PURCHASE else ~happened
    return np.where((row < end) & (until < seen.until), outcome, NO_LABEL)


def training_labels(heads: Sequence[Head], columns: EventColumns, split: Split) -> dict[str, Labels]:
    """By head, the labels that training may see. Raises ValueError for types that the log does not have, for days
    that training does not span, and for days that the newest holdout does not span, so that nothing could be measured.
    """
    seen = Seen.in_training(columns, split)
    known = {head.name: labels(head, columns, seen) for head in heads}
    for head in heads:
        if not (known[head.name] != NO_LABEL).any():
            raise ValueError(
                f"prediction_heads.{head.name} has no event to learn from: {_span(head)} before the validation time; "
                "shorten its days, or collect more events"
            )
        if not len(measurable_rows(head, columns, split)):
            raise ValueError(
                f"prediction_heads.{head.name} has no event to be measured on: {_span(head)} after the test time; "
                "shorten its days, or lower validation_quantile and test_quantile"
            )
    return known


def measurable_rows(head: Head, columns: EventColumns, split: Split) -> Indices:
    """The rows of the events since the test time whose outcome is known by the end of the log."""
    assert split.test_time is not None
    known = labels(head, columns, Seen.whole(columns)) != NO_LABEL
    return np.flatnonzero(known & (columns.time >= split.test_time))


def count_outcomes(head: Head, columns: EventColumns, known: Labels, activity: Indices) -> OutcomeRates:
    """How often each outcome came among the labelled events: of next_type by the event's own type, of every other head
    by its activity."""
    labelled = np.flatnonzero(known != NO_LABEL)
    by_type = head.name == NEXT_TYPE
    return OutcomeRates.count(
        outcome_groups(head, activity[labelled]),
        known[labelled],
        groups=(len(columns.types) + 1) * (1 if by_type else ACTIVITIES_OF_TYPE),
        outcomes=len(columns.types) if by_type else 2,
    )


def outcome_groups(head: Head, activity: Indices) -> Indices:
    """The groups of events with these activities, as `count_outcomes` tells them apart."""
    return activity // ACTIVITIES_OF_TYPE if head.name == NEXT_TYPE else activity


def _next_row(candidate: NDArray[np.bool_]) -> Indices:
    """The first candidate row after each row; the number of rows where there is none. Subjects are not told apart."""
    rows = np.append(np.flatnonzero(candidate), len(candidate))
    return rows[np.searchsorted(rows, np.arange(len(candidate)), side="right")]


def _codes(head: Head, columns: EventColumns) -> list[int]:
    unknown = sorted(set(head.types) - set(columns.types))
    if unknown:
        raise ValueError(
            f"prediction_heads.{head.name}.types names {', '.join(unknown)}; "
            f"the log's event types are {', '.join(columns.types)}"
        )
    return [columns.types.index(name) for name in head.types]


def _span(head: Head) -> str:
    return "none has a next one" if head.days is None else f"none is followed by {head.days:g} whole days"
