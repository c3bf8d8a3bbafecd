"""Training through the queue: one run, one version, whatever dies on the way."""

import json
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone
from safetensors import safe_open

from serving import gateway, leases
from serving.artifacts import resolve_artifact, run_folder
from serving.leases import LeaseLost
from serving.models import ModelVersion, RunStatus, TrainingRun
from serving.selectors import deployment_history, live_version, model_versions
from serving.services import cancel_training, request_training
from serving.tasks import requeue_expired_runs, train_model
from serving.training import finite
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.tasks import TENANT_HEADER
from tests.platform.serving.conftest import TINY, fill_log
from tests.processes import Process
from tests.waiting import until

StartWorker = Callable[..., Process]
# A lease of two seconds instead of a minute, so that a dead worker is noticed within the test.
SHORT_LEASE = {"TRAINING_LEASE": "2"}


@pytest.fixture(autouse=True)
def short_lease(settings: Any) -> None:
    settings.TRAINING_LEASE = 2.0


def request_run(tenant: Tenant, **config: Any) -> TrainingRun:
    with tenant_scope(tenant.id):
        return request_training(model="next-item", config=TINY | config, requested_by="test")


def read_run(tenant: Tenant, run: TrainingRun) -> TrainingRun:
    with tenant_scope(tenant.id):
        return TrainingRun.objects.get(id=run.id)


def wait_for(tenant: Tenant, run: TrainingRun, holds: Callable[[TrainingRun], bool]) -> TrainingRun:
    def why() -> str:
        now = read_run(tenant, run)
        return f"{now.status} {now.progress} {now.error}"

    return until(lambda: now if holds(now := read_run(tenant, run)) else None, why)


def ended(run: TrainingRun) -> bool:
    return run.status not in (RunStatus.QUEUED, RunStatus.RUNNING)


def versions_of(tenant: Tenant, run: TrainingRun) -> list[ModelVersion]:
    with tenant_scope(tenant.id):
        return list(model_versions().filter(run=run))


def train_here(tenant: Tenant, run_id: UUID) -> None:
    """The task in this process, as a worker would run it."""
    train_model.apply(kwargs={"run_id": str(run_id)}, headers={TENANT_HEADER: tenant.id}).get()


@pytest.mark.slow
def test_a_requested_run_becomes_a_live_version_that_answers(
    filled: Tenant, start_worker: StartWorker, request_after: Callable[..., Any]
) -> None:
    start_worker(queues="train")
    run = wait_for(filled, request_run(filled, epochs=3), ended)

    assert (run.status, run.attempt, run.error) == (RunStatus.SUCCEEDED, 1, "")
    assert [point["epoch"] for point in run.curve] == [1, 2, 3]
    (version,) = versions_of(filled, run)
    assert version.number == 1
    untrained = {"popularity", "sequential_rules", "session_neighbors", "untrained_mixture"}
    assert set(version.metrics["baselines"]) == untrained
    assert any("untrained baseline popularity" in reason for reason in version.reasons)
    assert not (resolve_artifact(filled.id, version.artifact) / "checkpoint").exists()
    with tenant_scope(filled.id):
        answer = gateway.predict("next-item", request_after("item-03"))
        beats_both = all(version.metrics["score"] > score for score in version.metrics["baselines"].values())
        assert (live_version("next-item") == version) == beats_both
        assert answer.degraded == (None if beats_both else "rules")


