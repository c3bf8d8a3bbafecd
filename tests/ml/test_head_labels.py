"""Which outcome follows each event, and where it is not known, on logs small enough to check by eye."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ml.data.activity import DAY, activity, activity_of_events, activity_of_history
from ml.data.columns import EventColumns, write_columns
from ml.data.splits import global_time_split
from ml.tasks.head_labels import Seen, count_outcomes, labels, measurable_rows, training_labels
from ml.tasks.head_settings import Head
from tests.ml.logs import make_log

VIEW, CART, BUY = 0, 1, 2
NEXT_TYPE = Head("next_type")
PURCHASE = Head("purchase", days=2, types=("buy",))
CHURN = Head("churn", days=3)
UNKNOWN = -1


@pytest.fixture
def small(tmp_path: Path) -> EventColumns:
    """Anna looks on day 0 and 1, buys on day 3 and looks on day 9; Ben puts something in the cart on day 5, once."""
    return write_columns(
        tmp_path / "small",
        subject=[0, 0, 0, 0, 1],
        item=[1, 2, 2, 1, 1],
        type=[VIEW, VIEW, BUY, VIEW, CART],
        time=[DAY * day for day in (0, 1, 3, 9, 5)],
        value=[np.nan] * 5,
        items=["a", "b"],
        types=["view", "cart", "buy"],
    )


def seen_before(columns: EventColumns, day: float) -> Seen:
    rows = [int((columns.time[begin:end] < day * DAY).sum()) for begin, end in zip(*bounds(columns), strict=True)]
    return Seen(columns.offsets[:-1] + np.array(rows), day * DAY)


def bounds(columns: EventColumns) -> tuple[np.ndarray, np.ndarray]:
    return np.array(columns.offsets[:-1]), np.array(columns.offsets[1:])


def test_outcomes_when_the_whole_log_is_seen(small: EventColumns) -> None:
    whole = Seen.whole(small)
    assert labels(NEXT_TYPE, small, whole).tolist() == [VIEW, BUY, VIEW, UNKNOWN, UNKNOWN]
    # Anna's purchase comes exactly two days after her second view, and counts; her last view is the log's end.
    assert labels(PURCHASE, small, whole).tolist() == [0, 1, 0, UNKNOWN, 0]
    # Ben came once and not again in the three days that the log goes on.
    assert labels(CHURN, small, whole).tolist() == [0, 0, 1, UNKNOWN, 1]


@pytest.mark.parametrize(
    ("day", "next_type", "purchase", "churn"),
    [
        # Nothing of day 3 is seen: the purchase there may not show.
        (3, [VIEW, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN], [0, *[UNKNOWN] * 4], [UNKNOWN] * 5),
        # Day 3 is seen, but an outcome is not known before all of its days are over, the purchase included.
        (3.5, [VIEW, BUY, *[UNKNOWN] * 3], [0, 1, *[UNKNOWN] * 3], [0, *[UNKNOWN] * 4]),
        # A day on which it ends is not a day that is over.
        (5, [VIEW, BUY, *[UNKNOWN] * 3], [0, 1, *[UNKNOWN] * 3], [0, 0, *[UNKNOWN] * 3]),
        (7, [VIEW, BUY, *[UNKNOWN] * 3], [0, 1, 0, UNKNOWN, UNKNOWN], [0, 0, 1, UNKNOWN, UNKNOWN]),
    ],
)
def test_what_is_not_seen_gives_no_label(
    small: EventColumns, day: float, next_type: list[int], purchase: list[int], churn: list[int]
) -> None:
    seen = seen_before(small, day)
    assert labels(NEXT_TYPE, small, seen).tolist() == next_type
    assert labels(PURCHASE, small, seen).tolist() == purchase
    assert labels(CHURN, small, seen).tolist() == churn


def test_labels_equal_a_walk_over_the_log(tmp_path: Path) -> None:
    """The same rules as a loop, on a log of some hundred events."""
    log = make_log(tmp_path / "log", subjects=30)
    head = Head("purchase", days=0.5, types=("purchase",))
    until = float(np.quantile(log.time, 0.7))
    seen = seen_before(log, until / DAY)
    expected = []
    for begin, end in zip(*bounds(log), strict=True):
        for row in range(begin, end):
            latest = log.time[row] + 0.5 * DAY
            later = [other for other in range(row + 1, end) if log.time[other] <= latest]
            bought = any(log.types[log.type[other]] == "purchase" for other in later)
            expected.append(int(bought) if latest < until else UNKNOWN)
    assert 0 < sum(label == 1 for label in expected) < len(expected)
    assert labels(head, log, seen).tolist() == expected


def test_no_training_label_changes_with_what_happens_after_the_validation_time(log: EventColumns) -> None:
    split = global_time_split(log, validation_quantile=0.8, test_quantile=0.9)
    heads = [NEXT_TYPE, Head("purchase", days=1, types=("purchase",)), Head("churn", days=1)]
    future = log.time >= split.validation_time
    otherwise = replace(
        log,
        type=np.where(future, 1 - log.type, log.type),
        time=np.where(future, log.time + 1e6 * (1 + np.arange(log.events)), log.time),
    )
    before, after = (training_labels(heads, columns, split) for columns in (log, otherwise))
    for head in heads:
        assert (before[head.name] != UNKNOWN).any()
        assert np.array_equal(before[head.name], after[head.name])
        assert (before[head.name][future] == UNKNOWN).all()


def test_what_is_tested_lies_in_the_newest_holdout_and_is_known(log: EventColumns) -> None:
    split = global_time_split(log, validation_quantile=0.8, test_quantile=0.9)
    head = Head("churn", days=0.5)
    rows = measurable_rows(head, log, split)
    assert len(rows)
    assert (log.time[rows] >= split.test_time).all()
    assert (log.time[rows] + 0.5 * DAY <= log.time.max()).all()


def test_outcomes_are_counted_by_activity_and_drawn_towards_the_rate_of_all(small: EventColumns) -> None:
    known, activity = labels(PURCHASE, small, Seen.whole(small)), activity_of_events(small)
    counted = count_outcomes(PURCHASE, small, known, activity)
    # One purchase among four known outcomes, and each outcome once more.
    assert counted.overall == pytest.approx([4 / 6, 2 / 6])
    assert counted.rate[activity[1]] == pytest.approx([20 * 4 / 6 / 21, (20 * 2 / 6 + 1) / 21])
    by_type = count_outcomes(NEXT_TYPE, small, labels(NEXT_TYPE, small, Seen.whole(small)), activity)
    assert by_type.overall == pytest.approx([3 / 6, 1 / 6, 2 / 6])
    assert by_type.rate[1 + VIEW] == pytest.approx([(10 + 1) / 22, 20 / 6 / 22, (20 * 2 / 6 + 1) / 22])


def test_activity_is_type_gap_and_events_of_the_week(small: EventColumns) -> None:
    """Anna's events on days 0, 1, 3 and 9, and Ben's on day 5: of a week's length ago counts, of longer ago not."""
    days = [np.inf, 1.0, 2.0, 6.0, np.inf]
    expected = activity([1, 1, 3, 1, 2], np.array(days) * DAY, [1, 2, 3, 2, 1])
    assert activity_of_events(small).tolist() == expected.tolist()
    assert activity_of_history(1, small.time[:4]) == expected[3]
    assert activity_of_history(2, small.time[4:]) == expected[4]
    assert len({int(activity(1, 0.0, recent)) for recent in (1, 2, 3, 4, 200)}) == 4


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (Head("purchase", days=1, types=("purchase", "order")), "types names order; the log's event types are view"),
        (Head("churn", days=400), "churn has no event to learn from: none is followed by 400 whole days before"),
        (Head("churn", days=7), "churn has no event to be measured on.*lower validation_quantile and test_quantile"),
    ],
)
def test_a_head_that_cannot_be_learned_or_measured_is_named(log: EventColumns, head: Head, message: str) -> None:
    split = global_time_split(log, validation_quantile=0.8, test_quantile=0.9)
    with pytest.raises(ValueError, match=message):
        training_labels([head], log, split)
