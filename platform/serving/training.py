"""One training job from claim to verdict. Killed at any point it goes on elsewhere, and it ends once.

Each attempt has a folder of its own that it takes over from the one before by renaming, so a worker that was thought
dead and is not writes nowhere that counts.
"""

import math
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.db.models import Max
from django.utils import timezone

from ml.training.progress import Progress
from serving import engine, gate, training_data
from serving.artifacts import artifact_sha256, relative_path, resolve_artifact, run_folder
from serving.leases import Heartbeat, LeaseLost, RunTooLong, WorkerEnding, claim, hand_back, update_held
from serving.models import ModelVersion, RunStatus, TrainingRun, VersionStatus
from serving.selectors import find_deployment, runs_with_unneeded_snapshot
from serving.services import promote
from tenancy.scope import current_tenant_id
from tenancy.tasks import task_scope

if TYPE_CHECKING:
    from ml.tasks.base import FitReport

log = structlog.get_logger(__name__)

GATE_ACTOR = "promotion gate"


def train(run_id: UUID) -> None:
    """Work on a queued run of the running task's tenant; nothing happens when it is not there to be had."""
    with task_scope():
        tenant_id, run = current_tenant_id(), claim(run_id)
    if run is None:
        log.info("run_not_queued", run=str(run_id))
        return
    try:
        with Heartbeat(tenant_id, run) as heartbeat:
            _train(run, heartbeat)
    except LeaseLost as error:
        log.warning("run_left", run=str(run_id), reason=str(error))
    except WorkerEnding:
        log.info("run_handed_back", run=str(run_id))
        with task_scope():
            hand_back(run)
    except (OperationalError, InterfaceError):
        # The database is away: the lease runs out, and the next attempt goes on from the checkpoint.
        log.exception("run_interrupted", run=str(run_id))
    except Exception as error:
        log.exception("run_failed", run=str(run_id))
        _fail(run, error, run_folder(tenant_id, run.model, run.id))


def _train(run: TrainingRun, heartbeat: Heartbeat) -> None:
    columns = training_data.open_data(run.task, _snapshot(run, heartbeat))
    folder = _attempt_folder(run, run_folder(heartbeat.tenant_id, run.model, run.id))
    with task_scope():
        incumbent = _incumbent(run)
    initial = incumbent.artifact if run.warm_start and incumbent and not incumbent.flaw else None
    report = engine.training_task(run.task).fit(
        columns,
        training_data.whole_config(run.config, columns, initial),
        folder,
        progress=_reporter(run, heartbeat),
        initial=initial,
    )
    heartbeat.report(progress={"stage": "gate"})
    # Another version may have gone live while this one learned.
    with task_scope():
        incumbent = _incumbent(run)
    verdict = gate.judge(task=run.task, artifact=folder, report=report.to_dict(), columns=columns, incumbent=incumbent)
    _finish(run, folder, report, verdict)
    _clear_leftovers(folder)


def _snapshot(run: TrainingRun, heartbeat: Heartbeat) -> Path:
    """The run's training data, taken by its first attempt and kept for the others."""
    if run.snapshot and (settings.SNAPSHOTS / run.snapshot).exists():
        return settings.SNAPSHOTS / run.snapshot
    heartbeat.report(progress={"stage": "snapshot"})
    with task_scope():
        path = training_data.take(run.task, run.config, Path(settings.SNAPSHOTS) / str(current_tenant_id()))
        run.snapshot = str(path.relative_to(settings.SNAPSHOTS))
        update_held(run, snapshot=run.snapshot)
    return path


def _attempt_folder(run: TrainingRun, root: Path) -> Path:
    """The folder of this attempt, with what the latest one before it left."""
    folder = root / str(run.attempt)
    earlier = sorted((path for path in root.glob("*") if path.name.isdigit()), key=lambda path: int(path.name))
    root.mkdir(parents=True, exist_ok=True)
    if earlier:
        earlier[-1].rename(folder)
    return folder