@pytest.mark.slow
def test_a_better_model_takes_over_and_a_worse_one_does_not(tenant: Tenant) -> None:
    fill_log(tenant, subjects=150)
    made = []
    for epochs in (10, 40, 1):
        run = request_run(tenant, epochs=epochs, patience=epochs)
        train_here(tenant, run.id)
        made += versions_of(tenant, run)

    first, second, third = made
    assert [version.status for version in made] == ["live", "live", "refused"], [version.reasons for version in made]
    with tenant_scope(tenant.id):
        assert live_version("next-item") == second
        events = list(deployment_history("next-item"))
        kept = set(TrainingRun.objects.exclude(snapshot="").values_list("id", flat=True))
    assert [(event.from_version_id, event.to_version_id) for event in events] == [
        (first.id, second.id),
        (None, first.id),
    ]
    newest = second.metrics["newest_holdout"]
    assert newest["candidate"] > newest["incumbent"]
    assert any("of version 2 on the newest holdout" in reason for reason in third.reasons)
    # Data is kept for as long as a gate may ask for it.
    assert kept == {first.run_id, second.run_id}


@pytest.mark.slow
def test_a_killed_run_goes_on_from_its_checkpoint_and_ends_once(filled: Tenant, start_worker: StartWorker) -> None:
    worker = start_worker(queues="train,default", environment=SHORT_LEASE)
    run = request_run(filled, epochs=120, patience=120)
    wait_for(filled, run, lambda run: run.progress.get("epoch", 0) >= 3)
    worker.kill()
    killed_at = checkpoint_epoch(filled, run)
    assert 2 <= killed_at < 120

    start_worker(queues="train,default", environment=SHORT_LEASE)
    time.sleep(2)
    requeue_expired_runs.delay()
    resumed = wait_for(filled, run, lambda run: run.attempt == 2 and "epoch" in run.progress)
    assert resumed.progress["epoch"] == 0 or resumed.progress["epoch"] >= killed_at
    done = wait_for(filled, run, ended)

    assert (done.status, done.attempt) == (RunStatus.SUCCEEDED, 2)
    assert [point["epoch"] for point in done.curve] == list(range(1, 121))
    assert len(versions_of(filled, run)) == 1
    assert [path.name for path in run_folder(filled.id, "next-item", run.id).iterdir()] == ["2"]


def checkpoint_epoch(tenant: Tenant, run: TrainingRun) -> int:
    """Finished epochs in the checkpoint of the first attempt."""
    path = run_folder(tenant.id, "next-item", run.id) / "1" / "checkpoint" / "state.safetensors"
    with safe_open(path, framework="np") as file:
        return int(json.loads(file.metadata()["state"])["epoch"])


@pytest.mark.slow
def test_a_worker_that_is_asked_to_end_hands_its_run_back_at_once(
    filled: Tenant, start_worker: StartWorker, tmp_path: Path
) -> None:
    options = ["-Q", "train", "--pool", "prefork", "--concurrency", "1", "--without-gossip", "--without-mingle"]
    worker = Process([sys.executable, "manage.py", "worker", "--", *options], tmp_path / "prefork.log")
    try:
        run = request_run(filled, epochs=120, patience=120)
        wait_for(filled, run, lambda run: run.progress.get("epoch", 0) >= 3)
        worker.popen.terminate()
        assert worker.popen.wait(15) == 0
    finally:
        worker.kill()
    back = read_run(filled, run)
    assert (back.status, back.attempt) == (RunStatus.QUEUED, 0)

    start_worker(queues="train")
    done = wait_for(filled, run, ended)
    assert (done.status, done.attempt) == (RunStatus.SUCCEEDED, 1)
    assert [point["epoch"] for point in done.curve] == list(range(1, 121))
    assert len(versions_of(filled, run)) == 1


@pytest.mark.slow
def test_two_workers_on_one_run_make_one_version(filled: Tenant) -> None:
    run = request_run(filled)

    def work() -> None:
        try:
            train_here(filled, run.id)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert read_run(filled, run).attempt == 1
    assert len(versions_of(filled, run)) == 1


