"""What a rule would have done: alerts a day, precision, recall, money, and what the live rules do already."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from apps.risk.back_tests.history import History, is_fraud
from apps.risk.rules.language.syntax import Node
from apps.risk.rules.language.vectorised import Booleans, evaluate_condition

MOST_SHOWN = 20
DAY = 86_400


@dataclass
class Day:
    """One day (UTC); `frauds` and `caught` are what is known by now, so they are too low where not `mature`."""

    day: str
    mature: bool
    transactions: int = 0
    alerts: int = 0
    frauds: int = 0
    caught: int = 0
    fraud_amount: float = 0.0
    caught_amount: float = 0.0


@dataclass
class Overlap:
    """A live rule: its own hits, and those that the tested rule shares with it."""

    key: str
    hits: int = 0
    shared: int = 0


@dataclass
class BackTestReport:
    """precision, recall and amount_recall rest on the mature days; None where there is nothing to divide by.

    precision      share of the alerts that are known to be fraud; what has no label counts as genuine
    recall         share of the known frauds that were caught
    amount_recall  share of their amount
    new_alerts     alerts that no live rule hits
    """

    days: list[Day]
    transactions: int = 0
    alerts: int = 0
    new_alerts: int = 0
    alerts_a_day: float | None = None
    mature_alerts: int = 0
    frauds: int = 0
    caught: int = 0
    fraud_amount: float = 0.0
    caught_amount: float = 0.0
    precision: float | None = None
    recall: float | None = None
    amount_recall: float | None = None
    overlap: list[Overlap] = field(default_factory=list)
    sample: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def measure(
    history: History,
    node: Node,
    live: Mapping[str, Node],
    *,
    since: datetime,
    until: datetime,
    now: datetime,
    label_delay: timedelta,
    progress: Callable[[float], None],
) -> BackTestReport:
    """Ask the rule and the live ones of each tested transaction. `progress` hears shares from 0 to 1.

    Fraud is known within `label_delay` of its day; days that are younger count in no rate.
    """
    days = _days(since, until, now - label_delay)
    overlap = {key: Overlap(key) for key in live}
    fraud = is_fraud(history.log, now)
    hits = np.zeros(len(history.log), dtype=bool)
    known = np.zeros(len(history.log), dtype=bool)
    for rows in history.chunks():
        facts = history.facts(rows)
        hits[rows] = evaluate_condition(node, facts)
        for key, other in live.items():
            theirs = evaluate_condition(other, facts)
            known[rows] |= theirs
            overlap[key].hits += int(theirs.sum())
            overlap[key].shared += int((theirs & hits[rows]).sum())
        progress((rows[-1] + 1 - history.tested[0]) / len(history.tested))
    _count_days(history, days, hits, fraud, since)
    report = _totals(days)
    report.new_alerts = int((hits & ~known).sum())
    report.overlap = sorted(overlap.values(), key=lambda each: (-each.shared, -each.hits, each.key))
    report.sample = _sample(history, np.flatnonzero(hits), fraud)
    return report


def _days(since: datetime, until: datetime, mature_until: datetime) -> list[Day]:
    number = (until - since).days
    starts = [since + timedelta(days=each) for each in range(number)]
    return [Day(start.date().isoformat(), start + timedelta(days=1) <= mature_until) for start in starts]


def _count_days(history: History, days: list[Day], hits: Booleans, fraud: Booleans, since: datetime) -> None:
    rows = history.tested
    day = ((history.log.time[rows] - since.timestamp()) // DAY).astype(np.int64)
    amount, hit, bad = history.log.amount[rows], hits[rows], fraud[rows]

    def sums(chosen: Booleans, weights: Any = None) -> list[float]:
        weighed = None if weights is None else weights[chosen]
        counted: list[float] = np.bincount(day[chosen], weights=weighed, minlength=len(days)).tolist()
        return counted

    everything = np.ones(len(rows), dtype=bool)
    counts = (sums(everything), sums(hit), sums(bad), sums(hit & bad), sums(bad, amount), sums(hit & bad, amount))
    for each, (all_, alerts, frauds, caught, fraud_amount, caught_amount) in zip(
        days, zip(*counts, strict=True), strict=True
    ):
        each.transactions, each.alerts, each.frauds, each.caught = int(all_), int(alerts), int(frauds), int(caught)
        each.fraud_amount, each.caught_amount = fraud_amount, caught_amount


def _totals(days: list[Day]) -> BackTestReport:
    mature = [day for day in days if day.mature]
    report = BackTestReport(
        days=days,
        transactions=sum(day.transactions for day in days),
        alerts=sum(day.alerts for day in days),
        mature_alerts=sum(day.alerts for day in mature),
        frauds=sum(day.frauds for day in mature),
        caught=sum(day.caught for day in mature),
        fraud_amount=sum(day.fraud_amount for day in mature),
        caught_amount=sum(day.caught_amount for day in mature),
    )
    report.alerts_a_day = _share(report.alerts, len(days))
    report.precision = _share(report.caught, report.mature_alerts)
    report.recall = _share(report.caught, report.frauds)
    report.amount_recall = _share(report.caught_amount, report.fraud_amount)
    return report


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _sample(history: History, rows: Any, fraud: Booleans) -> list[dict[str, Any]]:
    """The newest hits."""
    chosen = rows[-MOST_SHOWN:][::-1]
    part = history.table.select(["transaction_id", "given_amount", "currency"]).take(chosen)
    part = part.rename_columns(["transaction_id", "amount", "currency"]).to_pylist()
    times = (datetime.fromtimestamp(history.log.time[row], UTC).isoformat() for row in chosen)
    return [
        each | {"occurred_at": time, "fraud": bool(fraud[row])}
        for each, time, row in zip(part, times, chosen, strict=True)
    ]


def start_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
