"""Reads of forecasts: a sample of the last week's requests, with what won each."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from apps.ads.experiments.models import Experiment
from apps.ads.settings import APPLICATION
from decisions.counting import first_id_since
from tenancy.scope import current_tenant_id

DAYS = 7
# Requests that are read of each hour, the first ones. How soon they were reached says how many there were.
OF_AN_HOUR = 100
HOUR = timedelta(hours=1)
SEEN_OF = 20_000  # newest deliveries that say how many of the placed ads are seen

# Where the flight itself won, it must beat whoever would have won without it.
SAMPLE = """
    SELECT hour.number, request ->> 'placement', request -> 'facts', coalesce((request ->> 'consent')::boolean, false),
        subject_key, decided_at, coalesce(CASE WHEN request ->> 'flight' = %(flight)s THEN (
            SELECT max((other ->> 'score')::float8) FROM jsonb_array_elements(request -> 'participants') AS other
            WHERE other ->> 'flight' <> %(flight)s AND other ->> 'lost' IN ('score', 'draw')
        ) ELSE (items -> 0 ->> 'score')::float8 END, 0), decision_id, request ->> 'no_fill' IS NOT DISTINCT FROM 'bot'
    FROM unnest(%(starts)s::uuid[], %(ends)s::uuid[]) WITH ORDINALITY AS hour(starts, ends, number)
        CROSS JOIN LATERAL (
            SELECT request, subject_key, decided_at, items, decision_id FROM decisions_decision
            WHERE tenant_id = %(tenant)s AND decision_id >= hour.starts AND decision_id < hour.ends
                AND application = %(application)s
            ORDER BY decision_id LIMIT %(limit)s
        ) AS decision
    ORDER BY decision_id"""
SEEN = """
    SELECT placement_id, count(impression_at)::float8 / count(*) FROM (
        SELECT placement_id, impression_at FROM ads_delivery
        WHERE tenant_id = %s AND placed_at > %s AND expires_at < %s ORDER BY placed_at DESC LIMIT %s
    ) AS newest GROUP BY placement_id"""


@dataclass(frozen=True)
class Asked:
    """One decision on one placement, which stands for `weight` of them; `best` is the score to beat, 0 for none. Those
    of one page have their moment and subject in common."""

    decision_id: UUID
    placement: str
    facts: Mapping[str, list[str]]
    has_consent: bool
    subject_key: bytes | None
    asked_at: datetime
    best: float
    weight: float


def sample_requests(flight_id: UUID, until: datetime) -> list[Asked]:
    """Requests of the DAYS before `until`, in order of time, as they would have been without the flight, those of
    programs left out, since nobody wins them; reads the same on a log of any size."""
    first = until - timedelta(days=DAYS)
    moments = [first + number * HOUR for number in range(DAYS * 24 + 1)]
    ids = [first_id_since(moment) for moment in moments]
    values: dict[str, Any] = {
        "tenant": current_tenant_id(),
        "application": APPLICATION,
        "starts": ids[:-1],
        "ends": ids[1:],
        "limit": OF_AN_HOUR,
        "flight": str(flight_id),
    }
    with connection.cursor() as cursor:
        cursor.execute(SAMPLE, values)
        rows = cursor.fetchall()
    weights = _weights([(hour, at) for hour, _, _, _, _, at, *_ in rows], moments)
    return [
        Asked(id, placement, json.loads(facts), consent, bytes(key) if key else None, at, best, weights[hour])
        for hour, placement, facts, consent, key, at, best, id, is_bot in rows
        if not is_bot
    ]


def arms_of_experiments(campaign_id: UUID, moment: datetime) -> list[tuple[UUID, list[dict[str, Any]]]]:
    """(id, arms) of a campaign's experiments that run at a moment."""
    running = Experiment.objects.filter(
        campaign_id=campaign_id, archived_at=None, starts_at__lte=moment, ends_at__gt=moment
    )
    return list(running.order_by("id").values_list("id", "arms"))


def seen_shares(now: datetime) -> dict[UUID, float]:
    """How many of the placed ads are seen, by placement."""
    with connection.cursor() as cursor:
        cursor.execute(SEEN, [current_tenant_id(), now - timedelta(days=DAYS), now, SEEN_OF])
        return dict(cursor.fetchall())


def _weights(rows: list[tuple[int, datetime]], moments: list[datetime]) -> dict[int, float]:
    """By hour: 1 where all of its requests were read, else its length over the time in which so many came."""
    counts: dict[int, int] = {}
    last: dict[int, datetime] = {}
    for hour, asked_at in rows:
        counts[hour] = counts.get(hour, 0) + 1
        last[hour] = max(asked_at, last.get(hour, asked_at))
    return {
        hour: max(HOUR / max(last[hour] - moments[hour - 1], timedelta(milliseconds=1)), 1.0)
        if count == OF_AN_HOUR
        else 1.0
        for hour, count in counts.items()
    }
