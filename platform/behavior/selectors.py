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
# The same of many persons, each named by one of `keys`, which is `subject.key`.
EVENTS_OF_PERSONS = f"""unnest(%(keys)s::bytea[]) AS subject(key) CROSS JOIN LATERAL
    {EVENTS_OF_PERSON.replace("%(keys)s::bytea[]", "ARRAY[subject.key]")}"""


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


def _last_events(keys: str, known: str = "") -> str:
    """Rows of the last events of the person that an expression of SQL names by keys, the newest first; one index probe
    for each key and partition. Parameters `tenant` and `limit`."""
    return f"""
        SELECT last.item_id, last.type, last.occurred_at, last.value, last.event_id, last.consent, last.session_key
        FROM behavior_person(%(tenant)s, {keys}) AS person CROSS JOIN LATERAL (
            SELECT item_id, type, occurred_at, value, event_id, consent, session_key FROM behavior_event
            WHERE tenant_id = %(tenant)s AND subject_key = person.key AND occurred_at > person.after
                AND occurred_at <= person.until {known} ORDER BY occurred_at DESC LIMIT %(limit)s
        ) AS last ORDER BY last.occurred_at DESC, last.event_id DESC LIMIT %(limit)s"""


RECENT_EVENTS = _last_events("%(keys)s::bytea[]")
RECENT_EVENTS_BY_THEN = _last_events("%(keys)s::bytea[]", "AND received_at <= %(received_by)s")
RECENT_EVENTS_OF_MANY = f"""
    SELECT subject.key, last.* FROM unnest(%(keys)s::bytea[]) AS subject(key)
        CROSS JOIN LATERAL ({_last_events("ARRAY[subject.key]")}) AS last"""


def recent_events(
    subject_keys: Sequence[bytes], limit: int = 50, *, received_by: datetime | None = None
) -> list[RecentEvent]:
    """The last `limit` events of a person, oldest first; `subject_keys` as `Subject.keys` gives them.

    Keys that the ledger of identities ties to these count too, in the same query. With `received_by`, the last that
    were in the log at that time.
    """
    values = _values(subject_keys, limit) | {"received_by": received_by}
    with connection.cursor() as cursor:
        cursor.execute(RECENT_EVENTS_BY_THEN if received_by else RECENT_EVENTS, values)
        return [_recent_event(*row) for row in reversed(cursor.fetchall())]


def recent_events_of_many(subject_keys: Sequence[bytes], limit: int = 50) -> dict[bytes, list[RecentEvent]]:
    """The same for many persons, each named by one key; one statement. Those without events are left out."""
    found: dict[bytes, list[RecentEvent]] = {}
    with connection.cursor() as cursor:
        cursor.execute(RECENT_EVENTS_OF_MANY, _values(subject_keys, limit))
        for key, *row in cursor.fetchall():
            found.setdefault(bytes(key), []).append(_recent_event(*row))
    return {key: sorted(events, key=lambda each: (each.occurred_at, each.event_id)) for key, events in found.items()}


def _values(subject_keys: Sequence[bytes], limit: int) -> dict[str, Any]:
    return {"tenant": current_tenant_id(), "keys": list(dict.fromkeys(subject_keys)), "limit": limit}


def _recent_event(
    item_id: str | None,
    type_: str,
    occurred_at: datetime,
    value: float | None,
    event_id: UUID,
    consent: int,
    session_key: bytes | None,
) -> RecentEvent:
    agreed = bool(consent & Consent.PERSONALISATION)
    return RecentEvent(
        item_id, type_, occurred_at, value, event_id, agreed, bytes(session_key) if session_key else None
    )


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
