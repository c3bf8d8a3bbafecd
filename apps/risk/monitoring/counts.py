"""How much was assessed, with which verdicts and how fast, by day, from the counts that decisions.counting keeps; and
how many alerts that raised."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date

from django.db.models import Count
from django.db.models.functions import TruncDate

from apps.risk.assessments.settings import SCENARIO
from apps.risk.assessments.verdicts import Verdict
from apps.risk.cases.models import Alert
from apps.risk.monitoring.selectors import bounds
from decisions.counting import counted_until
from decisions.kpi import Figures, Period
from decisions.models import ListCount, ShownItem


@dataclass
class Counts:
    """Of some days. `alerts`: of reviews, of declines, and of approved transactions that a rule tells of."""

    figures: Figures = field(default_factory=Figures)
    verdicts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(map(str, Verdict), 0))
    alerts: int = 0

    @property
    def assessments(self) -> int:
        return self.figures.lists

    @property
    def alert_rate(self) -> float | None:
        return self.alerts / self.assessments if self.assessments else None

    @property
    def degraded_share(self) -> float | None:
        return self.figures.degraded_lists / self.assessments if self.assessments else None

    def capacity_used(self, daily_capacity: int, days: int) -> float | None:
        """Reviews as a share of what the desk can do in so many days; declines need nobody to look at them."""
        return self.verdicts[Verdict.REVIEW] / (daily_capacity * days) if daily_capacity else None

    def add(self, other: "Counts") -> None:
        self.figures.add(other.figures)
        for verdict, count in other.verdicts.items():
            self.verdicts[verdict] += count
        self.alerts += other.alerts


def counts_by_day(period: Period) -> dict[date, Counts]:
    """An entry for each day (UTC) of the period, up to what is counted by now; four queries, whatever its length."""
    days = {day: Counts() for day in period.days}
    within = {"scenario": SCENARIO, "day__gte": period.since, "day__lte": period.until}
    counted = ListCount.objects.filter(**within).values_list("day", "latency_bucket", "lists", "degraded")
    for day, bucket, lists, degraded in counted:
        days[day].figures.add(Figures(lists=lists, degraded_lists=degraded, latencies={bucket: lists}))
    for day, verdict, lists in ShownItem.objects.filter(**within).values_list("day", "item_id", "lists"):
        if verdict in days[day].verdicts:
            days[day].verdicts[verdict] += lists
    for day, alerts in _alerts_by_day(period):
        days[day].alerts = alerts
    return days


def _alerts_by_day(period: Period) -> Iterable[tuple[date, int]]:
    until = counted_until()
    start, end = bounds(period)
    if until is None:
        return ()
    within = Alert.objects.filter(created_at__gte=start, created_at__lt=min(end, until))
    by_day = within.annotate(day=TruncDate("created_at", tzinfo=UTC)).order_by("day")
    return by_day.values_list("day").annotate(alerts=Count("id"))


def total_of(days: dict[date, Counts]) -> Counts:
    total = Counts()
    for counts in days.values():
        total.add(counts)
    return total
