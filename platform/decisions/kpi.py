"""KPI of a scenario, by day and in all, with the uncertainty that comes from chance.

Everything is read from the counts that decisions.counting keeps, so a page costs the same on a log of any size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from math import exp, log, sqrt
from typing import Any

from django.db import connection

from decisions.counting import BUCKETS, FASTEST_MS, SLOWEST_MS, Windows, counted_until, windows
from tenancy.scope import current_tenant_id

MOST_DAYS = 92
# Two-sided 95 % of the normal distribution.
Z = 1.959964

LISTS = """
    SELECT day, latency_bucket, lists, items, degraded FROM decisions_listcount
    WHERE tenant_id = %(tenant)s AND scenario = %(scenario)s AND day >= %(since)s AND day <= %(until)s"""
CURRENCY = """
    SELECT mode() WITHIN GROUP (ORDER BY currency) FROM decisions_listoutcome
    WHERE tenant_id = %(tenant)s AND scenario = %(scenario)s AND bought > 0
        AND decided_at >= %(start)s AND decided_at < %(end)s"""
OUTCOMES = """
    SELECT (decided_at AT TIME ZONE 'UTC')::date,
        sum(seen), sum(clicked), sum(carted), sum(bought),
        count(*) FILTER (WHERE clicked > 0), count(*) FILTER (WHERE carted > 0), count(*) FILTER (WHERE bought > 0),
        coalesce(sum(revenue) FILTER (WHERE bought > 0 AND currency IS NOT DISTINCT FROM %(currency)s), 0),
        coalesce(sum(revenue * revenue) FILTER (WHERE bought > 0 AND currency IS NOT DISTINCT FROM %(currency)s), 0),
        count(*) FILTER (WHERE bought > 0 AND currency IS DISTINCT FROM %(currency)s)
    FROM decisions_listoutcome
    WHERE tenant_id = %(tenant)s AND scenario = %(scenario)s AND decided_at >= %(start)s AND decided_at < %(end)s
    GROUP BY 1"""
# Items that were shown and have left the catalogue, or are hidden now, count for neither side of the share.
COVERAGE = """
    SELECT count(*), count(*) FILTER (WHERE is_now), count(*) FILTER (WHERE is_before)
    FROM catalog_item AS item LEFT JOIN (
        SELECT item_id, bool_or(day >= %(middle)s) AS is_now, bool_or(day < %(middle)s) AS is_before
        FROM decisions_shownitem
        WHERE tenant_id = %(tenant)s AND scenario = %(scenario)s AND day >= %(since)s AND day <= %(until)s
        GROUP BY item_id
    ) AS shown USING (item_id)
    WHERE tenant_id = %(tenant)s AND available AND NOT hidden"""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


def share(successes: int, trials: int) -> Estimate | None:
    """A share with its Wilson score interval (Wilson, 1927, J. Am. Stat. Assoc. 22); None without trials."""
    if trials == 0:
        return None
    rate = successes / trials
    scale = 1 + Z * Z / trials
    middle = (rate + Z * Z / (2 * trials)) / scale
    half = Z / scale * sqrt(rate * (1 - rate) / trials + Z * Z / (4 * trials * trials))
    return Estimate(rate, max(0.0, middle - half), min(1.0, middle + half))


def mean_of(total: float, squares: float, count: int, *, times: float = 1.0) -> Estimate | None:
    """`times` the mean of `count` values from their sum and sum of squares, with the interval of the normal
    distribution, cut at 0; None where there are no values."""
    if count == 0:
        return None
    mean = total / count
    half = Z * sqrt(max(0.0, squares / count - mean * mean) / count)
    return Estimate(times * mean, times * max(0.0, mean - half), times * (mean + half))


@dataclass
class Figures:
    """Counts of a scenario over some days; `revenue` is in the currency of most purchases.

    seen, clicked, carted and bought count items of lists; the lists with at least one such item are `lists_*`.
    """

    lists: int = 0
    items: int = 0
    degraded_lists: int = 0
    seen: int = 0
    clicked: int = 0
    carted: int = 0
    bought: int = 0
    lists_clicked: int = 0
    lists_carted: int = 0
    lists_bought: int = 0
    revenue: float = 0.0
    revenue_squares: float = 0.0
    other_currency: int = 0
    latencies: dict[int, int] = field(default_factory=dict)

    @property
    def click_rate(self) -> Estimate | None:
        return share(min(self.lists_clicked, self.lists), self.lists)

    @property
    def cart_rate(self) -> Estimate | None:
        return share(min(self.lists_carted, self.lists), self.lists)

    @property
    def conversion_rate(self) -> Estimate | None:
        return share(min(self.lists_bought, self.lists), self.lists)

    @property
    def degraded_rate(self) -> Estimate | None:
        return share(self.degraded_lists, self.lists)

    @property
    def revenue_per_1000(self) -> Estimate | None:
        return mean_of(self.revenue, self.revenue_squares, self.lists, times=1000)

    @property
    def latency_p50_ms(self) -> float | None:
        return self._latency(0.5)

    @property
    def latency_p95_ms(self) -> float | None:
        return self._latency(0.95)

    @property
    def latency_p99_ms(self) -> float | None:
        return self._latency(0.99)

    def _latency(self, quantile: float) -> float | None:
        """To within 5 %: the middle of the bucket in which the quantile lies."""
        left = quantile * sum(self.latencies.values())
        for bucket, count in sorted(self.latencies.items()):
            left -= count
            if left <= 0:
                step = log(SLOWEST_MS / FASTEST_MS) / BUCKETS
                return FASTEST_MS * exp(step * (bucket + 0.5))
        return None

    def add(self, other: "Figures") -> None:
        for name, value in vars(other).items():
            if name != "latencies":
                setattr(self, name, getattr(self, name) + value)
        for bucket, count in other.latencies.items():
            self.latencies[bucket] = self.latencies.get(bucket, 0) + count


@dataclass(frozen=True)
class Coverage:
    """How much of what can be shown now was shown: items of the catalogue, and those of them in at least one list."""

    catalogue: int
    shown: int

    @property
    def share(self) -> float | None:
        return self.shown / self.catalogue if self.catalogue else None


@dataclass(frozen=True)
class Period:
    """From the start of `since` to the end of `until`, both UTC."""

    since: date
    until: date

    @property
    def days(self) -> list[date]:
        return [self.since + timedelta(days=each) for each in range((self.until - self.since).days + 1)]

    @property
    def before(self) -> "Period":
        """The same number of days just before."""
        length = timedelta(days=len(self.days))
        return Period(self.since - length, self.until - length)


@dataclass(frozen=True)
class Kpi:
    """`total` and `before` stand for the period and the one before it; `days` has an entry for each day."""

    scenario: str
    period: Period
    total: Figures
    before: Figures
    days: dict[date, Figures]
    coverage: Coverage
    coverage_before: Coverage
    currency: str | None
    counted_until: datetime | None
    windows: Windows


def scenario_kpi(scenario: str, period: Period) -> Kpi:
    """KPI of the scenario with this key, whether or not it is active. The period has at most MOST_DAYS days."""
    whole = Period(period.before.since, period.until)
    [(currency,)] = _query(CURRENCY, scenario, whole)
    days = _figures_by_day(scenario, whole, currency)
    [(catalogue, shown, shown_before)] = _query(COVERAGE, scenario, whole, middle=period.since)
    return Kpi(
        scenario=scenario,
        period=period,
        total=_sum([days[day] for day in period.days]),
        before=_sum([days[day] for day in period.before.days]),
        days={day: days[day] for day in period.days},
        coverage=Coverage(catalogue, shown),
        coverage_before=Coverage(catalogue, shown_before),
        currency=currency,
        counted_until=counted_until(),
        windows=windows(),
    )


def _figures_by_day(scenario: str, period: Period, currency: str | None) -> dict[date, Figures]:
    days = {day: Figures() for day in period.days}
    for day, bucket, lists, items, degraded in _query(LISTS, scenario, period):
        days[day].add(Figures(lists=lists, items=items, degraded_lists=degraded, latencies={bucket: lists}))
    for day, *counts, revenue, squares, other in _query(OUTCOMES, scenario, period, currency=currency):
        names = ("seen", "clicked", "carted", "bought", "lists_clicked", "lists_carted", "lists_bought")
        counted: dict[str, Any] = dict(zip(names, map(int, counts), strict=True))
        days[day].add(Figures(**counted, revenue=revenue, revenue_squares=squares, other_currency=other))
    return days


def _sum(figures: Sequence[Figures]) -> Figures:
    total = Figures()
    for each in figures:
        total.add(each)
    return total


def _query(sql: str, scenario: str, period: Period, **values: Any) -> list[tuple[Any, ...]]:
    values |= {
        "tenant": current_tenant_id(),
        "scenario": scenario,
        "since": period.since,
        "until": period.until,
        "start": datetime.combine(period.since, time(), UTC),
        "end": datetime.combine(period.until + timedelta(days=1), time(), UTC),
    }
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()
