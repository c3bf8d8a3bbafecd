"""Velocity features: how often, how much and how suspiciously the parties of a transaction have dealt before it.

One function for training and for serving, so that they cannot differ. The history of a transaction at one of its
parties is what that party did strictly before it, at most 38 days back and at most the newest 2,000 transactions.
Windows of counts, sums, means and distinct parties hold that history and the transaction itself. Windows with "settled"
end seven days earlier, when most of what is fraud has become known, as in the Fraud Detection Handbook (Le Borgne et
al., 2022, chapter 3). Whatever rests on labels uses those that were known at the moment of the transaction.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ml.data.party_log import CUSTOMER, DAY, HISTORY_SECONDS, HOUR, Floats, PartyLog, Positions, Span, party_logs, span
from ml.data.transactions import PARTIES, TransactionColumns

WINDOWS = {"1h": HOUR, "1d": DAY, "7d": 7 * DAY, "30d": 30 * DAY}
SETTLED_WINDOWS = {"1d": DAY, "7d": 7 * DAY, "30d": 30 * DAY}
SETTLED = 7 * DAY
NIGHT_ENDS = 7
LARGE = 3.0
# Rows at once: bounds the memory of the windows' transactions.
SPAN_ROWS = 1_000_000
MEDIAN_ROWS = 64

Table = NDArray[np.float32]


def distinct_name(party: str) -> str:
    return "counterparties" if party == "customer" else "customers"


def describe_features() -> dict[str, str]:
    """Each feature's name with what it says, in the order of the columns."""
    features = {
        "amount": "amount",
        "hour": "hour of the day (UTC), with its fraction",
        "is_night": "1 from midnight to 7 o'clock (UTC)",
        "is_weekend": "1 on Saturday and Sunday (UTC)",
    }
    for party in PARTIES:
        features |= _describe_party(party)
    return features | {
        "new_counterparty": "1 where the customer has not dealt with this counterparty in 38 days",
        "amount_to_customer_mean_30d": "amount over the customer's mean of the 30 days before",
        "amount_to_customer_mean_before_14d": "amount over the customer's mean from 38 to 14 days before",
        "amount_to_customer_median": f"amount over the customer's median of the last {MEDIAN_ROWS}",
        "amount_to_customer_max_30d": "amount over the customer's largest amount of the 30 days before",
        "amount_z_customer_30d": "standard deviations that the amount lies above the customer's mean of 30 days",
        "customer_amount_median": f"the customer's median amount of the last {MEDIAN_ROWS} transactions in 38 days",
        "customer_large_7d": "the customer's transactions above 3 times that median in the 7 days before",
        "customer_large_14d": "the customer's transactions above 3 times that median in the 14 days before",
        "customer_large_30d": "the customer's transactions above 3 times that median in the 30 days before",
        "amount_to_counterparty_mean_30d": "amount over the counterparty's mean of the 30 days before",
    }


def _describe_party(party: str) -> dict[str, str]:
    features = {}
    for window in WINDOWS:
        within = f"the {party}'s transactions within {window}, this one included"
        features[f"{party}_count_{window}"] = f"number of {within}"
        features[f"{party}_amount_sum_{window}"] = f"sum of the amounts of {within}"
        features[f"{party}_amount_mean_{window}"] = f"mean amount of {within}"
        features[f"{party}_{distinct_name(party)}_{window}"] = f"distinct {distinct_name(party)} in {within}"
    features[f"{party}_seconds_since_last"] = f"seconds since the {party}'s transaction before"
    for window in SETTLED_WINDOWS:
        settled = f"the {party}'s transactions within {window} up to 7 days ago"
        features[f"{party}_settled_count_{window}"] = f"number of {settled}"
        features[f"{party}_fraud_rate_{window}"] = f"share known to be fraud of {settled}; 0 where there are none"
    return features | {
        f"{party}_known_frauds_28d": f"the {party}'s transactions of 28 days that are known to be fraud",
        f"{party}_known_fraud_amount_min": f"smallest amount of the {party}'s known frauds of 38 days",
        f"{party}_seconds_since_known_fraud": f"seconds since the {party}'s newest known fraud of 38 days",
        f"{party}_seconds_since_first_known_fraud": f"seconds since the {party}'s oldest known fraud of 38 days",
        f"{party}_genuine_since_first_known_fraud": "settled transactions since then that are not known to be fraud",
        f"{party}_seconds_since_settled_genuine": f"seconds since the {party}'s newest settled one not known as fraud",
        f"{party}_fraud_run": "known frauds since that one",
        f"{party}_seconds_since_fraud_run": "seconds since the first of these",
    }


