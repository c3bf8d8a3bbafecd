"""Velocity features: how often, how much and how suspiciously the parties of a transaction have dealt before it.

One function for training and for serving, so that they cannot differ. The history of a transaction at one of its
parties is what that party did strictly before it, at most 38 days back and at most the newest 2,000 transactions.
Windows of counts, sums, means and distinct parties hold that history and the transaction itself. Windows with "settled"
end seven days earlier, when most of what is fraud has become known, as in the Fraud Detection Handbook (Le Borgne et
al., 2022, chapter 3). Whatever rests on labels uses those that were known at the moment of the transaction.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ml.data.party_log import DAY, HISTORY_SECONDS, HOUR, PartyLog, Positions, party_logs, span
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


def other_side(party: str) -> str:
    return "counterparty" if party == "customer" else "customer"


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
# Starts of windows that are looked up together.
_CUTS = tuple(days * DAY for days in (1 / 24, 1, 7, 8, 14, 28, 30, 37, 38))
_CUT = {seconds: column for column, seconds in enumerate(_CUTS)}


def velocity_features(
    transactions: TransactionColumns,
    at: NDArray[np.int64] | None = None,
    logs: Mapping[str, PartyLog] | None = None,
) -> Table:
    """Features of the transactions `at` (all where None) out of this log, shape (len(at), len(FEATURES)).

    The log must hold the whole history of these transactions' parties; the rest of it does not matter. NaN where a
    party is missing or a value has nothing to rest on. `logs` are the log's `party_logs`, where they are at hand.
    """
    wanted = np.arange(len(transactions)) if at is None else np.asarray(at, dtype=np.int64)
    table = np.full((len(wanted), len(FEATURES)), np.nan, dtype=np.float32)
    time, amount = np.asarray(transactions.time)[wanted], np.asarray(transactions.amount)[wanted]
    hour = time % DAY / HOUR
    # 1970-01-01 was a Thursday.
    weekday = (np.floor(time / DAY) + 3) % 7
    columns = {"amount": amount, "hour": hour, "is_night": hour < NIGHT_ENDS, "is_weekend": weekday >= 5}
    _put(table, np.arange(len(wanted)), columns)
    for party, log in (party_logs(transactions) if logs is None else logs).items():
        present, place = log.places(wanted, len(transactions))
        rows = np.flatnonzero(present)
        other = np.asarray(getattr(transactions, other_side(party)))[log.rows]
        earlier = _earlier_with_same(log, np.asarray(getattr(transactions, party))[log.rows], other)
        for part in _chunks(log.end[place] - log.begin[place]):
            chosen = place[part]
            _put(table, rows[part], _party_features(party, log, chosen, other, earlier))
    return table


def _chunks(lengths: Positions) -> Iterator[slice]:
    """Slices of rows whose histories hold about SPAN_ROWS transactions together."""
    if not len(lengths):
        return
    chunk = np.cumsum(lengths + 1) // SPAN_ROWS
    edges = np.concatenate([[0], np.flatnonzero(np.diff(chunk)) + 1, [len(lengths)]])
    for begin, end in pairwise(edges):
        yield slice(int(begin), int(end))


def _put(table: Table, rows: Positions, columns: dict[str, NDArray]) -> None:
    # All at once: for a single row, column after column takes longer than working them out.
    places = [_COLUMN[name] for name in columns]
    table[rows[:, None], places] = np.array(list(columns.values()), dtype=np.float32).T


def _earlier_with_same(log: PartyLog, party: Positions, other: Positions) -> Positions:
    """For each position the one before it with the same two parties, -1 where there is none."""
    order = np.lexsort((other, party))
    own, met = party[order], other[order]
    same = (own[1:] == own[:-1]) & (met[1:] == met[:-1])
    earlier = np.full(len(order), -1, dtype=np.int64)
    earlier[order[1:][same]] = order[:-1][same]
    return earlier


def _party_features(
    party: str, log: PartyLog, place: Positions, other: Positions, earlier: Positions
) -> dict[str, NDArray]:
    start = log.starts(place, np.array(_CUTS))
    end, now, amount = log.end[place], log.time[place], log.amount[place]
    begin = start[:, _CUT[HISTORY_SECONDS]]
    columns: dict[str, NDArray] = {}
    # All windows of all rows at once, row after row: (n, windows).
    low = start[:, [_CUT[seconds] for seconds in WINDOWS.values()]]
    windows = low.shape
    history = span(low.ravel(), np.repeat(end, len(WINDOWS)))
    count, total = end[:, None] - low, history.sums(log.amount[history.position]).reshape(windows)
    partner, own = other[history.position], np.repeat(other[place], len(WINDOWS))
    # One is counted where it appears first in the window.
    is_first = (partner >= 0) & (earlier[history.position] < low.ravel()[history.row])
    met = history.sums(partner == own[history.row])
    distinct = (history.sums(is_first) + ((met == 0) & (own >= 0))).reshape(windows)
    spent = total + amount[:, None]
    for name, values in {
        "count": count + 1,
        "amount_sum": spent,
        "amount_mean": spent / (count + 1),
        distinct_name(party): distinct,
    }.items():
        columns |= {f"{party}_{name}_{window}": values[:, column] for column, window in enumerate(WINDOWS)}
    columns |= _beside_mean(party, amount, total[:, -1], count[:, -1])
    columns[f"{party}_seconds_since_last"] = _seconds_since(log, now, np.where(end > begin, end - 1, -1))
    columns |= _label_features(party, log, start, begin, end, now)
    if party == "customer":
        columns |= _customer_features(log, place, start, begin, end, other)
    return columns


def _seconds_since(log: PartyLog, now: NDArray, position: Positions) -> NDArray:
    """Seconds from the transaction at each position until now; NaN where the position is -1."""
    if not len(log.time):
        return np.full(len(now), np.nan)
    return np.where(position >= 0, now - log.time[position], np.nan)


def _ratio(value: NDArray, base: NDArray) -> NDArray:
    """value / base, NaN where there is no base above 0."""
    return np.divide(value, base, out=np.full(len(value), np.nan), where=base > 0.0)


def _beside_mean(party: str, amount: NDArray, total: NDArray, count: NDArray) -> dict[str, NDArray]:
    """Beside the mean of the last and longest of WINDOWS."""
    if party not in ("customer", "counterparty"):
        return {}
    return {f"amount_to_{party}_mean_30d": _ratio(amount, _ratio(total, count.astype(np.float64)))}


def _label_features(
    party: str, log: PartyLog, start: Positions, begin: Positions, end: Positions, now: NDArray
) -> dict[str, NDArray]:
    columns: dict[str, NDArray] = {}
    settled_end = start[:, _CUT[SETTLED]]
    low = start[:, [_CUT[SETTLED + seconds] for seconds in SETTLED_WINDOWS.values()]]
    ends, moments = (np.repeat(each, len(SETTLED_WINDOWS)) for each in (settled_end, now))
    count = settled_end[:, None] - low
    frauds = log.frauds_within(low.ravel(), ends, moments).sums().reshape(low.shape)
    rate = np.divide(frauds, count, out=np.zeros(low.shape), where=count > 0)
    for place, window in enumerate(SETTLED_WINDOWS):
        columns[f"{party}_settled_count_{window}"] = count[:, place]
        columns[f"{party}_fraud_rate_{window}"] = rate[:, place]
    known = log.frauds_within(begin, end, now)
    recent = known.position >= start[:, _CUT[28 * DAY]][known.row]
    least = np.full(len(now), np.inf)
    np.minimum.at(least, known.row, log.amount[known.position])
    first, last = known.first(), known.last()
    settled = span(begin, settled_end)
    genuine = settled.where(~log.known_fraud(settled.position, now[settled.row]))
    newest_genuine = genuine.last()
    run = known.where(known.position > newest_genuine[known.row])
    since_first = genuine.where(genuine.position > first[genuine.row]).sums()
    return columns | {
        f"{party}_known_frauds_28d": known.where(recent).sums(),
        f"{party}_known_fraud_amount_min": np.where(np.isinf(least), np.nan, least),
        f"{party}_seconds_since_known_fraud": _seconds_since(log, now, last),
        f"{party}_seconds_since_first_known_fraud": _seconds_since(log, now, first),
        f"{party}_genuine_since_first_known_fraud": np.where(first >= 0, since_first, np.nan),
        f"{party}_seconds_since_settled_genuine": _seconds_since(log, now, newest_genuine),
        f"{party}_fraud_run": run.sums(),
        f"{party}_seconds_since_fraud_run": _seconds_since(log, now, run.first()),
    }


def _customer_features(
    log: PartyLog, place: Positions, start: Positions, begin: Positions, end: Positions, other: Positions
) -> dict[str, NDArray]:
    """What is usual for this customer, without this transaction."""
    amount = log.amount[place]
    history = span(begin, end)
    past = log.amount[history.position]
    met = history.sums(other[history.position] == other[place][history.row])
    median = _median(log, begin, end)
    large = history.where(past > LARGE * median[history.row])
    month = span(start[:, _CUT[30 * DAY]], end)
    spent = log.amount[month.position]
    count = month.sums()
    mean = _ratio(month.sums(spent), count)
    deviation = np.sqrt(_ratio(month.sums((spent - mean[month.row]) ** 2), count - 1.0))
    largest = np.zeros(len(place))
    np.maximum.at(largest, month.row, spent)
    before = span(begin, start[:, _CUT[14 * DAY]])
    mean_before = _ratio(before.sums(log.amount[before.position]), before.sums())
    columns = {
        "new_counterparty": np.where(other[place] >= 0, met == 0, np.nan),
        "amount_to_customer_mean_before_14d": _ratio(amount, mean_before),
        "amount_to_customer_median": _ratio(amount, median),
        "amount_to_customer_max_30d": _ratio(amount, largest),
        "amount_z_customer_30d": _ratio(amount - mean, deviation),
        "customer_amount_median": median,
    }
    for window, seconds in (("7d", 7 * DAY), ("14d", 14 * DAY), ("30d", 30 * DAY)):
        within = large.position >= start[:, _CUT[seconds]][large.row]
        columns[f"customer_large_{window}"] = large.where(within).sums()
    return columns


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