def _reporter(run: TrainingRun, heartbeat: Heartbeat) -> Any:
    """The callback of `fit`: the latest progress, and one point of the curve per finished epoch."""
    curve = {point["epoch"]: point for point in run.curve}

    def report(progress: Progress) -> None:
        if progress.stage == "training" and not progress.steps:
            curve[progress.epoch] = finite({"epoch": progress.epoch, **progress.metrics})
        heartbeat.report(progress=finite(asdict(progress)), curve=list(curve.values()))

    return report


def finite(value: Any) -> Any:
    """The same JSON value with None for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {name: finite(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _incumbent(run: TrainingRun) -> gate.Incumbent | None:
    """The live version of the run's line, with the data it was tested on."""
    deployment = find_deployment(run.model)
    if deployment is None:
        return None
    version = deployment.live_version
    before = TrainingRun.objects.get(id=version.run_id)
    snapshot = settings.SNAPSHOTS / before.snapshot
    artifact = resolve_artifact(current_tenant_id(), version.artifact)
    return gate.Incumbent(
        name=f"version {version.number}",
        artifact=artifact,
        columns=training_data.open_data(before.task, snapshot) if before.snapshot and snapshot.exists() else None,
        test_time=(before.report or {}).get("split", {}).get("test_time"),
        flaw=engine.flaw_of(artifact),
    )


def _finish(run: TrainingRun, folder: Path, report: "FitReport", verdict: gate.Verdict) -> None:
    """Success, version, verdict and promotion in one transaction, for the holder of the lease alone."""
    digest = artifact_sha256(folder)
    with task_scope():
        update_held(
            run,
            status=RunStatus.SUCCEEDED,
            report=finite(report.to_dict()),
            curve=finite(report.curve),
            progress={},
            lease_owner=None,
            lease_expires_at=None,
            finished_at=timezone.now(),
        )
        # Runs of one line come one after the other, so the next number is free.
        last = ModelVersion.objects.filter(model=run.model).aggregate(last=Max("number"))["last"]
        version = ModelVersion.objects.create(
            model=run.model,
            number=(last or 0) + 1,
            task=run.task,
            run=run,
            artifact=relative_path(folder),
            artifact_sha256=digest,
            metrics=finite(
                {
                    "metric": report.metric,
                    "score": report.score,
                    "spread": report.spread,
                    "gain_spread": report.gain_spread,
                    "baselines": report.baselines,
                    "test": report.test,
                    **verdict.metrics,
                }
            ),
            status=VersionStatus.CANDIDATE if verdict.passed else VersionStatus.REFUSED,
            reasons=verdict.reasons,
        )
        if verdict.passed and run.auto_promote:
            promote(version=version, actor=GATE_ACTOR)


def _fail(run: TrainingRun, error: Exception, root: Path) -> None:
    # An error of ours names the cause and the cure; anything else at least its kind.
    message = str(error) if isinstance(error, ValueError | RunTooLong) else f"{type(error).__name__}: {error}"
    try:
        with task_scope():
            update_held(
                run,
                status=RunStatus.FAILED,
                error=message,
                lease_owner=None,
                lease_expires_at=None,
                finished_at=timezone.now(),
            )
    except LeaseLost:
        # The run has ended already or is another worker's, and so is what lies in its folder.
        log.warning("run_left", run=str(run.id))
    else:
        shutil.rmtree(root, ignore_errors=True)


def _clear_leftovers(folder: Path) -> None:
    """What a worker that had lost its lease may have written beside the artifact, and data that no gate asks for."""
    for other in folder.parent.iterdir():
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
    with task_scope():
        unneeded = list(runs_with_unneeded_snapshot())
        for run in unneeded:
            shutil.rmtree(settings.SNAPSHOTS / run.snapshot, ignore_errors=True)
        TrainingRun.objects.filter(id__in=[run.id for run in unneeded]).update(snapshot="")