@pytest.mark.slow
def test_a_worker_that_was_thought_dead_changes_nothing_when_it_wakes(filled: Tenant) -> None:
    run = request_run(filled)
    with tenant_scope(filled.id):
        sleeper = leases.claim(run.id)
        TrainingRun.objects.filter(id=run.id).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
        assert leases.release_expired() == [run.id]
    train_here(filled, run.id)
    before = read_run(filled, run)
    assert (before.status, before.attempt) == (RunStatus.SUCCEEDED, 2)

    with pytest.raises(LeaseLost), tenant_scope(filled.id):
        leases.update_held(sleeper, status=RunStatus.FAILED)
    with leases.Heartbeat(filled.id, sleeper) as heartbeat:
        heartbeat.report(progress={"stage": "training"})
        time.sleep(1)
        with pytest.raises(LeaseLost):
            heartbeat.report(progress={"stage": "training"})
    after = read_run(filled, run)
    assert (after.status, after.finished_at, after.progress) == (before.status, before.finished_at, before.progress)


def test_the_heartbeat_keeps_a_lease_for_as_long_as_the_work_takes(filled: Tenant) -> None:
    run = request_run(filled)
    with tenant_scope(filled.id):
        held = leases.claim(run.id)
    with leases.Heartbeat(filled.id, held) as heartbeat:
        heartbeat.report(progress={"stage": "training", "epoch": 1})
        time.sleep(3)
        with tenant_scope(filled.id):
            assert leases.release_expired() == []
    seconds = pytest.approx(3, abs=1)
    assert read_run(filled, run).progress == {"stage": "training", "epoch": 1, "seconds": seconds}


def test_the_heartbeat_outlives_a_lost_database_connection(filled: Tenant) -> None:
    run = request_run(filled)
    with tenant_scope(filled.id):
        held = leases.claim(run.id)
    with leases.Heartbeat(filled.id, held) as heartbeat:
        time.sleep(1)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()"
            )
            assert cursor.fetchall()
        time.sleep(1.5)
        heartbeat.report(progress={"stage": "training", "epoch": 2})
        time.sleep(1)
    progress = read_run(filled, run).progress
    assert (progress["stage"], progress["epoch"]) == ("training", 2)
    assert read_run(filled, run).lease_expires_at > timezone.now()


def test_a_run_whose_workers_keep_dying_fails_with_a_cure(filled: Tenant) -> None:
    run = request_run(filled)
    for attempt in range(1, leases.MOST_ATTEMPTS + 1):
        with tenant_scope(filled.id):
            assert leases.claim(run.id).attempt == attempt
            TrainingRun.objects.filter(id=run.id).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
            requeued = leases.release_expired()
        assert requeued == ([run.id] if attempt < leases.MOST_ATTEMPTS else [])
    failed = read_run(filled, run)
    assert failed.status == RunStatus.FAILED
    assert "batch_tokens" in failed.error


def test_a_run_whose_message_was_lost_is_announced_again(filled: Tenant) -> None:
    run = request_run(filled)
    with tenant_scope(filled.id):
        assert leases.release_expired() == []
        TrainingRun.objects.filter(id=run.id).update(queued_at=timezone.now() - timedelta(seconds=11))
        assert leases.release_expired() == [run.id]
        assert leases.release_expired() == []


@pytest.mark.slow
def test_a_cancelled_run_stops_and_leaves_no_version(filled: Tenant, start_worker: StartWorker) -> None:
    worker = start_worker(queues="train", environment=SHORT_LEASE)
    run = request_run(filled, epochs=1000, patience=1000)
    wait_for(filled, run, lambda run: run.progress.get("epoch", 0) >= 1)
    with tenant_scope(filled.id):
        cancel_training(run_id=run.id)
    worker.wait_for_output("run_left")
    assert read_run(filled, run).status == RunStatus.CANCELLED
    assert versions_of(filled, run) == []
    with tenant_scope(filled.id), pytest.raises(ValidationError, match="cancelled already"):
        cancel_training(run_id=run.id)


def test_numbers_that_json_does_not_have_are_left_out() -> None:
    assert finite({"loss": float("nan"), "curve": [{"loss": float("inf"), "epoch": 1}]}) == {
        "loss": None,
        "curve": [{"loss": None, "epoch": 1}],
    }


