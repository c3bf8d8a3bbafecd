"""A small trained artifact, and tenants that have it as a version."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.utils import timezone
from numpy.typing import NDArray

from behavior.models import Event
from ml.data.columns import EventColumns, write_columns
from ml.serving.requests import NextItemRequest
from ml.tasks.registry import TASKS
from serving import gateway, selectors
from serving.artifacts import artifact_sha256, relative_path, run_folder
from serving.inbox import valkey
from serving.models import ModelVersion, RunStatus, TrainingRun
from serving.services import promote
from tenancy.models import Tenant
from tenancy.scope import tenant_scope

ITEMS = [f"item-{number:02d}" for number in range(12)]
TINY = {"epochs": 2, "dimension": 16, "layers": 1, "heads": 1, "max_length": 10, "encoder": "transformer", "seed": 1}


def walk_catalogue(*, subjects: int = 60, events: int = 15, seed: int = 0) -> tuple[NDArray, NDArray]:
    """Items (0-based) and hours of subjects who walk round the catalogue in its order and now and then jump."""
    generator = np.random.default_rng(seed)
    steps = np.where(generator.random((subjects, events)) < 0.8, 1, generator.integers(2, 12, (subjects, events)))
    item = (generator.integers(0, 12, (subjects, 1)) + steps.cumsum(axis=1)) % 12
    return item, np.arange(events) + generator.random((subjects, events)) * 0.8


def write_log(path: Path, *, subjects: int = 60, events: int = 15) -> EventColumns:
    item, hours = walk_catalogue(subjects=subjects, events=events)
    return write_columns(
        path,
        subject=np.repeat(np.arange(subjects), events),
        item=item.ravel() + 1,
        type=np.zeros(subjects * events, dtype=int),
        time=1_700_000_000 + 3600 * hours.ravel(),
        value=np.full(subjects * events, np.nan),
        items=ITEMS,
        types=["view"],
    )


def fill_log(tenant: Tenant, *, subjects: int = 60, events: int = 15, seed: int = 0) -> None:
    """The walks of `walk_catalogue` as events of the last three days."""
    begin = timezone.now() - timedelta(days=3)
    item, hours = walk_catalogue(subjects=subjects, events=events, seed=seed)
    with tenant_scope(tenant.id):
        Event.objects.bulk_create(
            Event(
                received_at=timezone.now() - timedelta(minutes=5),
                occurred_at=begin + timedelta(hours=float(hours[subject, number])),
                time_quality="client",
                subject_key=subject.to_bytes(32, "big"),
                type="view",
                item_id=ITEMS[item[subject, number]],
                source="test",
            )
            for subject in range(subjects)
            for number in range(events)
        )


@pytest.fixture
def filled(tenant: Tenant) -> Tenant:
    fill_log(tenant)
    return tenant


@pytest.fixture(scope="session")
def log_columns(tmp_path_factory: pytest.TempPathFactory) -> EventColumns:
    return write_log(tmp_path_factory.mktemp("log") / "columns")


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory, log_columns: EventColumns) -> Path:
    out = tmp_path_factory.mktemp("artifact")
    TASKS["next_item"].fit(log_columns, TINY, out, progress=lambda progress: None)
    return out


@pytest.fixture
def publish(artifact: Path) -> Callable[..., ModelVersion]:
    """publish(tenant, number) gives the tenant a passed version that holds a copy of the small artifact."""

    def publish(tenant: Tenant, number: int = 1, model: str = "next-item", **values: Any) -> ModelVersion:
        with tenant_scope(tenant.id):
            run = TrainingRun.objects.create(
                model=model, task="next_item", status=RunStatus.SUCCEEDED, finished_at=timezone.now()
            )
            folder = run_folder(tenant.id, model, run.id) / "1"
            shutil.copytree(artifact, folder)
            return ModelVersion.objects.create(
                model=model,
                number=number,
                task="next_item",
                run=run,
                artifact=relative_path(folder),
                artifact_sha256=artifact_sha256(folder),
                **values,
            )

    return publish


@pytest.fixture
def request_after() -> Callable[..., NextItemRequest]:
    def request_after(*items: str, count: int = 3) -> NextItemRequest:
        times = [1_700_100_000.0 + index for index in range(len(items))]
        return NextItemRequest(
            items=list(items),
            types=["view"] * len(items),
            times=times,
            values=[None] * len(items),
            count=count,
            exclude=[],
            candidates=None,
            now=1_700_200_000.0,
        )

    return request_after


@pytest.fixture(autouse=True)
def fresh_gateway() -> None:
    """What a process remembers between requests starts empty in each test."""
    selectors._lines.clear()
    gateway._workers.succeeded()
    valkey().delete("sequitur:infer:questions", "sequitur:infer:waking")


@pytest.fixture
def through_the_queue(settings: Any) -> None:
    settings.GATEWAY_TRANSPORT = "queue"


@pytest.fixture
def live(tenant: Tenant, publish: Callable[..., ModelVersion]) -> ModelVersion:
    version = publish(tenant)
    with tenant_scope(tenant.id):
        promote(version=version, actor="test")
    return version
