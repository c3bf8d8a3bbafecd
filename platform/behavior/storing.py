"""The one way into the event log, for the API, imports and replays.

Rows are copied into a temporary table (COPY is refused under row-level security), and a few set statements in the
caller's transaction do the rest: a receipt for every new message, then the events of those receipts.
"""

import io
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from numpy.typing import NDArray

from behavior.judging import Judged
from behavior.logins import Login, find_logins, store_logins
from behavior.models import Consent
from behavior.subjects import Identities, Keyring, Sealed, remember, seal_unknown, session_keys, subject_keys
from tenancy.scope import current_tenant_id

CONSENT = {
    (personalisation, training): (personalisation is not False) * Consent.PERSONALISATION
    | (training is not False) * Consent.TRAINING
    for personalisation in (None, False, True)
    for training in (None, False, True)
}
# First key of the advisory locks on a tenant's log; the tenant's id is the second.
LOG_LOCK = 0x5E9
# While writers keep the log busy, this long may pass before they are made to wait for a moment.
PATIENCE = timedelta(seconds=60)
STAGED: dict[str, tuple[pa.DataType, str]] = {
    "row": (pa.int32(), "integer"),
    "event_id": (pa.string(), "uuid"),
    "message_id": (pa.string(), 'text COLLATE "C"'),
    "type": (pa.string(), "text"),
    "subject_key": (pa.string(), "bytea"),
    "session_key": (pa.string(), "bytea"),
    "item_id": (pa.string(), "text"),
    "value": (pa.float64(), "double precision"),
    "quantity": (pa.float64(), "double precision"),
    "currency": (pa.string(), "text"),
    "decision_id": (pa.string(), "uuid"),
    "created_at": (pa.int64(), "bigint"),
    "occurred_at": (pa.int64(), "bigint"),
    "time_quality": (pa.string(), "text"),
    "consent": (pa.int16(), "smallint"),
    "properties": (pa.string(), "jsonb"),
}
SCHEMA = pa.schema([(name, arrow) for name, (arrow, _) in STAGED.items()])

CREATE_STAGING = (
    "CREATE TEMPORARY TABLE IF NOT EXISTS behavior_staging ("
    + ", ".join(f"{name} {sql}" for name, (_, sql) in STAGED.items())
    + ") ON COMMIT DELETE ROWS"
)
COPY_STAGING = "COPY behavior_staging FROM STDIN (FORMAT csv)"
# What the client said, and nothing that differs when it says it again; jsonb compares without the order of its keys.
# The extended hash functions never change between versions, since hash partitions rest on them.
PAYLOAD_HASH = (
    "hash_record_extended(ROW(s.type, s.subject_key, s.session_key, s.item_id, s.value, s.quantity, s.currency, "
    "s.decision_id, s.created_at, s.consent, s.properties), 0)"
)
# In order of message id, so that two writers of the same batch wait for each other instead of deadlocking.
INSERT_RECEIPTS = f"""
    INSERT INTO behavior_eventreceipt (tenant_id, message_id, payload_hash, event_id, received_at)
    SELECT %s, s.message_id, {PAYLOAD_HASH}, s.event_id, %s FROM behavior_staging s ORDER BY s.message_id, s.row"""
REMOVE_SEEN = f"""
    DELETE FROM behavior_staging s USING behavior_eventreceipt r
    WHERE r.tenant_id = %s AND r.message_id = s.message_id AND r.event_id <> s.event_id
    RETURNING s.row, r.payload_hash = {PAYLOAD_HASH}"""
COMPARE_STAGED = f"""
    SELECT count(*) FILTER (WHERE same), count(*) FILTER (WHERE NOT same) FROM (
        SELECT s.hash = coalesce(r.payload_hash, first_value(s.hash) OVER same_id) AS same,
            r.message_id IS NOT NULL OR row_number() OVER same_id > 1 AS seen
        FROM (SELECT s.row, s.message_id, {PAYLOAD_HASH} AS hash FROM behavior_staging s) s
        LEFT JOIN behavior_eventreceipt r ON r.tenant_id = %s AND r.message_id = s.message_id
        WINDOW same_id AS (PARTITION BY s.message_id ORDER BY s.row)
    ) AS compared WHERE seen"""
INSERT_EVENTS = """
    INSERT INTO behavior_event (tenant_id, received_at, source, event_id, occurred_at, time_quality, subject_key,
        session_key, type, item_id, value, quantity, currency, decision_id, consent, properties)
    SELECT %s, %s, %s, event_id, to_timestamp(occurred_at::float8 / 1000000), time_quality, subject_key,
        session_key, type, item_id, value, quantity, currency, decision_id, consent, properties
    FROM behavior_staging"""


@dataclass(frozen=True)
class Stored:
    """Rows (numbers given by the caller) that were not stored, because their message id is in the log already."""

    duplicates: frozenset[int]
    conflicts: frozenset[int]


