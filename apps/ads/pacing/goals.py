"""How far flights are on the way to their goals: impressions, clicks or conversions by their end."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils import timezone

from apps.ads.pacing.schedule import Schedule
from tenancy.scope import current_tenant_id

# A flight is on track while it has this share of what an even delivery would have by now.
ON_TRACK = 0.95
# What a flight bought is counted with its budget, and each conversion has a row of its own. Impressions and clicks are
# counted in the deliveries, of which the older ones have been added up.
PROGRESS = """
    SELECT flight.starts_at, flight.ends_at, flight.targeting, flight.id, flight.goal_kind, flight.goal,
        CASE
            WHEN (flight.goal_kind, flight.bid_kind) IN (('impressions', 'cpm'), ('clicks', 'cpc'))
                THEN budget.billed_events
            WHEN flight.goal_kind = 'conversions' THEN (
                SELECT count(*) FROM ads_attributedconversion AS conversion
                WHERE conversion.tenant_id = %(tenant)s AND conversion.flight_id = flight.id
            )
            ELSE (
                SELECT CASE flight.goal_kind
                    WHEN 'impressions' THEN coalesce(pacing.impressions, 0) + count(impression_at)
                    ELSE coalesce(pacing.clicks, 0) + count(clicked_at) END
                FROM ads_delivery AS delivery
                WHERE delivery.tenant_id = %(tenant)s AND delivery.flight_id = flight.id
                    AND delivery.placed_at >= coalesce(pacing.counted_to, '-infinity')
            )
        END
    FROM ads_flight AS flight
        JOIN ads_flightbudget AS budget ON budget.tenant_id = %(tenant)s AND budget.flight_id = flight.id
        LEFT JOIN ads_flightpacing AS pacing ON pacing.tenant_id = %(tenant)s AND pacing.flight_id = flight.id
    WHERE flight.tenant_id = %(tenant)s AND flight.id = ANY(%(flights)s) AND flight.goal IS NOT NULL"""


@dataclass(frozen=True)
class Progress:
    """Events of `goal_kind` that a flight has, beside what an even delivery would have had by `now`."""

    schedule: Schedule
    now: datetime
    flight_id: UUID
    goal_kind: str
    goal: int
    achieved: int

    @property
    def elapsed(self) -> float:
        """Share of the flight's time that is over, in [0, 1]."""
        return self.schedule.elapsed(self.now)

    @property
    def planned(self) -> int:
        return int(self.goal * self.elapsed)

    @property
    def expected(self) -> int | None:
        """By the end, if it goes on like this; None before the start."""
        return round(self.achieved / self.elapsed) if self.elapsed else None

    @property
    def is_on_track(self) -> bool:
        return self.achieved >= ON_TRACK * self.planned

    @property
    def left(self) -> int:
        return max(self.goal - self.achieved, 0)

    def to_dict(self) -> dict[str, Any]:
        names = ("goal_kind", "goal", "achieved", "planned", "expected", "is_on_track")
        return {name: getattr(self, name) for name in names}


def progress_of(flight_ids: Collection[UUID], now: datetime | None = None) -> dict[UUID, Progress]:
    """Progress of those of the flights that have a goal."""
    values: dict[str, Any] = {"tenant": current_tenant_id(), "flights": list(flight_ids)}
    moment = now or timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(PROGRESS, values)
        found = [
            Progress(Schedule.of(starts_at, ends_at, json.loads(targeting)), moment, *row)
            for starts_at, ends_at, targeting, *row in cursor.fetchall()
        ]
    return {each.flight_id: each for each in found}
