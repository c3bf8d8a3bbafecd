"""The Fraud Detection Handbook's whole set through the product: imported, trained on by a worker, and its newest test
week replayed over HTTP. The answers must be those that the engine gives offline, from the file alone.
"""

import itertools
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from ml.data.transactions import TransactionColumns
from ml.evaluation.fraud import Fold, fraud_metrics, unknown_rows, within
from ml.serving.predictor import load_predictor
from ml.serving.risk_requests import requests_of_log
from serving.selectors import live_version
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.benchmarks.assessments import import_transactions, project
from tests.benchmarks.fraud import DAY, FIRST_DAY, FIRST_MOMENT, TEST_FOLDS, read_columns
from tests.benchmarks.load import Connection, percentile
from tests.benchmarks.serve import serving
from tests.conftest import make_client, make_tenant
from tests.processes import running_worker

FOLD = Fold((TEST_FOLDS[0] - FIRST_DAY).days)
# As a desk would: what is older than the labels' delay is learned from, the newest part of it decides and tests.
CONFIG = {"days": 56, "validation_quantile": 0.85, "test_quantile": 0.92}
BATCH = 500
SINGLES = 1_000
AT_ONCE = 5_000
TRAINING_SECONDS = 1_800.0
AIMS = {"auc": ">= 0.89", "average_precision": ">= 0.75", "card_precision_100": ">= 0.317"}
NAMES = {"auc": "auc", "average_precision": "ap", "card_precision_100": "cp100"}


def measure(*, data: Path | None, full: bool) -> Iterator[dict[str, Any]]:
    columns, fraud = read_columns(data)
    day = ((columns.time - FIRST_MOMENT) // DAY).astype(np.int64)
    week = np.flatnonzero(within(day, FOLD.test))
    week = week[np.argsort(columns.time[week], kind="stable")]
    before = day < FOLD.test.start
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tenant = make_tenant()
        key = make_client(tenant).raw_key
        bring_in(tenant, folder / "before.parquet", columns, fraud, np.flatnonzero(before))
        with serving(folder, "inline") as (address, _):
            report = train(address, key, folder)
            bring_in(tenant, folder / "after.parquet", columns, fraud, np.flatnonzero(~before))
            client = Connection(address, key)
            single, milliseconds = replay(client, columns, week[:SINGLES], 1)
            batches, per_batch = replay(client, columns, week[SINGLES:], BATCH)
        online = np.concatenate([single, batches])
        offline = score_offline(tenant, columns, week)
    yield {
        "id": "risk.replay.difference",
        "value": float(np.abs(online - offline).max()),
        "aim": "<= 0.00001",
        "detail": {
            "transactions_stored": len(columns),
            "replayed": len(week),
            "p50_ms_single": percentile(milliseconds, 50),
            "p99_ms_single": percentile(milliseconds, 99),
            "per_s_in_batches": 1000 * len(batches) / sum(per_batch),
        },
    }
    tested = unknown_rows(FOLD, day, columns.customer, fraud)
    place = np.searchsorted(np.sort(week), tested)
    by_row = online[np.argsort(week)][place]
    metrics = fraud_metrics(by_row, fraud[tested], columns.customer[tested], day[tested])
    for metric, aim in AIMS.items():
        yield {
            "id": f"risk.replay.{NAMES[metric]}",
            "value": metrics[metric],
            "aim": aim,
            "detail": {"fold": TEST_FOLDS[0].isoformat(), "gate_test": report["score"]},
        }


def bring_in(
    tenant: Tenant, file: Path, columns: TransactionColumns, fraud: NDArray[np.int64], rows: NDArray[np.int64]
) -> None:
    """These transactions, with their labels, through the importer and the projection."""
    import_transactions(
        tenant,
        file,
        {
            "message_id": [f"handbook-{row}" for row in rows],
            "user_id": [f"customer-{each}" for each in columns.customer[rows]],
            "item_id": [f"terminal-{each}" for each in columns.counterparty[rows]],
            "value": columns.amount[rows],
            "created_at": columns.time[rows],
            "properties": [
                f'{{"transaction_id":"{row}","fraud":{str(bool(bad)).lower()}}}'
                for row, bad in zip(rows, fraud[rows], strict=True)
            ],
        },
    )
    print(f"imported {len(rows)}; projected in {project(tenant):.0f} s", flush=True)


def train(address: str, key: str, folder: Path) -> dict[str, Any]:
    """A run on the train queue, through the gate; returns its report."""
    run = Connection(address, key).post("training-runs", {"model": "risk", "task": "risk", "config": CONFIG})
    with running_worker(folder / "train.log", "train", {"OMP_NUM_THREADS": "1"}):
        ends = time.monotonic() + TRAINING_SECONDS
        while run["status"] not in ("succeeded", "failed") and time.monotonic() < ends:
            time.sleep(2.0)
            run = Connection(address, key).get(f"training-runs/{run['id']}")
    if run["status"] != "succeeded":
        raise AssertionError(f"the run is {run['status']}: {run['error']}")
    print(f"trained in {run['report']['seconds']:.0f} s: {run['report']['test']}", flush=True)
    report: dict[str, Any] = run["report"]
    return report


def replay(
    client: Connection, columns: TransactionColumns, rows: NDArray[np.int64], size: int
) -> tuple[NDArray[np.float64], list[float]]:
    """The scores of these transactions, asked in order of time, and milliseconds of each call."""
    scores, milliseconds = [], []
    following = iter(rows.tolist())
    while batch := list(itertools.islice(following, size)):
        bodies = [body(columns, row) for row in batch]
        started = time.perf_counter()
        if size == 1:
            answers = [client.post("risk/assessments", bodies[0])]
        else:
            results = client.post("risk/assessments/batch", {"transactions": bodies})["results"]
            answers = [each["assessment"] for each in results]
        milliseconds.append(1000 * (time.perf_counter() - started))
        if any(answer["degraded"] for answer in answers):
            raise AssertionError(f"degraded: {answers[0]}")
        scores += [answer["score"] for answer in answers]
    return np.array(scores), milliseconds


def body(columns: TransactionColumns, row: int) -> dict[str, Any]:
    return {
        "transaction_id": str(row),
        "subject": {"user_id": f"customer-{columns.customer[row]}"},
        "amount": float(columns.amount[row]),
        "currency": "EUR",
        "counterparty": f"terminal-{columns.counterparty[row]}",
        "occurred_at": datetime.fromtimestamp(columns.time[row], UTC).isoformat(),
    }


def score_offline(tenant: Tenant, columns: TransactionColumns, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """What the live version's artifact says of the file's transactions, without the database."""
    with tenant_scope(tenant.id):
        version = live_version("risk")
    assert version is not None, "the gate refused the model"
    predictor = load_predictor(Path(settings.ARTIFACTS) / version.artifact)
    found: list[float] = []
    for begin in range(0, len(rows), AT_ONCE):
        requests = requests_of_log(columns, rows[begin : begin + AT_ONCE])
        found += [answer["probability"] for answer in predictor.predict(requests)]
    return np.array(found)
