"""Reads of the event log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from behavior.models import Consent, Snapshot
from tenancy.scope import current_tenant_id


@dataclass(frozen=True)
class RecentEvent:
    item_id: str | None
    type: str
    occurred_at: datetime
    value: float | None
    event_id: UUID
    personalisation_consent: bool


def recent_events(subject_keys: Sequence[bytes], limit: int = 50) -> list[RecentEvent]:
    """The last `limit` events under any of these keys, oldest first; one index probe for each key and partition."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT last.item_id, last.type, last.occurred_at, last.value, last.event_id, last.consent "
            "FROM unnest(%s::bytea[]) AS wanted(key) CROSS JOIN LATERAL ("
            "  SELECT item_id, type, occurred_at, value, event_id, consent FROM behavior_event "
            "  WHERE tenant_id = %s AND subject_key = wanted.key ORDER BY occurred_at DESC LIMIT %s"
            ") AS last ORDER BY last.occurred_at DESC, last.event_id DESC LIMIT %s",
            [list(dict.fromkeys(subject_keys)), current_tenant_id(), limit, limit],
        )
        rows = cursor.fetchall()
    return [
        RecentEvent(item_id, type_, occurred_at, value, event_id, bool(consent & Consent.PERSONALISATION))
        for item_id, type_, occurred_at, value, event_id, consent in reversed(rows)
    ]


@dataclass(frozen=True)
class History:
    """A subject's last events, oldest first. `agreed` says whether the newest one carries consent to personalise."""

    events: list[RecentEvent]
    agreed: bool


def histories(subject_keys: Sequence[bytes], limit: int = 50) -> dict[bytes, History]:
    """The last `limit` events of each key that has any; one statement for all keys."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT wanted.key, last.item_id, last.type, last.occurred_at, last.value, last.event_id, last.consent "
            "FROM unnest(%s::bytea[]) AS wanted(key) CROSS JOIN LATERAL ("
            "  SELECT item_id, type, occurred_at, value, event_id, consent FROM behavior_event "
            "  WHERE tenant_id = %s AND subject_key = wanted.key ORDER BY occurred_at DESC LIMIT %s"
            ") AS last ORDER BY wanted.key, last.occurred_at, last.event_id",
            [list(dict.fromkeys(subject_keys)), current_tenant_id(), limit],
        )
        rows = cursor.fetchall()
    found: dict[bytes, list[RecentEvent]] = {}
    for key, item_id, type_, occurred_at, value, event_id, consent in rows:
        agreed = bool(consent & Consent.PERSONALISATION)
        event = RecentEvent(item_id, type_, occurred_at, value, event_id, agreed)
        found.setdefault(bytes(key), []).append(event)
    return {key: History(events, events[-1].personalisation_consent) for key, events in found.items()}


def popular_items(
    since: datetime | None = None,
    count: int = 50,
    weights: Mapping[str, float] | None = None,
    *,
    until: datetime | None = None,
) -> list[tuple[str, float]]:
    """(item, score) of the most popular items between two times, to the hour; from the hourly counts, not the log.

    `weights` gives the worth of one event of each type, and leaves out the types that it does not name; without it each
    event counts 1. Ties are broken by item id.
    """
    conditions = ["tenant_id = %s"]
    values: list[Any] = [current_tenant_id()]
    if since is not None:
        conditions.append("hour >= date_trunc('hour', %s::timestamptz, 'UTC')")
        values.append(since)
    if until is not None:
        conditions.append("hour < %s")
        values.append(until)
    join, weight = "", "1.0"
    if weights is not None:
        join, weight = "JOIN unnest(%s::text[], %s::float8[]) AS worth(type, weight) USING (type)", "weight"
        values = [list(weights), list(weights.values()), *values]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT item_id, sum(count * {weight})::float8 AS score "
            f"FROM behavior_itempopularity {join} WHERE {' AND '.join(conditions)} "
            "GROUP BY item_id ORDER BY score DESC, item_id LIMIT %s",
            [*values, count],
        )
        return cursor.fetchall()


def last_snapshot() -> Snapshot | None:
    return Snapshot.objects.order_by("-watermark").first()
