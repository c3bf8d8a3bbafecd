"""What the train queue adds to the engine, and what it must not change: same model, warm start, search."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from django.conf import settings
from safetensors.numpy import load_file

from console.training_view import percent_done, stage_in_words
from ml.data.columns import EventColumns
from ml.tasks.registry import TASKS
from serving.artifacts import resolve_artifact
from serving.models import ModelVersion, RunStatus, TrainingRun
from serving.selectors import live_version, model_versions
from serving.services import promote, request_training
from serving.tasks import train_model
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.tasks import TENANT_HEADER
from tests.platform.serving.conftest import TINY, fill_log
from tests.processes import Process
from tests.waiting import until

pytestmark = pytest.mark.slow


def train(tenant: Tenant, *, warm_start: bool = False, **config: Any) -> TrainingRun:
    """A run from request to end, by the task in this process."""
    with tenant_scope(tenant.id):
        run = request_training(model="next-item", config=TINY | config, warm_start=warm_start)
    work(tenant, run.id)
    with tenant_scope(tenant.id):
        run.refresh_from_db()
    return run


def work(tenant: Tenant, run_id: UUID) -> None:
    train_model.apply(kwargs={"run_id": str(run_id)}, headers={TENANT_HEADER: tenant.id}).get()


def version_of(tenant: Tenant, run: TrainingRun) -> ModelVersion:
    assert run.status == RunStatus.SUCCEEDED, run.error
    with tenant_scope(tenant.id):
        return model_versions().get(run=run)


def weights_of(tenant: Tenant, version: ModelVersion) -> dict[str, Any]:
    return load_file(resolve_artifact(tenant.id, version.artifact) / "model.safetensors")


def test_the_queue_and_the_engine_alone_make_the_same_model_from_one_snapshot_and_seed(
    tenant: Tenant, start_worker: Callable[..., Process], tmp_path: Path
) -> None:
    fill_log(tenant, subjects=150)
    start_worker(queues="train")
    with tenant_scope(tenant.id):
        run = request_training(model="next-item", config=TINY | {"epochs": 10})

    def is_finished() -> bool:
        with tenant_scope(tenant.id):
            run.refresh_from_db()
        return run.finished_at is not None

    until(is_finished)
    by_queue = weights_of(tenant, version_of(tenant, run))

    # The snapshot of a live version is kept.
    columns = EventColumns.open(settings.SNAPSHOTS / run.snapshot)
    report = TASKS["next_item"].fit(columns, run.config, tmp_path / "alone", progress=lambda _: None)

    alone = load_file(tmp_path / "alone" / "model.safetensors")
    assert alone.keys() == by_queue.keys()
    assert all(np.array_equal(alone[name], by_queue[name]) for name in alone)
    assert run.report["score"] == report.score
    assert run.report["mixture"] == report.mixture


def test_a_warm_start_goes_on_from_the_live_version(tenant: Tenant) -> None:
    fill_log(tenant, subjects=150)
    first = version_of(tenant, train(tenant, epochs=10))
    with tenant_scope(tenant.id):
        if first.status == "candidate":
            promote(version=first, actor="test")
        assert live_version("next-item") == first
    fill_log(tenant, subjects=20, seed=5)
    # At this rate no weight moves, so that what comes out is what it began with.
    second = version_of(tenant, train(tenant, warm_start=True, epochs=1, learning_rate=1e-12))
    before, after = weights_of(tenant, first), weights_of(tenant, second)
    assert all(np.allclose(before[name], after[name], atol=1e-6) for name in before)


def test_a_warm_start_gives_new_heads_to_a_model_that_was_pretrained_without(tenant: Tenant) -> None:
    fill_log(tenant, subjects=150)
    first = version_of(tenant, train(tenant, epochs=10))
    if first.status == "candidate":
        with tenant_scope(tenant.id):
            promote(version=first, actor="test")
    heads = {"churn": {"days": 0.05}}
    run = train(tenant, warm_start=True, epochs=1, learning_rate=1e-12, prediction_heads=heads)
    before, after = weights_of(tenant, first), weights_of(tenant, version_of(tenant, run))
    assert all(np.allclose(before[name], after[name], atol=1e-6) for name in before)
    assert {name.split(".")[0] for name in after if name not in before} == {"prediction_heads"}
    assert run.report["heads"]["churn"]["cases"] > 0


def test_a_warm_start_without_a_live_version_starts_from_nothing(filled: Tenant) -> None:
    assert train(filled, warm_start=True).status == RunStatus.SUCCEEDED


def test_a_live_version_that_is_broken_is_replaced_by_training_anew(tenant: Tenant) -> None:
    fill_log(tenant, subjects=150)
    first = version_of(tenant, train(tenant, epochs=10))
    assert first.status == "live", first.reasons
    (resolve_artifact(tenant.id, first.artifact) / "model.safetensors").unlink()

    second = version_of(tenant, train(tenant, warm_start=True, epochs=10))

    assert second.status == "live", second.reasons
    assert [reason for reason in second.reasons if reason.startswith("not compared: version 1 cannot be loaded")]


def test_a_warm_start_with_another_network_fails_and_names_the_setting(tenant: Tenant) -> None:
    fill_log(tenant, subjects=150)
    first = version_of(tenant, train(tenant, epochs=10))
    assert first.status == "live", first.reasons
    failed = train(tenant, warm_start=True, dimension=32)
    assert failed.status == RunStatus.FAILED
    assert "dimension is 32 here and 16 there" in failed.error


def test_a_search_runs_on_the_queue_and_reports_its_trials(filled: Tenant) -> None:
    search = {"trials": 3, "space": {"learning_rate": [1e-9, 0.01]}}
    run = train(filled, search=search)
    version = version_of(filled, run)
    assert len(run.report["trials"]) == 3
    best = max(run.report["trials"], key=lambda trial: trial["score"])
    config = json.loads((resolve_artifact(filled.id, version.artifact) / "config.json").read_text())
    assert config["settings"]["learning_rate"] == best["settings"]["learning_rate"]
    assert [point["epoch"] for point in run.curve] == [1, 2]


def test_a_search_shows_its_progress_in_words(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        run = TrainingRun(status=RunStatus.RUNNING, config={"search": {"trials": 4}})
    run.progress = {"stage": "search", "epoch": 3, "epochs": 4, "step": 1, "steps": 2}
    assert stage_in_words(run) == "Searching for the best settings, trial 3 of 4"
    assert percent_done(run) == 50
    run.progress = {"stage": "gate"}
    assert percent_done(run) > 95