DESCRIPTIONS = describe_features()
FEATURES: tuple[str, ...] = tuple(DESCRIPTIONS)
_COLUMN = {name: column for column, name in enumerate(FEATURES)}
_TIMES = [_COLUMN[name] for name in ("amount", "hour", "is_night", "is_weekend")]
# In the order in which `_windows`, `_labels` and `_usual` give them; a party without one of them gives it for nothing.
_OF_PARTY = (
    *(
        f"{{party}}_{name}_{window}"
        for name in ("count", "amount_sum", "amount_mean", "{others}")
        for window in WINDOWS
    ),
    "{party}_seconds_since_last",
    "amount_to_{party}_mean_30d",
    *(f"{{party}}_{name}_{window}" for name in ("settled_count", "fraud_rate") for window in SETTLED_WINDOWS),
    "{party}_seconds_since_known_fraud",
    "{party}_seconds_since_first_known_fraud",
    "{party}_seconds_since_settled_genuine",
    "{party}_seconds_since_fraud_run",
    "{party}_known_frauds_28d",
    "{party}_known_fraud_amount_min",
    "{party}_genuine_since_first_known_fraud",
    "{party}_fraud_run",
)
_OF_CUSTOMER = (
    "amount_to_{party}_mean_before_14d",
    "amount_to_{party}_median",
    "amount_to_{party}_max_30d",
    "amount_z_{party}_30d",
    "{party}_amount_median",
    "new_{other}",
    *(f"{{party}}_large_{window}" for window in ("7d", "14d", "30d")),
)


def _columns(party: str) -> list[int]:
    """Where a party's features belong, the last and unused column for those that it does not have."""
    names = {"party": party, "others": distinct_name(party), "other": "counterparty"}
    own = _OF_CUSTOMER if party == "customer" else [""] * len(_OF_CUSTOMER)
    return [_COLUMN.get(name.format(**names), len(FEATURES)) for name in (*_OF_PARTY, *own)]


# Of amounts and their deviations. What is smaller is the rounding of equal amounts, or no amount of any currency; the
# largest amount is a multiple of it that a float32 can hold.
LEAST_BASE = 1e-9
# Starts of windows that are looked up together.
_CUTS = tuple(days * DAY for days in (1 / 24, 1, 7, 8, 14, 28, 30, 37, 38))
_CUT = {seconds: column for column, seconds in enumerate(_CUTS)}
_WHOLE = _CUT[HISTORY_SECONDS]
_WINDOWS = [_CUT[seconds] for seconds in WINDOWS.values()]
_SETTLED_WINDOWS = [_CUT[SETTLED + seconds] for seconds in SETTLED_WINDOWS.values()]
_LARGE_WINDOWS = [_CUT[days * DAY] for days in (7, 14, 30)]
_PARTY_COLUMNS = np.array([_columns(party) for party in PARTIES])


def velocity_features(
    transactions: TransactionColumns,
    at: NDArray[np.int64] | None = None,
    logs: Sequence[PartyLog] | None = None,
) -> Table:
    """Features of the transactions `at` (all where None) out of this log, shape (len(at), len(FEATURES)).

    The log must hold the whole history of these transactions' parties; the rest of it does not matter. NaN where a
    party is missing or a value has nothing to rest on. `logs` are the log's `party_logs`, where they are at hand.
    """
    wanted = np.arange(len(transactions)) if at is None else np.asarray(at, dtype=np.int64)
    # One column more than there are, for what is not asked.
    table = np.full((len(wanted), len(FEATURES) + 1), np.nan, dtype=np.float32)
    time, amount = np.asarray(transactions.time)[wanted], np.asarray(transactions.amount)[wanted]
    hour = time % DAY / HOUR
    # 1970-01-01 was a Thursday.
    weekday = (np.floor(time / DAY) + 3) % 7
    table[:, _TIMES] = np.array((amount, hour, hour < NIGHT_ENDS, weekday >= 5)).T
    for log in party_logs(transactions) if logs is None else logs:
        number, kind, place = log.places(wanted, len(transactions))
        for part in _chunks(log.end[place] - log.begin[place]):
            values = _party_features(log, place[part], with_usual=(kind[part] == CUSTOMER).any())
            table[number[part][:, None], _PARTY_COLUMNS[kind[part], : len(values)]] = values.T
    return table[:, :-1]


