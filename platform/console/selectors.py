"""Reads of the dashboard and the data-quality page. Each is bounded: it costs the same on a log of any size."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import TruncDay, TruncHour
from django.utils import timezone

from behavior.models import CleaningReport, Consent, Event, ItemPopularity, Quarantine, Snapshot
from behavior.selectors import last_snapshot
from decisions.models import Decision
from serving.models import TrainingRun
from tenancy.scope import current_tenant_id

NEWEST_DECISIONS = 1_000
NEWEST_EVENTS = 10_000
MOST_COUNTED = 10_000


@dataclass(frozen=True)
class Volume:
    """Events with an item, by hour or by day, oldest first and without gaps."""

    moments: list[datetime]
    by_type: dict[str, list[int]]

    @property
    def total(self) -> int:
        return sum(map(sum, self.by_type.values()))


def event_volume(*, days: int, types: int = 3) -> Volume:
    """Volume of the last days up to now from the hourly counts: by hour for two days at most, else by day.

    The most frequent types stand for themselves; the others are added up.
    """
    step, truncate = (timedelta(hours=1), TruncHour) if days <= 2 else (timedelta(days=1), TruncDay)
    last = timezone.now().replace(minute=0, second=0, microsecond=0)
    last = last if days <= 2 else last.replace(hour=0)
    moments = [last - step * back for back in reversed(range(48 if days <= 2 else days))][-(24 * days) :]
    rows = (
        ItemPopularity.objects.filter(tenant_id=current_tenant_id(), hour__gte=moments[0])
        .annotate(moment=truncate("hour"))
        .values_list("moment", "type")
        .annotate(Sum("count"))
    )
    counts = {(moment, kind): count for moment, kind, count in rows}
    totals: dict[str, int] = {}
    for (_, kind), count in counts.items():
        totals[kind] = totals.get(kind, 0) + count
    frequent = sorted(totals, key=lambda kind: -totals[kind])
    by_type = {kind: [counts.get((moment, kind), 0) for moment in moments] for kind in frequent[:types]}
    if others := frequent[types:]:
        by_type["other types"] = [sum(counts.get((moment, kind), 0) for kind in others) for moment in moments]
    return Volume(moments, by_type)


def newest_event() -> Event | None:
    return Event.objects.filter(tenant_id=current_tenant_id()).order_by("-event_id").first()


@dataclass(frozen=True)
class Answers:
    """The newest decisions, at most a thousand."""

    count: int
    degraded: int
    median_ms: float | None
    since: datetime | None

    @property
    def degraded_percent(self) -> float:
        return 100 * self.degraded / self.count if self.count else 0.0


def newest_answers() -> Answers:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), count(degraded), percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms), "
            "min(decided_at) FROM (SELECT degraded, latency_ms, decided_at FROM decisions_decision "
            "WHERE tenant_id = %s ORDER BY decision_id DESC LIMIT %s) newest",
            [current_tenant_id(), NEWEST_DECISIONS],
        )
        return Answers(*cursor.fetchone())


def newest_decisions(count: int = 6) -> QuerySet[Decision]:
    return Decision.objects.filter(tenant_id=current_tenant_id()).order_by("-decision_id")[:count]


def newest_runs(count: int = 5) -> QuerySet[TrainingRun]:
    return TrainingRun.objects.filter(tenant_id=current_tenant_id()).defer("curve", "config")[:count]


def open_quarantine() -> int:
    """Open rows, counted to ten thousand."""
    rows = Quarantine.objects.filter(tenant_id=current_tenant_id(), status=Quarantine.Status.OPEN)
    return rows[:MOST_COUNTED].count()


@dataclass(frozen=True)
class Quality:
    snapshot: Snapshot | None
    cleaning: Iterable[CleaningReport]
    quarantined: list[tuple[str, int]]  # newest open rows by code of the first reason
    time_quality: dict[str, int]  # of the newest events


def quality() -> Quality:
    tenant_id = current_tenant_id()
    snapshot = last_snapshot()
    newest_rows = Quarantine.objects.filter(tenant_id=tenant_id, status=Quarantine.Status.OPEN).order_by("-received_at")
    codes = newest_rows.filter(id__in=newest_rows.values("id")[:MOST_COUNTED]).order_by()
    return Quality(
        snapshot=snapshot,
        cleaning=CleaningReport.objects.filter(tenant_id=tenant_id, snapshot=snapshot) if snapshot else [],
        quarantined=list(codes.values_list("reasons__0__code").annotate(rows=Count("id")).order_by("-rows")),
        time_quality=_time_quality(),
    )


def _time_quality() -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT time_quality, count(*) FROM (SELECT time_quality FROM behavior_event WHERE tenant_id = %s "
            "ORDER BY event_id DESC LIMIT %s) newest GROUP BY 1 ORDER BY 2 DESC",
            [current_tenant_id(), NEWEST_EVENTS],
        )
        return dict[str, Any](cursor.fetchall())


def newest_subjects(count: int) -> list[bytes]:
    """Keys of the subjects that did something last and agreed to personalisation, from the newest events."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT subject_key, consent FROM behavior_event WHERE tenant_id = %s ORDER BY event_id DESC LIMIT %s",
            [current_tenant_id(), NEWEST_EVENTS // 10],
        )
        agreed = (bytes(key) for key, consent in cursor.fetchall() if consent & Consent.PERSONALISATION)
        return list(dict.fromkeys(agreed))[:count]
