"""Assessments over HTTP with velocity features out of many stored transactions.

A simulated desk's history is imported through the log (`import_events`' own code), projected, and then transactions of
its customers are assessed by a real gunicorn on loopback, with the inference in its own process (`inline`) or in a
Celery worker (`queue`). Where the engine has no task for risk yet, points answer in the model's place and the record
says so.
"""

import itertools
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from django.conf import settings
from django.utils import timezone

from apps.risk.assessments.services import assess
from apps.risk.transactions.projection import project_transactions
from apps.risk.transactions.reading import read_transaction
from behavior.importing.importer import import_file, open_source
from behavior.importing.mapping import make_mapping
from behavior.importing.readers import open_reader
from behavior.management.commands.import_events import CHUNK_ROWS
from ml.tasks.registry import TASKS
from serving import training_data
from serving.models import ModelVersion
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.benchmarks.cpu import CpuWatch
from tests.benchmarks.load import Question, answered_by, latencies, percentile
from tests.benchmarks.serve import ENVIRONMENT, publish, serving
from tests.conftest import make_client, make_tenant
from tests.database import vacuum
from tests.processes import running_worker
from tests.queries import CapturedQueries

# As in the Fraud Detection Handbook's simulation: each customer makes two transactions a day.
CUSTOMERS, TERMINALS, DAYS = 5_000, 10_000, 180
# Shares of transactions that are fraud: anywhere, and at a terminal that was compromised within the last 28 days.
FRAUDS, COMPROMISED_FRAUDS = 0.002, 0.5
COMPROMISED, COMPROMISED_DAYS = 500, 28
# Stored transactions; RISK_TRANSACTIONS asks for another number.
ROWS, FULL_ROWS = 400_000, 1_750_000
CLIENTS = (1, 8)
SECONDS = 8.0
IN_PROCESS = 300
TASK = "risk"
_numbers = itertools.count()


def measure(*, data: Path | None, full: bool) -> Iterator[dict[str, Any]]:
    rows = int(os.environ.get("RISK_TRANSACTIONS", FULL_ROWS if full else ROWS))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tenant = make_tenant()
        import_history(tenant, folder, rows)
        yield {"id": "risk.project.per_s", "value": rows / project(tenant), "detail": {"transactions": rows}}
        version = train(tenant, folder)
        detail = {"transactions": rows, "model": "none" if version is None else TASK} | in_process(tenant)
        vacuum()
        key = make_client(tenant).raw_key
        question = Question(
            "assess", "risk/assessments", body, answered_by(str(version.id)) if version else lambda answer: None
        )
        seconds = SECONDS * (4 if full else 1)
        with serving(folder, "inline") as (address, server):
            watch = CpuWatch(server)
            inline = {clients: latencies(address, key, question, clients, seconds, watch) for clients in CLIENTS}
        yield record("risk.assess.p99_ms", inline, "<= 30 ms", detail, watch)
        rate = 1000 * max(CLIENTS) / float(np.mean(inline[max(CLIENTS)]))
        yield {"id": "risk.assess.per_s", "value": rate, "aim": ">= 200", "detail": detail}
        if version is not None:
            with (
                serving(folder, "queue") as (address, server),
                running_worker(folder / "infer.log", "infer", ENVIRONMENT) as worker,
            ):
                watch = CpuWatch(server, also=worker)
                queue = {clients: latencies(address, key, question, clients, seconds, watch) for clients in CLIENTS}
            yield record("risk.assess.queue_p99_ms", queue, "<= 50 ms", detail, watch)


def record(
    name: str, measured: dict[int, list[float]], aim: str, detail: dict[str, Any], watch: CpuWatch
) -> dict[str, Any]:
    """p99 at 8 clients, and everything beside it; `watch` has seen the last of CLIENTS, and tells the CPU time of an
    answer."""
    found = {
        f"{rank}_ms_{n}": percentile(each, p) for n, each in measured.items() for rank, p in (("p50", 50), ("p99", 99))
    }
    found |= watch.per_request(len(measured[max(CLIENTS)]))
    return {"id": name, "value": found["p99_ms_8"], "aim": aim, "detail": detail | found}


