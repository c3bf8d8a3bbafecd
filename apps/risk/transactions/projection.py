"""Transactions that reach the behaviour log by themselves (`POST events`, `import_events`) become the risk desk's.

The log is followed by its time of receipt, a slice at a time: one INSERT ... SELECT for each, whatever its size. Only
keys of devices, cards and addresses are made here, each distinct one once, since the database has no secret.

What comes in is read for all types together. Each type has a position of its own besides, which goes along with theirs;
that of a type which is added begins with the log, and until it has come up its past is read beside what comes in.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from django.db import connection
from django.db.models import QuerySet, Subquery

from apps.risk.assessments.settings import RiskSettings, current_settings
from apps.risk.labels.services import NewLabel, record_labels
from apps.risk.transactions.amounts import SQL_AMOUNT, SQL_GIVEN_AMOUNT
from apps.risk.transactions.models import Label
from apps.risk.transactions.reading import MAX_TRANSACTION_ID, THINGS, thing_key
from apps.risk.transactions.selectors import as_bytea
from apps.risk.transactions.services import SOURCE
from behavior.clock import EPOCH
from behavior.countries import COUNTRIES
from behavior.models import LogPosition
from behavior.parsing import MAX_ID, Invalid, parse_time
from behavior.positions import move, take
from behavior.storing import settle_log, settle_log_for
from tenancy.scope import current_tenant_id
from tenancy.secrets import subject_secret

READER = "risk transactions"
# Events of a slice, and of one that keeps other short work waiting for half a second only.
SLICE, LITTLE = 200_000, 20_000
TRUE = ("true", "1", "yes")
# In properties, but columns of a transaction.
OWN = ("transaction_id", "counterparty", *THINGS, "country", "latitude", "longitude", "fraud", "fraud_known_at")

WINDOW = """tenant_id = %(tenant)s AND received_at >= %(since)s AND received_at < %(until)s
    AND type = ANY(%(types)s) AND source <> %(source)s AND value >= 0"""
END_OF_SLICE = f"""
    SELECT max(received_at) FROM (
        SELECT received_at FROM behavior_event WHERE {WINDOW} ORDER BY received_at LIMIT %(slice)s
    ) AS first"""
# What `parse_id` takes away at both ends.
SPACE = "".join(filter(str.isspace, map(chr, range(0x10000))))


def _name(name: str, most: int) -> str:
    """A text from properties as `parse_id` reads it; NULL where it is none."""
    text = f"btrim(properties ->> '{name}', %(space)s)"
    return f"CASE WHEN length({text}) BETWEEN 1 AND {most} THEN {text} END"


DISTINCT_THINGS = " UNION ALL ".join(
    f"SELECT DISTINCT '{thing}', properties ->> '{thing}' FROM behavior_event WHERE {WINDOW} "
    f"AND {_name(thing, MAX_ID)} IS NOT NULL"
    for thing in THINGS
)
CREATE_KEYS = """
    CREATE TEMPORARY TABLE IF NOT EXISTS risk_thing (kind text, raw text COLLATE "C", key bytea)
    ON COMMIT DELETE ROWS"""
# The transaction's id as the client names it, else that of its event.
TRANSACTION_ID = f"coalesce({_name('transaction_id', MAX_TRANSACTION_ID)}, event_id::text)"


def _degrees(name: str, pattern: str, most: int) -> str:
    """A number from properties, written as a number or as text; NULL where it is none."""
    text = f"properties ->> '{name}'"
    return f"CASE WHEN {text} ~ '{pattern}' AND abs(({text})::float8) <= {most} THEN ({text})::float8 END"


LATITUDE = _degrees("latitude", r"^-?\d{1,2}(\.\d{1,20})?$", 90)
LONGITUDE = _degrees("longitude", r"^-?\d{1,3}(\.\d{1,20})?$", 180)
# DISTINCT ON: the log may tell of one transaction twice under two message ids; the earliest telling counts.
# An event says what its own transaction was, once; of one that is stored already, whatever brought it, labels say it.
PROJECT = f"""
    WITH kept AS (
    INSERT INTO risk_transaction (tenant_id, transaction_id, event_id, occurred_at, received_at, subject_key, type,
        amount, currency, given_amount, counterparty, device_key, card_key, address_key, country, latitude, longitude,
        properties)
    SELECT DISTINCT ON (transaction_id) %(tenant)s, {TRANSACTION_ID} AS transaction_id, event_id, occurred_at,
        received_at, subject_key, type, {SQL_AMOUNT}, coalesce(currency, %(currency)s), {SQL_GIVEN_AMOUNT},
        coalesce(item_id, {_name("counterparty", MAX_ID)}),
        device.key, card.key, address.key,
        CASE WHEN properties ->> 'country' = ANY(%(countries)s) THEN properties ->> 'country' END,
        {LATITUDE}, {LONGITUDE},
        nullif(properties - %(own)s::text[], '{{}}'::jsonb)
    FROM behavior_event
        LEFT JOIN risk_thing AS device ON device.kind = 'device' AND device.raw = properties ->> 'device'
        LEFT JOIN risk_thing AS card ON card.kind = 'card' AND card.raw = properties ->> 'card'
        LEFT JOIN risk_thing AS address ON address.kind = 'address' AND address.raw = properties ->> 'address'
    WHERE {WINDOW}
    ORDER BY transaction_id, received_at, event_id
    ON CONFLICT (tenant_id, transaction_id) DO NOTHING RETURNING transaction_id, event_id
    )
    SELECT transaction_id, occurred_at, received_at, properties ->> 'fraud_known_at'
    FROM behavior_event JOIN kept USING (event_id) WHERE {WINDOW} AND lower(properties ->> 'fraud') = ANY(%(true)s)"""


def project_transactions(*, limit: int = SLICE, wait: bool = False) -> int:
    """Carry the next slice of the log into the transactions of the tenant in scope; returns how many events it held.

    The position moves in the same transaction and its row is locked, so that slices follow each other, and a slice that
    is repeated changes nothing. 0 means that nothing is left or, without `wait`, that the log was busy.
    """
    settings = current_settings()
    place = take(READER, wait=wait) if settings.event_types else None
    if place is None:
        return 0
    settled = settle_log() if wait else settle_log_for(place.position)
    if settled is None:
        return 0
    readers = _readers(settings.event_types)
    _add_readers(readers, place.position)
    events, until = _carry(settings, settings.event_types, place.position, settled, limit)
    LogPosition.objects.filter(reader__in=readers, position=place.position).update(position=until)
    move(place, until)
    return events


def some_past_waits() -> bool:
    """Whether a type was added whose past is not read yet."""
    return bool(_behind(current_settings().event_types))


def project_past(*, limit: int = SLICE, wait: bool = False) -> int:
    """As `project_transactions`, for what the log held of types before they were added: a slice of each."""
    settings = current_settings()
    readers = _readers(settings.event_types)
    behind = _behind(settings.event_types).select_for_update(skip_locked=not wait).order_by("position")
    events = 0
    for since, places in groupby(behind, key=lambda place: place.position):
        names = [place.reader for place in places]
        types = [readers[name] for name in names]
        front = LogPosition.objects.get(reader=READER).position
        count, until = _carry(settings, types, since, front, limit)
        events += count
        if until == front:
            # What was received meanwhile; from here on they go along.
            main = LogPosition.objects.select_for_update().get(reader=READER)
            count, until = _carry(settings, types, front, main.position, limit)
            events += count
        LogPosition.objects.filter(reader__in=names).update(position=until)
    return events


def _readers(types: Iterable[str]) -> dict[str, str]:
    """Types by the names of their positions."""
    return {f"{READER} {hashlib.sha256(type.encode()).hexdigest()[:16]}": type for type in types}


def _add_readers(readers: Iterable[str], position: datetime) -> None:
    """The first types begin with the position of all, which may have been moved before types had their own."""
    known = set(LogPosition.objects.filter(reader__startswith=f"{READER} ").values_list("reader", flat=True))
    start = EPOCH if known else position
    LogPosition.objects.bulk_create(
        [LogPosition(reader=reader, position=start) for reader in readers if reader not in known]
    )


def _behind(types: Iterable[str]) -> QuerySet[LogPosition]:
    main = LogPosition.objects.filter(reader=READER).values("position")
    return LogPosition.objects.filter(reader__in=_readers(types), position__lt=Subquery(main))


def _carry(
    settings: RiskSettings, types: Sequence[str], since: datetime, before: datetime, limit: int
) -> tuple[int, datetime]:
    """Carry a slice of what was received in between; how many events it held, and until when they were received."""
    values: dict[str, Any] = {
        "tenant": current_tenant_id(),
        "since": since,
        "until": before,
        "types": list(types),
        "source": SOURCE,
        "slice": limit,
        "currency": settings.currency,
        "rates": json.dumps(dict(settings.exchange_rates)),
        "own": list(OWN),
        "true": list(TRUE),
        "countries": list(COUNTRIES),
        "space": SPACE,
    }
    with connection.cursor() as cursor:
        cursor.execute(END_OF_SLICE, values)
        last: datetime | None = cursor.fetchone()[0]
        if last is None:
            return 0, before
        # What was received at one moment was stored together, and stays together.
        values["until"] = min(before, last + timedelta(microseconds=1))
        return _project(cursor, values, timedelta(days=settings.label_delay_days)), values["until"]


def _project(cursor: Any, values: dict[str, Any], label_delay: timedelta) -> int:
    cursor.execute(f"SELECT count(*) FROM behavior_event WHERE {WINDOW}", values)
    events = int(cursor.fetchone()[0])
    cursor.execute(CREATE_KEYS)
    cursor.execute("DELETE FROM risk_thing")
    cursor.execute(DISTINCT_THINGS, values)
    _copy_keys(cursor, cursor.fetchall())
    cursor.execute(PROJECT, values)
    labels = [_label(*row, label_delay=label_delay) for row in cursor.fetchall()]
    record_labels(labels=labels, source=Label.Source.FILE, actor="event log")
    return events


def _copy_keys(cursor: Any, things: Sequence[tuple[str, str]]) -> None:
    if not things:
        return
    secret = subject_secret()
    # Django turns psycopg's errors into its own only inside its methods, and COPY runs outside them.
    with (
        connection.wrap_database_errors,
        cursor.copy("COPY risk_thing FROM STDIN") as copy,
    ):
        for kind, raw in things:
            copy.write_row((kind, raw, as_bytea(thing_key(kind, raw.strip(), secret=secret))))
    cursor.execute("ANALYZE risk_thing")


def _label(
    transaction_id: str, occurred_at: datetime, received_at: datetime, given: str | None, *, label_delay: timedelta
) -> NewLabel:
    """A fraud that the log tells of was known when it says, else after the usual delay, and by its receipt at last."""
    known_at = occurred_at + label_delay
    if given is not None:
        with suppress(Invalid):
            known_at = EPOCH + timedelta(microseconds=parse_time(given))
    return NewLabel(transaction_id, Label.Kind.FRAUD, max(min(known_at, received_at), occurred_at))
