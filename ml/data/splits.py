"""Splits into training, validation and test that do not leak.

The default is a global time split: train < validation_time <= validation < test_time <= test. Leave-one-out lets a
model learn from other subjects' future; it exists to compare with published figures and says so in its label.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ml.data.columns import EventColumns

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Cases:
    """Prediction cases: event `target` is to be predicted from the same subject's events start to target - 1."""

    start: Indices
    target: Indices

    def __len__(self) -> int:
        return len(self.target)

    def take(self, chosen: Indices | slice) -> "Cases":
        return Cases(self.start[chosen], self.target[chosen])


@dataclass(frozen=True)
class Split:
    """Training events are rows train_start[s] to train_end[s] of each subject s; cases index the same columns.

    `cold` counts the test subjects left out because they have no earlier item event to predict from.
    """

    kind: Literal["global_time", "leave_one_out", "placed"]
    train_start: Indices
    train_end: Indices
    validation: Cases
    test: Cases
    validation_time: float | None
    test_time: float | None
    cold: int

    def describe(self) -> dict[str, object]:
        """The split in JSON terms, for the report."""
        label = "leave-one-out: other subjects' future is seen in training" if self.kind == "leave_one_out" else ""
        return {
            "kind": self.kind,
            "warning": label,
            "validation_time": self.validation_time,
            "test_time": self.test_time,
            "train_events": int((self.train_end - self.train_start).sum()),
            "validation_cases": len(self.validation),
            "test_cases": len(self.test),
            "test_subjects_without_history": self.cold,
        }


def global_time_split(
    columns: EventColumns, *, validation_quantile: float, test_quantile: float, successive: bool = False
) -> Split:
    """Split at two quantiles of the event times.

    A case is a subject's first item event in the window, or every one of them when `successive`. Raises ValueError
    where the quantiles are out of order or a part comes out empty.
    """
    if not 0.0 < validation_quantile < test_quantile < 1.0:
        raise ValueError("split quantiles must satisfy 0 < validation_quantile < test_quantile < 1")
    if not columns.events:
        raise ValueError("the log holds no events; nothing can be trained")
    quantiles = np.quantile(columns.time, [validation_quantile, test_quantile], method="higher")
    validation_time, test_time = float(quantiles[0]), float(quantiles[1])
    train_end = columns.offsets[:-1] + count_before(columns, validation_time)
    validation, _ = window_cases(columns, start=validation_time, end=test_time, successive=successive)
    test, cold = window_cases(columns, start=test_time, end=np.inf, successive=successive)
    split = Split(
        kind="global_time",
        train_start=np.array(columns.offsets[:-1]),
        train_end=train_end,
        validation=validation,
        test=test,
        validation_time=validation_time,
        test_time=test_time,
        cold=cold,
    )
    _check_parts(split)
    return split


def leave_one_out_split(columns: EventColumns) -> Split:
    """Test on each subject's last item event, validate on the one before, train on what precedes both."""
    with_item = np.flatnonzero(columns.item > 0)
    per_subject = np.bincount(columns.subject_of_events()[with_item], minlength=columns.subjects)
    last = np.cumsum(per_subject) - 1
    usable = per_subject >= 3
    start = np.array(columns.offsets[:-1])
    test = with_item[last[usable]]
    validation = with_item[last[usable] - 1]
    train_end = np.array(columns.offsets[1:])
    train_end[usable] = validation
    split = Split(
        kind="leave_one_out",
        train_start=start,
        train_end=train_end,
        validation=Cases(start[usable], validation),
        test=Cases(start[usable], test),
        validation_time=None,
        test_time=None,
        cold=0,
    )
    _check_parts(split)
    return split


def window_cases(columns: EventColumns, *, start: float, end: float, successive: bool) -> tuple[Cases, int]:
    """Cases whose target lies in start <= time < end, and how many were left out for want of an earlier item event."""
    subject = columns.subject_of_events()
    with_item = np.flatnonzero(columns.item > 0)
    first_item = np.full(columns.subjects, columns.events, dtype=np.int64)
    np.minimum.at(first_item, subject[with_item], with_item)
    time = columns.time[with_item]
    target = with_item[(time >= start) & (time < end)]
    if not successive:
        target = target[np.unique(subject[target], return_index=True)[1]]
    has_history = target > first_item[subject[target]]
    warm = target[has_history]
    return Cases(np.array(columns.offsets)[subject[warm]], warm), int((~has_history).sum())


def count_before(columns: EventColumns, time: float) -> Indices:
    """How many events each subject has before a time, (subjects,)."""
    before = np.concatenate([[0], np.cumsum(columns.time < time)])
    return before[columns.offsets[1:]] - before[columns.offsets[:-1]]


def _check_parts(split: Split) -> None:
    trainable = (split.train_end - split.train_start >= 2).any()
    if not trainable or not len(split.validation) or not len(split.test):
        raise ValueError(
            f"the {split.kind} split leaves {'enough' if trainable else 'too little'} to train on, "
            f"{len(split.validation)} validation cases and {len(split.test)} test cases; "
            "collect more events per subject, over a longer time, or move the split quantiles"
        )