def test_a_failed_fit_says_why(filled: Tenant) -> None:
    run = request_run(filled, batch_tokens=10_000_000)
    train_here(filled, run.id)
    failed = read_run(filled, run)
    assert failed.status == RunStatus.FAILED
    assert "MB" in failed.error
    assert failed.finished_at is not None
    assert not run_folder(filled.id, "next-item", run.id).exists()
    assert request_run(filled).status == RunStatus.QUEUED


def test_a_run_ends_with_the_hours_that_the_operator_gives(filled: Tenant, settings: Any) -> None:
    settings.TRAINING_HOURS = 0
    run = request_run(filled, epochs=1_000, patience=1_000)
    train_here(filled, run.id)
    failed = read_run(filled, run)
    assert (failed.status, failed.curve) == (RunStatus.FAILED, [])
    assert failed.error.startswith("took longer than the 0 hours")


def test_the_hours_of_a_run_are_those_of_all_its_attempts_without_the_queue(filled: Tenant) -> None:
    run = request_run(filled)
    with tenant_scope(filled.id):
        leases.hand_back(leases.claim(run.id))
        TrainingRun.objects.update(started_at=timezone.now() - timedelta(days=2), progress={"seconds": 12 * 3_600 - 60})
        held = leases.claim(run.id)
        leases.Heartbeat(filled.id, held).report(progress={"stage": "training"})
        leases.hand_back(held)
        TrainingRun.objects.update(progress={"stage": "training", "seconds": 12 * 3_600 + 1})
        held = leases.claim(run.id)
    assert held.progress == {"seconds": 12 * 3_600 + 1}
    with pytest.raises(leases.RunTooLong, match="12 hours"):
        leases.Heartbeat(filled.id, held).report(progress={"stage": "training"})


def test_a_task_can_not_touch_another_tenants_run(filled: Tenant, other_tenant: Tenant) -> None:
    run = request_run(filled)
    train_here(other_tenant, run.id)
    assert read_run(filled, run).status == RunStatus.QUEUED
    with tenant_scope(other_tenant.id):
        assert leases.claim(run.id) is None
        assert leases.release_expired() == []
        with pytest.raises(TrainingRun.DoesNotExist):
            cancel_training(run_id=run.id)
    assert read_run(filled, run).status == RunStatus.QUEUED


def test_a_line_is_trained_once_at_a_time(filled: Tenant) -> None:
    request_run(filled)
    with pytest.raises(ValidationError, match="being trained already"):
        request_run(filled)
    with tenant_scope(filled.id):
        request_training(model="another-line", config=TINY)
        assert TrainingRun.objects.count() == 2


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"model": "no slug!"}, "model"),
        ({"task": "fortune_telling"}, "task"),
        ({"config": {"epochs": 0}}, "config"),
        ({"config": {"learning_rat": 0.1}}, "config"),
        ({"config": {"epochs": "many"}}, "config"),
        ({"config": {"epochs": 10**9, "patience": 10**9}}, "config"),
        ({"config": {"threads": 64}}, "config"),
        ({"task": "search_ranking", "config": {"hidden": 10**9}}, "config"),
        ({"task": "risk", "config": {"batch_size": 16_384, "max_length": 2_048}}, "config"),
    ],
)
def test_unusable_requests_name_the_field(filled: Tenant, values: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refused, tenant_scope(filled.id):
        request_training(**({"model": "next-item"} | values))
    assert field in refused.value.message_dict
    with tenant_scope(filled.id):
        assert not TrainingRun.objects.exists()


def test_too_little_data_is_refused_with_figures(tenant: Tenant) -> None:
    fill_log(tenant, subjects=19, events=12)
    with pytest.raises(ValidationError, match="200 events with an item from 19 subjects"):
        request_run(tenant)


def test_a_run_that_is_gone_is_no_error(tenant: Tenant) -> None:
    train_here(tenant, uuid4())