def body(turn: int) -> dict[str, Any]:
    """A new transaction of a customer who is in the history."""
    number = next(_numbers)
    return {
        "transaction_id": f"live-{time.time_ns()}-{number}",
        "subject": {"user_id": f"customer-{turn * 7919 % CUSTOMERS}"},
        "amount": 10.0 + turn % 90,
        "currency": "EUR",
        "counterparty": f"terminal-{turn * 104_729 % TERMINALS}",
    }


def import_history(tenant: Tenant, folder: Path, rows: int) -> None:
    """The last DAYS days, through the file importer. Most frauds happen at compromised terminals, so that there is
    something to learn and the model is as large as a desk's."""
    generator = np.random.default_rng(0)
    ends = datetime.now(UTC).timestamp()
    number = np.arange(rows)
    day = DAYS * np.sort(generator.random(rows))
    terminal = generator.integers(0, TERMINALS, rows)
    # The first terminals are compromised once each; the others never.
    since = day - np.append(generator.random(COMPROMISED) * DAYS, np.full(TERMINALS - COMPROMISED, np.inf))[terminal]
    compromised = (since >= 0) & (since < COMPROMISED_DAYS)
    fraud = generator.random(rows) < np.where(compromised, COMPROMISED_FRAUDS, FRAUDS)
    columns = {
        "message_id": [f"history-{each}" for each in number],
        "user_id": [f"customer-{each}" for each in generator.integers(0, CUSTOMERS, rows)],
        "item_id": [f"terminal-{each}" for each in terminal],
        "value": np.round(generator.lognormal(3.5, 0.8, rows), 2),
        "created_at": ends - (DAYS - day) * 86_400,
        "properties": [
            f'{{"transaction_id":"h-{each}","fraud":{str(bad).lower()}}}'
            for each, bad in zip(number, fraud, strict=True)
        ],
    }
    import_transactions(tenant, folder / "history.parquet", columns)


def import_transactions(tenant: Tenant, file: Path, columns: dict[str, Any]) -> None:
    """Payments in euros through the file importer, by way of a file that is made for it."""
    pyarrow.parquet.write_table(pa.table(columns), file)
    reader = open_reader(file, None, None)
    mapping = make_mapping(reader.columns, {}, {"type": "payment", "currency": "EUR"})
    source = open_source(file, reader, mapping)
    report = import_file(
        tenant_id=tenant.id, source=source, chunk_rows=CHUNK_ROWS, on_progress=lambda rows, place: None
    )
    if report.ok != len(columns["message_id"]):
        raise AssertionError(f"only {report.ok} of {len(columns['message_id'])} rows were imported")


def project(tenant: Tenant) -> float:
    """Seconds until the whole log is projected."""
    started = time.perf_counter()
    while True:
        with tenant_scope(tenant.id):
            if project_transactions(wait=True) == 0:
                break
    seconds = time.perf_counter() - started
    vacuum()
    return seconds


def train(tenant: Tenant, folder: Path) -> ModelVersion | None:
    if TASK not in TASKS:
        return None
    with tenant_scope(tenant.id):
        path = training_data.take(TASK, {}, Path(settings.SNAPSHOTS) / str(tenant.id))
    TASKS[TASK].fit(training_data.open_data(TASK, path), {}, folder / "artifact", progress=lambda progress: None)
    return publish(tenant, folder / "artifact", model=TASK, task=TASK)


def in_process(tenant: Tenant) -> dict[str, Any]:
    """CPU time of an assessment without HTTP, in this process alone, and its statements."""
    with tenant_scope(tenant.id):
        asked = [read_transaction(body(turn), now=timezone.now()) for turn in range(IN_PROCESS)]
        for each in asked[:20]:
            assess([each])
        with CapturedQueries() as queries:
            assess([asked[20]])
        used = resource.getrusage(resource.RUSAGE_SELF)
        started = used.ru_utime + used.ru_stime
        for each in asked[21:]:
            assess([each])
        used = resource.getrusage(resource.RUSAGE_SELF)
    cpu_ms = 1000 * (used.ru_utime + used.ru_stime - started) / len(asked[21:])
    return {"cpu_ms": cpu_ms, "statements": len(queries)}
