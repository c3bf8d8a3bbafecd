"""Splits whose test cases are given by the data set or by a question of its own, and not by `ml.data.splits`."""

import numpy as np
from numpy.typing import NDArray

from ml.data.columns import EventColumns
from ml.data.splits import Cases, Split, count_before

# The last sessions of the training file, on which choices are made.
VALIDATION_SESSIONS = 6_000
# Quantiles of the event times at which validation and test begin; later ones leave too few buys to tell models apart.
NEXT_BUY_QUANTILES = (0.7, 0.85)


def sessions_split(columns: EventColumns, *, sessions: int) -> Split:
    """Trained on the first sessions, validated on every step of the last ones, tested on the placed targets."""
    start, end = np.array(columns.offsets[:-1]), np.array(columns.offsets[1:])
    held_out = max(1, min(VALIDATION_SESSIONS, sessions // 5))
    first_held_out = sessions - held_out
    train_end = np.where(np.arange(len(start)) < first_held_out, end, start)
    validation = np.arange(start[first_held_out], end[sessions - 1])
    subject = columns.subject_of_events()
    validation = validation[validation > start[subject[validation]]]
    test = end[sessions:] - 1
    return Split(
        kind="placed",
        train_start=start,
        train_end=train_end,
        validation=Cases(start[subject[validation]], validation),
        test=Cases(start[sessions:], test),
        validation_time=None,
        test_time=None,
        cold=0,
    )


def placed_buys_split(columns: EventColumns, *, buy: int, latest: float) -> Split:
    """Each user's held-out buy, at `latest`, is the test; the last buy before it the validation, with all that follows
    it."""
    start, end = np.array(columns.offsets[:-1]), np.array(columns.offsets[1:])
    subject = columns.subject_of_events()
    held_out = columns.time >= latest
    test = np.flatnonzero(held_out)
    buys = np.flatnonzero((columns.type == buy) & ~held_out)
    last_buy = np.full(len(start), -1)
    last_buy[subject[buys]] = buys
    usable = last_buy > start
    train_end = np.where(usable, last_buy, np.where(held_out[end - 1], end - 1, end))
    return Split(
        kind="placed",
        train_start=start,
        train_end=train_end,
        validation=Cases(start[usable], last_buy[usable]),
        test=Cases(start[subject[test]], test),
        validation_time=None,
        test_time=None,
        cold=0,
    )


def next_buy_split(columns: EventColumns, *, buy: int, times: NDArray[np.float64]) -> Split:
    """A global time split at quantiles of `times` whose cases are the buys of subjects with an earlier buy.

    Only these can be predicted from buys alone too; the others are counted as `cold`, of the test.
    """
    validation_time, test_time = (float(time) for time in np.quantile(times, NEXT_BUY_QUANTILES, method="higher"))
    start = np.array(columns.offsets[:-1])
    subject = columns.subject_of_events()
    buys = np.flatnonzero(columns.type == buy)
    known = np.zeros(len(buys), dtype=bool)
    known[1:] = subject[buys[1:]] == subject[buys[:-1]]
    time = columns.time[buys]
    validation = buys[known & (time >= validation_time) & (time < test_time)]
    test = buys[known & (time >= test_time)]
    return Split(
        kind="global_time",
        train_start=start,
        train_end=start + count_before(columns, validation_time),
        validation=Cases(start[subject[validation]], validation),
        test=Cases(start[subject[test]], test),
        validation_time=validation_time,
        test_time=test_time,
        cold=int((~known & (time >= test_time)).sum()),
    )
