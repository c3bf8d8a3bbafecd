"""The loop on public data: a CSV through import_events, a model through the queue and the gate, a list over HTTP."""

import io
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from django.core.management import call_command

from serving.models import ACTIVE_STATUSES, TrainingRun
from serving.selectors import live_version, training_runs
from serving.services import request_training
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.benchmarks.serve import Connection
from tests.conftest import make_client, make_tenant
from tests.processes import Process, running_server, running_worker

FILE = Path("recsys/retailrocket_multibehavior/events_train.csv")
MAPPING = ["user_id=user", "item_id=item", "type=event", "created_at=ts"]
MODEL = "next-item"
SEEDS = (0, 1, 2)
TRAINING_SECONDS = 1800.0


def measure(*, data: Path | None, full: bool) -> list[dict[str, Any]]:
    if data is None or not (data / FILE).exists():
        raise SystemExit(
            f"needs {FILE} in the folder given by --data or SEQUITUR_DATA: the columns user, item, event (view, cart, "
            "buy) and ts (Unix seconds) of the RetailRocket multi-behaviour log"
        )
    with tempfile.TemporaryDirectory() as folder:
        rounds = [measure_seed(seed, data / FILE, Path(folder)) for seed in SEEDS]
    scores = [one["score"] for one in rounds]
    return [
        {
            "id": "loop.retailrocket.ndcg10",
            "value": statistics.mean(scores),
            "spread": statistics.stdev(scores),
            "seeds": len(SEEDS),
            "floor": max(one["floor"] for one in rounds),
            "detail": rounds[0]["detail"]
            | {"train_s": statistics.mean(one["train_s"] for one in rounds)}
            | {name: all(one[name] for one in rounds) for name in ("promoted", "answered")},
        }
    ]


def measure_seed(seed: int, file: Path, folder: Path) -> dict[str, Any]:
    """Import, training, promotion and an answer, in a tenant of their own."""
    tenant = make_tenant()
    counted = import_log(tenant, file)
    with running_worker(folder / f"train-{seed}.log", queues="train") as worker:
        run = train(tenant, worker, seed)
    with running_server(folder / f"server-{seed}.log") as address:
        answer = ask(tenant, address)
    report = run.report
    assert report
    assert run.started_at
    assert run.finished_at
    return answer | {
        "score": report["score"],
        "floor": max(report["baselines"].values()),
        "train_s": (run.finished_at - run.started_at).total_seconds(),
        "detail": {
            **{name: counted[name] for name in ("rows", "ok", "duplicate", "quarantined", "rejected")},
            **report["baselines"],
            "split": report["split"]["kind"],
            "one_seed_standard_error": report["spread"],
        },
    }


def import_log(tenant: Tenant, file: Path) -> dict[str, Any]:
    """Import the file; every row of it must be accounted for."""
    output = io.StringIO()
    call_command("import_events", file, "--tenant", tenant.slug, "--map", *MAPPING, "--json", stdout=output)
    counted: dict[str, Any] = json.loads(output.getvalue())
    with file.open() as lines:
        rows = sum(1 for _ in lines) - 1
    parts = sum(counted[name] for name in ("ok", "duplicate", "quarantined", "rejected"))
    if not rows == counted["rows"] == parts:
        raise AssertionError(f"{rows} rows in the file, but the import speaks of {counted}")
    return counted


def train(tenant: Tenant, worker: Process, seed: int) -> TrainingRun:
    with tenant_scope(tenant.id):
        run = request_training(model=MODEL, config={"seed": seed}, requested_by="benchmark")
    deadline = time.monotonic() + TRAINING_SECONDS
    while run.status in ACTIVE_STATUSES:
        if time.monotonic() > deadline or worker.popen.poll() is not None:
            raise AssertionError(f"not trained in time; the worker wrote:\n{worker.output[-4000:]}")
        time.sleep(1)
        with tenant_scope(tenant.id):
            run = training_runs(MODEL).get(id=run.id)
    if run.error:
        raise AssertionError(run.error)
    return run


def ask(tenant: Tenant, address: str) -> dict[str, Any]:
    """Whether the gate let the model answer, and whether it answers a subject of the log over HTTP."""
    with tenant_scope(tenant.id):
        version = live_version(MODEL)
    key = make_client(tenant).raw_key
    answer = Connection(address, key).post("recommendations", {"scenario": "home", "subject": {"user_id": "1"}})
    promoted = version is not None
    return {
        "promoted": promoted,
        "answered": promoted and answer["model_version"] == str(version.id) and bool(answer["items"]),
    }
