"""The log's own guarantees: append-only, guarded partitions, no event missed by readers that go by time of receipt."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import DatabaseError, connection, transaction

from behavior.models import Event, EventReceipt
from behavior.positions import move, take
from behavior.services import store_events
from behavior.storing import new_event_ids, open_log, settle_log, settle_log_for
from behavior.tasks import RECEIPTS_KEPT, expire_receipts_of_tenant, make_partitions_ahead
from tenancy.scope import tenant_scope
from tests.database import connected_as


def test_partitions_cannot_be_read_directly(tenant, view) -> None:
    with tenant_scope(tenant.id):
        store_events(events=[view()], source="test")
    partition = f"parts.behavior_event_{datetime.now(UTC):%Y%m}"
    for process in ("app", "console"):
        with (
            psycopg.connect(settings.DATABASE_URLS[process]) as session,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            session.execute(f"SELECT count(*) FROM {partition}")


def test_the_log_is_append_only(tenant, view) -> None:
    with tenant_scope(tenant.id):
        store_events(events=[view()], source="test")
        for statement in ("UPDATE behavior_event SET type = 'x'", "DELETE FROM behavior_event"):
            with (
                pytest.raises(DatabaseError, match="permission denied"),
                transaction.atomic(),
                connection.cursor() as cursor,
            ):
                cursor.execute(statement)
        assert Event.objects.get().type == "view"


def test_the_console_cannot_read_sealed_ids() -> None:
    with psycopg.connect(settings.DATABASE_URLS["console"]) as session:
        session.execute("SELECT subject_key FROM behavior_subjectidentity")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("SELECT sealed_id FROM behavior_subjectidentity")


def test_event_ids_grow_in_the_order_of_the_batch() -> None:
    now = datetime.now(UTC)
    ids = new_event_ids(70_000, now).to_pylist()
    assert ids == sorted(set(ids))
    assert {text[12] for text in ids} == {"7"}
    assert int(ids[0][:12], 16) == int(now.timestamp() * 1000)


def test_a_settled_log_waits_for_writers_that_have_a_time_of_receipt(tenant, view) -> None:
    written = threading.Event()
    settled: list[datetime] = []

    def settle() -> None:
        written.wait()
        with tenant_scope(tenant.id):
            settled.append(settle_log())
        connection.close()

    reader = threading.Thread(target=settle)
    reader.start()
    with tenant_scope(tenant.id):
        received_at = store_events(events=[view()], source="test").received_at
        written.set()
        time.sleep(0.3)
        assert not settled
    reader.join()
    assert settled[0] > received_at
    with tenant_scope(tenant.id):
        assert open_log() > settled[0]


def test_a_reader_of_a_busy_log_waits_for_writers_once_it_is_far_behind(tenant, view) -> None:
    def settle_behind(seconds: float) -> datetime | None:
        try:
            with tenant_scope(tenant.id):
                return settle_log_for(datetime.now(UTC) - timedelta(seconds=seconds))
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with tenant_scope(tenant.id):
            received_at = store_events(events=[view()], source="test").received_at
            assert pool.submit(settle_behind, 50).result() is None
            settled = pool.submit(settle_behind, 70)
            time.sleep(0.3)
            assert not settled.done()
        assert settled.result() > received_at


def test_receipts_are_kept_for_35_days(tenant, view) -> None:
    with tenant_scope(tenant.id):
        store_events(events=[view(message_id="new")], source="test")
        old = datetime.now(UTC) - RECEIPTS_KEPT - timedelta(minutes=1)
        EventReceipt.objects.create(message_id="old", payload_hash=1, event_id=new_uuid(), received_at=old)
    expire_receipts_of_tenant.apply(headers={"tenant_id": tenant.id}).get()
    with tenant_scope(tenant.id):
        assert list(EventReceipt.objects.values_list("message_id", flat=True)) == ["new"]


def new_uuid() -> str:
    return new_event_ids(1, datetime.now(UTC))[0].as_py()


def elsewhere(call: Callable[[], Any]) -> Any:
    """What it gives in a session of its own."""

    def called() -> Any:
        try:
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as others:
        return others.submit(called).result(timeout=30)


PARTITIONED = """
    SELECT c.relname, array_agg(i.inhrelid::regclass::text ORDER BY i.inhrelid::regclass::text)
    FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid LEFT JOIN pg_inherits i ON i.inhparent = c.oid
    WHERE c.relnamespace = 'public'::regnamespace GROUP BY 1"""


def test_partitions_of_every_table_are_made_while_it_is_read(tenant, view) -> None:
    """As they are when the suite has run for longer than the months that its first migration made."""
    with connected_as("owner"), connection.cursor() as cursor:
        cursor.execute(PARTITIONED)
        before = dict(cursor.fetchall())
        for newest in [partitions[-1] for partitions in before.values()]:
            cursor.execute(f"DROP TABLE {newest}")
    with tenant_scope(tenant.id):
        # An open reader and an open writer of the log.
        store_events(events=[view(message_id="new")], source="test")
        elsewhere(make_partitions_ahead)
    with connection.cursor() as cursor:
        cursor.execute(PARTITIONED)
        assert dict(cursor.fetchall()) == before
    assert {"behavior_event", "decisions_decision"} <= before.keys()
    assert min(map(len, before.values())) >= 4


def test_what_already_reads_is_left_to_whom_has_it(tenant) -> None:
    def taken() -> bool:
        with tenant_scope(tenant.id):
            return take("somebody") is not None

    with tenant_scope(tenant.id):
        move(take("somebody"), datetime(2026, 1, 1, tzinfo=UTC))
    with tenant_scope(tenant.id):
        assert take("somebody").position == datetime(2026, 1, 1, tzinfo=UTC)
        assert elsewhere(taken) is False
    assert taken()
