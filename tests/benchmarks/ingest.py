"""Durable ingest in events a second, as a ratio of raw COPY into a table with the same columns, indexes and partitions.

Raw COPY loads the very rows that the import stored, as the table's owner, without row-level security, receipts or any
check: the fastest way that PostgreSQL has. Import and COPY take turns, so that a busy machine slows both.
"""

import http.client
import io
import itertools
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psycopg
from django.conf import settings

from behavior.importing.importer import import_file, open_source
from behavior.importing.mapping import make_mapping
from behavior.importing.readers import open_reader
from behavior.management.commands.import_events import CHUNK_ROWS
from tenancy.models import Tenant
from tests.conftest import make_client, make_tenant
from tests.processes import running_server

ROUNDS = 5
BATCH = 500
CLIENTS = (1, 4)
ITEMS = 10_000
EVENTS_A_SUBJECT = 10
COLUMNS = (
    "event_id, received_at, occurred_at, time_quality, subject_key, session_key, type, item_id, value, quantity, "
    "currency, decision_id, source, consent, properties, tenant_id"
)


def measure(*, data: Path | None, full: bool) -> list[dict[str, Any]]:
    rows = 1_000_000 if full else 500_000
    batches = 200 if full else 60
    with tempfile.TemporaryDirectory() as folder:
        rounds = [_import_and_copy(Path(folder), rows, number) for number in range(ROUNDS)]
        rest = {clients: _rest_rate(Path(folder), clients, batches) for clients in CLIENTS}
    copy_rate = statistics.median(copied for _, copied in rounds)
    ratios = [imported / copied for imported, copied in rounds]
    import_rate = statistics.median(imported for imported, _ in rounds)
    return [
        {
            "id": "ingest.import.copy_ratio",
            "value": statistics.median(ratios),
            "spread": max(ratios) - min(ratios),
            "aim": ">= 0.5",
            "detail": {"events_per_s": import_rate, "copy_per_s": copy_rate, "rows": rows},
        },
        {
            "id": "ingest.api.copy_ratio",
            "value": max(rest.values()) / copy_rate,
            "aim": ">= 0.15",
            "detail": {f"events_per_s_{clients}_clients": rate for clients, rate in rest.items()}
            | {"copy_per_s": copy_rate, "batch": BATCH},
        },
    ]


def _import_and_copy(folder: Path, rows: int, number: int) -> tuple[float, float]:
    """Events a second of an import and of the COPY of what it stored."""
    tenant = make_tenant()
    path = folder / f"events-{number}.csv"
    _write_file(path, rows, seed=number)
    reader = open_reader(path, None, None)
    source = open_source(path, reader, make_mapping(reader.columns))
    started = time.perf_counter()
    report = import_file(tenant_id=tenant.id, source=source, chunk_rows=CHUNK_ROWS, on_progress=lambda *_: None)
    import_seconds = time.perf_counter() - started
    assert report.ok == rows, report
    return rows / import_seconds, rows / _copy_seconds(tenant, rows)


def _write_file(path: Path, rows: int, seed: int) -> None:
    """user, item, event, ts: ten events a subject, a long-tailed catalogue, a month of seconds."""
    generator = np.random.default_rng(seed)
    users = generator.integers(0, rows // EVENTS_A_SUBJECT, rows)
    items = np.minimum(generator.zipf(1.2, rows), ITEMS)
    types = generator.choice(["view", "cart", "purchase"], rows, p=[0.85, 0.1, 0.05])
    times = np.sort(generator.integers(1_700_000_000, 1_702_592_000, rows))
    with path.open("w") as file:
        file.write("user,item,event,ts\n")
        for user, item, kind, moment in zip(users, items, types, times, strict=True):
            file.write(f"u{user},i{item},{kind},{moment}\n")


def _copy_seconds(tenant: Tenant, rows: int) -> float:
    with psycopg.connect(settings.DATABASE_URLS["owner"]) as owner, owner.cursor() as cursor:
        cursor.execute("SELECT set_config('app.tenant', %s, true)", [str(tenant.id)])
        stored = io.BytesIO()
        with cursor.copy(f"COPY (SELECT {COLUMNS} FROM behavior_event) TO STDOUT") as copy:
            for block in copy:
                stored.write(block)
        cursor.execute("DROP TABLE IF EXISTS raw_copy")
        cursor.execute("CREATE TABLE raw_copy (LIKE behavior_event INCLUDING ALL) PARTITION BY RANGE (received_at)")
        now = datetime.now(UTC)
        cursor.execute(
            "CREATE TABLE raw_copy_now PARTITION OF raw_copy "
            f"FOR VALUES FROM ('{now - timedelta(days=1)}') TO ('{now + timedelta(days=1)}')"
        )
        owner.commit()
        started = time.perf_counter()
        with cursor.copy(f"COPY raw_copy ({COLUMNS}) FROM STDIN") as copy:
            copy.write(stored.getbuffer())
        owner.commit()
        seconds = time.perf_counter() - started
        cursor.execute("SELECT count(*) FROM raw_copy")
        assert cursor.fetchone() == (rows,)
        cursor.execute("DROP TABLE raw_copy")
    return seconds


def _rest_rate(folder: Path, clients: int, batches: int) -> float:
    """Events a second that `clients` concurrent clients get stored through a real server."""
    raw_key = make_client(make_tenant()).raw_key
    numbers = itertools.count()
    bodies = [list(_bodies(numbers, batches // clients)) for _ in range(clients)]
    with running_server(folder / f"server-{clients}.log") as address:
        _send(address, raw_key, list(_bodies(numbers, 2)))
        threads = [threading.Thread(target=_send, args=(address, raw_key, own)) for own in bodies]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - started
    return BATCH * sum(len(own) for own in bodies) / seconds


def _bodies(numbers: Iterator[int], batches: int) -> Iterator[bytes]:
    for _ in range(batches):
        sent_at = datetime.now(UTC)
        events = [
            {
                "message_id": f"benchmark-{number}",
                "type": "view",
                "subject": {
                    "anonymous_id": f"a{number // EVENTS_A_SUBJECT}",
                    "session_id": f"s{number // EVENTS_A_SUBJECT}",
                },
                "item_id": f"i{number * 7919 % ITEMS}",
                "created_at": (sent_at - timedelta(seconds=number % 60)).isoformat(),
            }
            for number in itertools.islice(numbers, BATCH)
        ]
        yield json.dumps({"sent_at": sent_at.isoformat(), "events": events}).encode()


def _send(address: str, raw_key: str, bodies: Sequence[bytes]) -> None:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    headers = {"Authorization": f"Bearer {raw_key}", "Content-Type": "application/json"}
    for body in bodies:
        connection.request("POST", "/api/v1/events", body, headers)
        answer = json.loads(connection.getresponse().read())
        assert answer["counts"]["ok"] == BATCH, answer["counts"]
    connection.close()
