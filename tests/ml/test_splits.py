from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from ml.data.columns import EventColumns
from ml.data.splits import global_time_split, leave_one_out_split, window_cases


def in_memory(subject: list[int], item: list[int], time: list[float]) -> EventColumns:
    order = np.lexsort((time, subject))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(subject))])
    size = len(item)
    return EventColumns(
        path=Path(),
        offsets=offsets,
        item=np.array(item, dtype=np.int32)[order],
        type=np.zeros(size, dtype=np.int16),
        time=np.array(time, dtype=np.float64)[order],
        value=np.full(size, np.nan, dtype=np.float32),
        items=["a", "b", "c"],
        types=["view"],
    )


LOGS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3), st.integers(0, 40)), min_size=30, max_size=120).map(
    lambda events: in_memory(*(list(column) for column in zip(*events, strict=True)))
)


@settings(max_examples=100)
@given(columns=LOGS, successive=st.booleans())
def test_a_global_time_split_never_trains_on_the_future(columns: EventColumns, successive: bool) -> None:
    try:
        split = global_time_split(columns, validation_quantile=0.6, test_quantile=0.8, successive=successive)
    except ValueError:
        reject()  # all events at one time, say: nothing to split
    for subject in range(columns.subjects):
        begin, end = split.train_start[subject], split.train_end[subject]
        assert (columns.time[begin:end] < split.validation_time).all()
        assert (columns.time[end : columns.offsets[subject + 1]] >= split.validation_time).all()
    for cases, low, high in (
        (split.validation, split.validation_time, split.test_time),
        (split.test, split.test_time, np.inf),
    ):
        assert (columns.time[cases.target] >= low).all()
        assert (columns.time[cases.target] < high).all()
        assert (columns.item[cases.target] > 0).all()


@settings(max_examples=100)
@given(columns=LOGS)
def test_the_first_cases_are_each_subjects_first_successive_case(columns: EventColumns) -> None:
    first, cold = window_cases(columns, start=20.0, end=np.inf, successive=False)
    every, cold_events = window_cases(columns, start=20.0, end=np.inf, successive=True)
    subject = columns.subject_of_events()
    in_window = (columns.item > 0) & (columns.time >= 20.0)
    assert len(every) + cold_events == in_window.sum()
    assert len(first) + cold == len(np.unique(subject[in_window]))
    assert set(first.target) <= set(np.flatnonzero(in_window))
    for start, target in zip(every.start, every.target, strict=True):
        assert start == columns.offsets[subject[target]]
        assert (columns.item[start:target] > 0).any()


def test_leave_one_out_holds_back_the_last_two_items_and_says_what_it_is() -> None:
    columns = in_memory([0, 0, 0, 0, 0, 1, 1], [1, 2, 3, 1, 0, 2, 3], [1, 2, 3, 4, 5, 1, 2])
    split = leave_one_out_split(columns)
    assert split.test.target.tolist() == [3]
    assert split.validation.target.tolist() == [2]
    # Subject 1 is too short to test on, and is trained on whole.
    assert split.train_end.tolist() == [2, 7]
    assert "future" in str(split.describe()["warning"])


def test_a_log_without_holdout_is_refused_with_the_cure() -> None:
    columns = in_memory([0, 1, 2, 3], [1, 2, 3, 1], [1, 2, 3, 4])
    with pytest.raises(ValueError, match="collect more events"):
        global_time_split(columns, validation_quantile=0.5, test_quantile=0.75)


def test_quantiles_out_of_order_are_refused() -> None:
    columns = in_memory([0, 0], [1, 2], [1, 2])
    with pytest.raises(ValueError, match="validation_quantile < test_quantile"):
        global_time_split(columns, validation_quantile=0.9, test_quantile=0.8)
