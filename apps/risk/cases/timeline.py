"""A subject's transactions as a picture: amounts over time, with alerts and known frauds marked."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.risk.transactions.amounts import as_given
from apps.risk.transactions.models import Transaction

WIDTH, HEIGHT = 920, 220
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 14, 28
TICKS = 5


@dataclass(frozen=True)
class Mark:
    """One transaction; `kind` is plain, weighed, alert or fraud, `words` what a pointer that rests on it is told."""

    x: float
    y: float
    base: float
    kind: str
    words: str


@dataclass(frozen=True)
class Tick:
    at: float
    words: str


@dataclass(frozen=True)
class Timeline:
    """Places in a box of WIDTH by HEIGHT."""

    marks: Sequence[Mark]
    days: Sequence[Tick]
    amounts: Sequence[Tick]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    floor: int = HEIGHT - BOTTOM


def timeline_of(
    transactions: Sequence[Transaction], alerted: Collection[str], weighed: Collection[str] = ()
) -> Timeline | None:
    """Amounts on a logarithmic scale, since a fraud is often many times as large as what is usual; None without any.
    `alerted` and `weighed` (which a score rests on) are ids of transactions."""
    if not transactions:
        return None
    first, last = transactions[0].occurred_at, transactions[-1].occurred_at
    span = max((last - first).total_seconds(), 1.0)
    most = max(max(each.amount for each in transactions), 1.0)
    height = HEIGHT - TOP - BOTTOM

    def across(moment: datetime) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (moment - first).total_seconds() / span, 1)

    def up(amount: float) -> float:
        return round(HEIGHT - BOTTOM - height * math.log1p(amount) / math.log1p(most), 1)

    def kind_of(each: Transaction) -> str:
        if each.fraud_known_at is not None and each.cleared_at is None:
            return "fraud"
        if each.transaction_id in alerted:
            return "alert"
        return "weighed" if each.transaction_id in weighed else "plain"

    marks = [
        Mark(across(each.occurred_at), up(each.amount), float(HEIGHT - BOTTOM), kind_of(each), _words(each))
        for each in transactions
    ]
    # What is marked lies above what is not.
    marks.sort(key=lambda mark: mark.kind != "plain")
    step = timedelta(seconds=span / (TICKS - 1))
    days = [Tick(across(first + number * step), f"{first + number * step:%Y-%m-%d}") for number in range(TICKS)]
    amounts = [Tick(up(each), f"{each:,.0f}") for each in _round_amounts(most)]
    return Timeline(marks, days, amounts)


def _round_amounts(most: float) -> list[float]:
    powers = [10.0**power for power in range(int(math.log10(most)) + 1)]
    return powers[-4:] or [1.0]


def _words(transaction: Transaction) -> str:
    where = f" to {transaction.counterparty}" if transaction.counterparty else ""
    when = f"{transaction.occurred_at:%Y-%m-%d %H:%M}"
    return f"{as_given(transaction):,.2f} {transaction.currency}{where}, {when} ({transaction.transaction_id})"
