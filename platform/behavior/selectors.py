"""Reads of the event log."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from behavior.models import Consent, Event, Snapshot
from tenancy.scope import current_tenant_id

# Rows (key, after, until) of all keys of a person: an event under `key` is theirs when after < occurred_at <= until.
# Every query that personalises starts from it, and `person_values` are its parameters.
PERSON = "behavior_person(%s, %s::bytea[]) AS person"


# All events of a person, in a statement with the parameters `tenant` and `keys` (`Subject.keys`).
EVENTS_OF_PERSON = """behavior_person(%(tenant)s, %(keys)s::bytea[]) AS person JOIN behavior_event
    ON tenant_id = %(tenant)s AND subject_key = person.key
        AND occurred_at > person.after AND occurred_at <= person.until"""


def person_values(subject_keys: Sequence[bytes]) -> list[Any]:
    """Parameters of `PERSON` for the keys of a request's subject, as `Subject.keys` gives them."""
    return [current_tenant_id(), list(dict.fromkeys(subject_keys))]


@dataclass(frozen=True)
class RecentEvent:
    item_id: str | None
    type: str
    occurred_at: datetime
    value: float | None
    event_id: UUID
    personalisation_consent: bool
    session_key: bytes | None = None


def recent_events(
    subject_keys: Sequence[bytes], limit: int = 50, *, received_by: datetime | None = None
) -> list[RecentEvent]:
    """The last `limit` events of a person, oldest first; `subject_keys` as `Subject.keys` gives them.

    Keys that the ledger of identities ties to these count too, in the same query; one index probe for each key and
    partition. With `received_by`, the last that were in the log at that time.
    """
    known, by = ("AND received_at <= %s ", [received_by]) if received_by else ("", [])
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT last.item_id, last.type, last.occurred_at, last.value, last.event_id, last.consent, "
            f"last.session_key FROM {PERSON} CROSS JOIN LATERAL ("
            "  SELECT item_id, type, occurred_at, value, event_id, consent, session_key FROM behavior_event "
            "  WHERE tenant_id = %s AND subject_key = person.key AND occurred_at > person.after "
            f"  AND occurred_at <= person.until {known}ORDER BY occurred_at DESC LIMIT %s"
            ") AS last ORDER BY last.occurred_at DESC, last.event_id DESC LIMIT %s",
            [*person_values(subject_keys), current_tenant_id(), *by, limit, limit],
        )
        rows = cursor.fetchall()
    return [
        RecentEvent(
            item_id,
            type_,
            occurred_at,
            value,
            event_id,
            bool(consent & Consent.PERSONALISATION),
            bytes(session_key) if session_key else None,
        )
        for item_id, type_, occurred_at, value, event_id, consent, session_key in reversed(rows)
    ]


def subjects_of_events(event_ids: Collection[UUID]) -> list[bytes]:
    """The keys of the subjects whose events these are."""
    if not event_ids:
        return []
    found = Event.objects.filter(event_id__in=event_ids).values_list("subject_key", flat=True)
    return list(dict.fromkeys(bytes(key) for key in found))


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