def open_log() -> datetime:
    """Time of receipt for what this transaction stores.

    The shared lock is held until the transaction ends. `settle_log` takes it alone for a moment, so whatever has a time
    of receipt before that moment is committed (or gone) by then, and no reader by time of receipt ever misses a row.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT clock_timestamp() FROM (SELECT pg_advisory_xact_lock_shared(%s, %s) OFFSET 0) AS locked",
            [LOG_LOCK, current_tenant_id()],
        )
        return cursor.fetchone()[0]


def settle_log() -> datetime:
    """A moment such that every event received before it is visible to the next statement of this transaction."""
    keys = [LOG_LOCK, current_tenant_id()]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", keys)
        try:
            cursor.execute("SELECT clock_timestamp()")
            return cursor.fetchone()[0]
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", keys)


def try_settle_log() -> datetime | None:
    """As `settle_log`, but None while somebody is writing: no writer ever waits for this one."""
    keys = [LOG_LOCK, current_tenant_id()]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", keys)
        if not cursor.fetchone()[0]:
            return None
        try:
            cursor.execute("SELECT clock_timestamp()")
            moment: datetime = cursor.fetchone()[0]
            return moment
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", keys)


def settle_log_for(position: datetime) -> datetime | None:
    """As `try_settle_log` for a reader that has come to `position`; once that is PATIENCE ago, as `settle_log`."""
    return try_settle_log() or (settle_log() if timezone.now() - position >= PATIENCE else None)


@dataclass(frozen=True)
class Prepared:
    """The good rows of a batch, ready to be copied; made without the database, so a thread can work ahead."""

    rows: int
    csv: memoryview
    identities: Identities
    logins: list[Login]


def prepare(judged: Judged, made_at: datetime, keyring: Keyring, first_row: int = 0) -> Prepared:
    """Rows that have no reasons against them.

    Rows are numbered from `first_row`; `made_at` is the time that their event ids carry.
    """
    rows = judged.good_rows()
    columns = judged.columns
    if len(rows) < judged.rows:
        columns = {name: [values[row] for row in rows] for name, values in columns.items()}
    keys, identities = subject_keys(columns, keyring)
    numbers = np.asarray(rows, dtype=np.int32) + first_row
    event_ids = new_event_ids(len(rows), made_at)
    made: dict[str, Any] = {
        "row": numbers,
        "event_id": event_ids,
        "subject_key": keys,
        "session_key": session_keys(columns["session_id"], keyring),
        "consent": [CONSENT[given] for given in zip(columns["personalisation"], columns["training"], strict=True)],
    }
    table = pa.table({name: made.get(name, columns.get(name)) for name in STAGED}, schema=SCHEMA)
    buffer = io.BytesIO()
    pyarrow.csv.write_csv(table, buffer, pyarrow.csv.WriteOptions(include_header=False))
    return Prepared(
        len(rows), buffer.getbuffer(), identities, find_logins(columns, keyring, numbers.tolist(), event_ids)
    )


def stage(prepared: Prepared, *, behind_staged: bool) -> None:
    """COPY rows into the connection's staging table, alone or behind what this transaction has staged already."""
    with connection.cursor() as cursor:
        cursor.execute(CREATE_STAGING)
        if not behind_staged:
            cursor.execute("DELETE FROM behavior_staging")
        # Django turns psycopg's errors into its own only inside its methods, and COPY runs outside them.
        with connection.wrap_database_errors, cursor.copy(COPY_STAGING) as copy:
            copy.write(prepared.csv)


def store_prepared(
    prepared: Prepared,
    *,
    received_at: datetime,
    source: str,
    expect_new: bool = False,
    sealed: Sealed | None = None,
) -> Stored:
    """Move prepared rows into the log, in the caller's transaction; `received_at` is what `open_log` gave it.

    `expect_new` is for large batches that are seldom sent twice: receipts without ON CONFLICT take half the time, and
    where one exists already the careful way follows. `sealed` are the batch's identities where they are sealed already.
    """
    if prepared.rows == 0:
        return Stored(frozenset(), frozenset())
    tenant_id = current_tenant_id()
    remember(sealed or seal_unknown(prepared.identities))
    stage(prepared, behind_staged=False)
    seen: list[tuple[int, bool]] = []
    with connection.cursor() as cursor:
        if not (expect_new and _insert_new_receipts(cursor, received_at)):
            cursor.execute(f"{INSERT_RECEIPTS} ON CONFLICT DO NOTHING", [tenant_id, received_at])
            if cursor.rowcount < prepared.rows:
                cursor.execute(REMOVE_SEEN, [tenant_id])
                seen = cursor.fetchall()
        if len(seen) < prepared.rows:
            cursor.execute(INSERT_EVENTS, [tenant_id, received_at, source])
    store_logins(prepared.logins, source=source, without_rows={row for row, _ in seen})
    return Stored(
        duplicates=frozenset(row for row, same in seen if same),
        conflicts=frozenset(row for row, same in seen if not same),
    )


def _insert_new_receipts(cursor: Any, received_at: datetime) -> bool:
    try:
        with transaction.atomic():
            cursor.execute(INSERT_RECEIPTS, [current_tenant_id(), received_at])
    except IntegrityError:
        return False
    return True


def compare_staged() -> tuple[int, int]:
    """(duplicates, conflicts) that `store_prepared` would find among all rows staged in this transaction."""
    with connection.cursor() as cursor:
        cursor.execute(COMPARE_STAGED, [current_tenant_id()])
        return cursor.fetchone()


def new_event_ids(rows: int, made_at: datetime) -> pa.StringArray:
    """UUIDv7 (RFC 9562) in row order: milliseconds, then a 26-bit counter, then 48 random bits."""
    counter = np.arange(rows, dtype=np.uint64)
    random = np.frombuffer(np.random.default_rng().bytes(8 * rows), dtype=np.uint64) & np.uint64((1 << 48) - 1)
    millis = np.uint64(int(made_at.timestamp() * 1000))
    ids: NDArray[np.uint64] = np.empty((rows, 2), dtype=np.uint64)
    ids[:, 0] = (millis << np.uint64(16)) | np.uint64(0x7000) | (counter >> np.uint64(14))
    ids[:, 1] = np.uint64(1 << 63) | ((counter & np.uint64(0x3FFF)) << np.uint64(48)) | random
    text = ids.astype(">u8").tobytes().hex().encode()
    offsets = np.arange(0, len(text) + 1, 32, dtype=np.int32)
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(text))