def _chunks(lengths: Positions) -> Iterator[slice]:
    """Slices of rows whose histories hold about SPAN_ROWS transactions together."""
    chunk = np.cumsum(lengths + 1) // SPAN_ROWS
    edges = [0, *(np.flatnonzero(chunk[1:] != chunk[:-1]) + 1).tolist(), len(lengths)]
    for begin, end in pairwise(edges):
        if begin < end:
            yield slice(begin, end)


def _party_features(log: PartyLog, place: Positions, *, with_usual: bool) -> Floats:
    """What parties tell of their transactions at `place` of the log: _OF_PARTY, and then _OF_CUSTOMER where that is
    asked of any, (features, n)."""
    past = _Past.of(log, place)
    parts = [*_windows(past), *_labels(past)]
    return np.concatenate([*parts, *_usual(past)] if with_usual else parts)


@dataclass(frozen=True)
class _Past:
    """The histories of n parties of transactions.

    place, now, amount, other (n,): of the transactions that are asked about. start (cuts, n): where in the log what is
    younger than each of _CUTS begins; count (cuts, n): how many that are. history: all of it, with the amounts `spent`.
    In each of WINDOWS, (windows, n): total, the sum of amounts; others, how many there are on the other side; met, how
    often it was the same one, and last of these in the whole history.

    All parties and windows are worked out together: for the few transactions of a request, each call of numpy costs
    more than what it does.
    """

    log: PartyLog
    place: Positions
    now: Floats
    amount: Floats
    other: Positions
    start: Positions
    count: Positions
    history: Span
    spent: Floats
    total: Floats
    others: Floats
    met: Floats

    @classmethod
    def of(cls, log: PartyLog, place: Positions) -> "_Past":
        start, end, other = log.starts(place, np.array(_CUTS)).T, log.end[place], log.other[place]
        begin = start[[*_WINDOWS, _WHOLE]]
        windows = span(begin.ravel(), np.concatenate([end] * len(begin)))
        first = len(windows.row) - int((end - begin[-1]).sum())
        spent, partner = log.amount[windows.position], log.other[windows.position]
        # One is counted where it appears first in the window.
        is_first = (log.earlier_with_same[windows.position] < begin.ravel()[windows.row]) & (partner >= 0)
        is_same = partner == np.concatenate([other] * len(begin))[windows.row]
        total, others, met = (windows.sums(each).reshape(begin.shape) for each in (spent, is_first, is_same))
        return cls(
            log=log,
            place=place,
            now=log.time[place],
            amount=log.amount[place],
            other=other,
            start=start,
            count=end - start,
            history=Span(windows.row[first:] - len(_WINDOWS) * len(place), windows.position[first:], len(place)),
            spent=spent[first:],
            total=total[:-1],
            others=others[:-1],
            met=met,
        )

    @cached_property
    def mean(self) -> Floats:
        """The mean amount within the longest of WINDOWS, (n,)."""
        return _ratio(self.total[-1], self.count[_WINDOWS[-1]])

    def is_younger(self, span: Span, cut: int) -> NDArray[np.bool_]:
        """Which of these transactions of the histories are younger than this one of _CUTS."""
        return span.position >= self.start[cut, span.row]

    def counts(self, span: Span, cuts: list[int]) -> Positions:
        """How many of these transactions of the histories are younger than each of these _CUTS, (cuts, n)."""
        cut, which = (span.position >= self.start[cuts][:, span.row]).nonzero()
        place = cut * span.rows + span.row[which]
        return np.bincount(place, minlength=len(cuts) * span.rows).reshape(len(cuts), -1)


