"""Events that an application has judged already, stored by one statement: a request that needs its answer at once
cannot wait for the batch's COPY. Receipts, identities and logins are those of every other event.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np

from behavior.judging import SUBJECT_IDS
from behavior.logins import find_logins, store_logins
from behavior.models import ALL_CONSENT, TimeQuality
from behavior.storing import LOG_LOCK, PAYLOAD_HASH
from behavior.subjects import Keyring
from tenancy.scope import current_tenant_id
from tenancy.secrets import encrypt, subject_secret
from tenancy.statements import prepared_cursor


# Parts of a WITH that ends in `stored`, the ids of the new events, with the values of `values_to_store`. The lock and
# the time of receipt are those of `behavior.storing.open_log`, in order of message id as there. `wanted` tells which of
# the events are meant, for a statement that stores rows of an application besides.
def storing_parts(wanted: str = "true") -> str:
    return f"""
    receipt_time AS MATERIALIZED (
        SELECT clock_timestamp() AS received_at
        FROM (SELECT pg_advisory_xact_lock_shared(%(lock)s, %(tenant)s) OFFSET 0) AS locked
    ), s AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(%(events)s::jsonb) AS s(
            event_id uuid, message_id text, type text, subject_key bytea, session_key bytea, item_id text,
            value double precision, quantity double precision, currency text, decision_id uuid, created_at bigint,
            occurred_at bigint, time_quality text, consent smallint, properties jsonb)
        WHERE {wanted}
    ), identity AS (
        INSERT INTO behavior_subjectidentity (tenant_id, subject_key, kind, sealed_id, created_at)
        SELECT %(tenant)s, subject_key, kind, sealed_id, now() FROM jsonb_to_recordset(%(identities)s::jsonb)
            AS new(subject_key bytea, kind text, sealed_id bytea)
        WHERE subject_key IN (SELECT subject_key FROM s) ORDER BY subject_key
        ON CONFLICT DO NOTHING
    ), receipt AS (
        INSERT INTO behavior_eventreceipt (tenant_id, message_id, payload_hash, event_id, received_at)
        SELECT %(tenant)s, message_id, {PAYLOAD_HASH}, event_id, received_at FROM s, receipt_time ORDER BY message_id
        ON CONFLICT DO NOTHING RETURNING event_id, received_at
    ), stored AS (
        INSERT INTO behavior_event (tenant_id, received_at, source, event_id, occurred_at, time_quality, subject_key,
            session_key, type, item_id, value, quantity, currency, decision_id, consent, properties)
        SELECT %(tenant)s, receipt.received_at, %(source)s, event_id, to_timestamp(occurred_at::float8 / 1000000),
            time_quality, subject_key, session_key, type, item_id, value, quantity, currency, decision_id, consent,
            properties
        FROM s JOIN receipt USING (event_id) RETURNING event_id
    )"""


STORE = f"WITH {storing_parts()} SELECT event_id FROM stored"


@dataclass(frozen=True)
class JudgedEvent:
    """Values as `behavior.parsing` gives them; times in microseconds since 1970.

    `subject` holds user_id, anonymous_id or both, and perhaps session_id; `created_at` is what the client said. Where
    the vault holds the subject already, `subject_key` names it and `subject` may hold no id: so a process that may not
    open the vault can store events too.
    """

    event_id: UUID
    message_id: str
    type: str
    subject: Mapping[str, str]
    occurred_at: int
    created_at: int | None = None
    time_quality: str = TimeQuality.CLIENT
    item_id: str | None = None
    value: float | None = None
    currency: str | None = None
    decision_id: UUID | None = None
    consent: int = ALL_CONSENT
    properties: Mapping[str, Any] | None = None
    subject_key: bytes | None = None


def store_judged(events: Sequence[JudgedEvent], *, source: str) -> set[UUID]:
    """Store events in the transaction of the tenant's scope; returns the ids of those that the log did not hold yet.

    A message id that the log holds already is left as it is, whatever it says.
    """
    if not events:
        return set()
    with prepared_cursor() as cursor:
        cursor.execute(STORE, values_to_store(events, source=source))
        stored = {event_id for (event_id,) in cursor.fetchall()}
    store_logins_of([event for event in events if event.event_id in stored], source=source)
    return stored


def values_to_store(events: Sequence[JudgedEvent], *, source: str) -> dict[str, Any]:
    """The values that `storing_parts` names."""
    keyring = Keyring(subject_secret())
    identities = {_key(event, keyring): _raw_id(event) for event in events if event.subject_key is None}
    return {
        "lock": LOG_LOCK,
        "tenant": current_tenant_id(),
        "source": source,
        "events": json.dumps([_row(event, keyring) for event in events]),
        "identities": json.dumps(
            [
                {"subject_key": key, "kind": kind, "sealed_id": f"\\x{encrypt(raw_id.encode()).hex()}"}
                for key, (kind, raw_id) in identities.items()
            ]
        ),
    }


def _row(event: JudgedEvent, keyring: Keyring) -> dict[str, Any]:
    session = event.subject.get("session_id")
    return {
        "event_id": str(event.event_id),
        "message_id": event.message_id,
        "type": event.type,
        "subject_key": _key(event, keyring),
        "session_key": keyring.keys("session_id", [session])[session] if session else None,
        "item_id": event.item_id,
        "value": event.value,
        "currency": event.currency,
        "decision_id": None if event.decision_id is None else str(event.decision_id),
        "created_at": event.created_at,
        "occurred_at": event.occurred_at,
        "time_quality": str(event.time_quality),
        "consent": int(event.consent),
        "properties": event.properties,
    }


def _raw_id(event: JudgedEvent) -> tuple[str, str]:
    """(kind, id): the user where there is one, else the visitor."""
    kind = next(kind for kind in SUBJECT_IDS if kind in event.subject)
    return kind, event.subject[kind]


def _key(event: JudgedEvent, keyring: Keyring) -> str:
    if event.subject_key is not None:
        return f"\\x{event.subject_key.hex()}"
    kind, raw_id = _raw_id(event)
    return keyring.keys(kind, [raw_id])[raw_id]


def store_logins_of(events: Sequence[JudgedEvent], *, source: str) -> None:
    """What the stored events tell of who uses which device: those that name a user and a visitor."""
    both = [event for event in events if all(kind in event.subject for kind in SUBJECT_IDS)]
    if not both:
        return
    columns: dict[str, list[Any]] = {kind: [event.subject[kind] for event in both] for kind in SUBJECT_IDS}
    keyring = Keyring(subject_secret())
    columns["occurred_at"] = [event.occurred_at for event in both]
    rows = np.arange(len(both), dtype=np.int32)
    store_logins(find_logins(columns, keyring, rows, [event.event_id for event in both]), source=source)