def _windows(past: _Past) -> tuple[NDArray, ...]:
    """The first features of _OF_PARTY, those that rest on no labels."""
    payments, spent = past.count[_WINDOWS] + 1, past.total + past.amount
    since_last = past.now - past.log.time[past.log.end[past.place] - 1]
    return (
        payments,
        spent,
        spent / payments,
        past.others + ((past.met[:-1] == 0) & (past.other >= 0)),
        np.array((np.where(past.count[_WHOLE] > 0, since_last, np.nan), _ratio(past.amount, past.mean))),
    )


def _labels(past: _Past) -> tuple[NDArray, ...]:
    """The other features of _OF_PARTY."""
    history, log = past.history, past.log
    is_known = log.known_fraud(history.position, past.now[history.row])
    is_settled = ~past.is_younger(history, _CUT[SETTLED])
    known, genuine = history.where(is_known), history.where(is_settled & ~is_known)
    first, newest_genuine = known.first(), genuine.last()
    since_first = genuine.where(genuine.position > first[genuine.row]).sums()
    run = known.where(known.position > newest_genuine[known.row])
    moments = np.array((known.last(), first, newest_genuine, run.first()))
    count = past.count[_SETTLED_WINDOWS] - past.count[_CUT[SETTLED]]
    frauds = past.counts(history.where(is_known & is_settled), _SETTLED_WINDOWS)
    least = np.full(known.rows, np.nan)
    np.fmin.at(least, known.row, log.amount[known.position])
    return (
        count,
        frauds / np.maximum(count, 1),
        np.where(moments >= 0, past.now - log.time[moments], np.nan),
        past.counts(known, [_CUT[28 * DAY]]),
        np.array((least, np.where(first >= 0, since_first, np.nan), run.sums())),
    )


def _usual(past: _Past) -> tuple[NDArray, ...]:
    """The features of _OF_CUSTOMER: what is usual for a customer, without this transaction."""
    history, spent, count = past.history, past.spent, past.count
    median = _median(past.log, past.start[_WHOLE], past.log.end[past.place])
    large = history.where(spent > LARGE * median[history.row])
    is_recent = past.is_younger(history, _CUT[30 * DAY])
    squares = history.sums(is_recent * (spent - past.mean[history.row]) ** 2)
    deviation = np.sqrt(_ratio(squares, count[_CUT[30 * DAY]] - 1))
    largest = np.zeros(history.rows)
    np.maximum.at(largest, history.row, is_recent * spent)
    before = history.sums(~past.is_younger(history, _CUT[14 * DAY]) * spent)
    mean_before = _ratio(before, count[_WHOLE] - count[_CUT[14 * DAY]])
    return (
        _ratio(past.amount, np.array((mean_before, median, largest))),
        np.array((_ratio(past.amount - past.mean, deviation), median)),
        np.where(past.other >= 0, past.met[-1:] == 0, np.nan),
        past.counts(large, _LARGE_WINDOWS),
    )


def _ratio(value: NDArray, base: NDArray) -> Floats:
    """value / base, NaN where there is no base: none that a feature could be a finite multiple of."""
    return value / np.where(base >= LEAST_BASE, base, np.nan)


def _median(log: PartyLog, begin: Positions, end: Positions) -> NDArray:
    """Median amount of each history's newest MEDIAN_ROWS transactions, NaN where it is empty."""
    count = np.minimum(end - begin, MEDIAN_ROWS)
    if not count.max(initial=0):
        return np.full(len(begin), np.nan)
    offset = np.arange(count.max())
    padded = np.where(offset < count[:, None], log.amount[np.maximum(end[:, None] - 1 - offset, 0)], np.inf)
    padded.sort(axis=1)
    row = np.arange(len(begin))
    low, high = padded[row, np.maximum(count - 1, 0) // 2], padded[row, np.minimum(count // 2, len(offset) - 1)]
    return np.where(count > 0, (low + high) / 2.0, np.nan)
