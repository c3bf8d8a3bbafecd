"""Writes: training runs on request, promotion, rollback."""

from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from decisions.shown_lists import count_lists
from serving import engine, training_data
from serving.models import (
    ACTIVE_STATUSES,
    Deployment,
    DeploymentAction,
    DeploymentEvent,
    ModelVersion,
    RunStatus,
    TrainingRun,
    VersionStatus,
)
from serving.queues import enqueue_loading, enqueue_training
from tenancy.scope import current_tenant_id

# With fewer, the newest tenth that models are tested on holds too few cases to tell a model from luck.
LEAST_EVENTS = 200
LEAST_SUBJECTS = 20
LEAST_LISTS = 200
# How much of the machine a run may take is for its operator to say, not for a tenant.
MACHINE_SETTINGS = {"threads", "device", "memory_budget_mb", "compile", "mixed_precision"}


class StateConflict(ValidationError):
    """What is asked for does not fit how things stand."""


class TooLittleData(ValidationError):
    """The log is too small to train on."""


class PromotionRefused(ValueError):
    """The gate does not let this version answer; `reasons` says why, with figures."""

    def __init__(self, version: ModelVersion, reasons: list[str]) -> None:
        super().__init__(f"{version} can not be promoted: {'; '.join(reasons)}")
        self.reasons = reasons


def request_training(
    *,
    model: str,
    task: str = "next_item",
    config: dict[str, Any] | None = None,
    requested_by: str = "",
    auto_promote: bool = True,
    warm_start: bool = False,
) -> TrainingRun:
    """Queue a training run of a line of models for the tenant in scope.

    With `warm_start` it goes on from the live version's weights, if the line has one by then: on the events that came
    since, and on a share of the older ones.

    Raises ValidationError, keyed by field, for an unknown task or an unusable configuration, TooLittleData, and
    StateConflict for a line that is being trained already.
    """
    if reserved := sorted(MACHINE_SETTINGS & (config or {}).keys()):
        raise ValidationError({"config": f"{', '.join(reserved)}: for the operator of the machine to set"})
    run = TrainingRun(
        model=model,
        task=task,
        config=training_data.asked_config(task, config or {}),
        requested_by=requested_by,
        auto_promote=auto_promote,
        warm_start=warm_start,
    )
    run.clean_fields(exclude=["tenant"])
    engine.check_configuration(task, run.config)
    _check_data(task)
    try:
        with transaction.atomic():
            run.save(force_insert=True)
    except IntegrityError as error:
        raise StateConflict(
            {"model": f"'{model}' is being trained already; wait for that run to end, or cancel it"}
        ) from error
    enqueue_training(run.id)
    return run


def _check_data(task: str) -> None:
    """Raises TooLittleData."""
    if training_data.judges_itself(task):
        if missing := training_data.what_is_missing(task):
            raise TooLittleData(missing)
    elif task == "search_ranking":
        _check_lists()
    else:
        _check_events()


def _check_lists() -> None:
    lists = count_lists(LEAST_LISTS)
    if lists < LEAST_LISTS:
        raise TooLittleData(
            f"{lists} rankings have an event that names them; training needs {LEAST_LISTS}: send decision_id with the "
            "clicks, carts and purchases that follow from a ranking"
        )


def _check_events() -> None:
    with connection.cursor() as cursor:
        # Bounded, so that asking costs the same on a log of any size.
        cursor.execute(
            "SELECT (SELECT count(*) FROM (SELECT 1 FROM behavior_event WHERE item_id IS NOT NULL LIMIT %s) event), "
            "(SELECT count(*) FROM (SELECT DISTINCT subject_key FROM behavior_event LIMIT %s) subject)",
            [LEAST_EVENTS, LEAST_SUBJECTS],
        )
        events, subjects = cursor.fetchone()
    if events < LEAST_EVENTS or subjects < LEAST_SUBJECTS:
        raise TooLittleData(
            f"the log holds {events} events with an item from {subjects} subjects; training needs {LEAST_EVENTS} "
            f"events from {LEAST_SUBJECTS} subjects: send or import more"
        )


def cancel_training(*, run_id: UUID) -> TrainingRun:
    """Stop a run; its worker notices at its next sign of life. Raises StateConflict when it has ended already."""
    cancelled = TrainingRun.objects.filter(id=run_id, status__in=ACTIVE_STATUSES).update(
        status=RunStatus.CANCELLED, lease_owner=None, lease_expires_at=None, finished_at=timezone.now()
    )
    run = TrainingRun.objects.get(id=run_id)
    if not cancelled:
        raise StateConflict({"status": f"the run is {run.status} already"})
    return run


@transaction.atomic
def promote(*, version: ModelVersion, actor: str) -> Deployment:
    """Let a version answer for its line; the one that answered becomes the previous one.

    Raises PromotionRefused for a version that the gate refused, StateConflict for one that is live already or has no
    files any more.
    """
    deployment = lock_deployment(version.model)
    version.refresh_from_db()
    if version.status == VersionStatus.REFUSED:
        raise PromotionRefused(version, version.reasons)
    if version.status == VersionStatus.LIVE:
        raise StateConflict({"version": f"{version} is live already"})
    if version.files_deleted_at:
        raise StateConflict({"version": without_files(version)})
    return _deploy(deployment, version, DeploymentAction.PROMOTE, actor, version.reasons)


@transaction.atomic
def rollback(*, model: str, actor: str, away_from: UUID | None = None) -> Deployment:
    """Swap the live and the previous version of a line; a second call undoes the first.

    With `away_from` only while that version is live, so that a repeated call does nothing. Raises StateConflict when
    it is not, and when there is no previous version.
    """
    deployment = lock_deployment(model)
    if deployment is not None and away_from not in (None, deployment.live_version_id):
        raise StateConflict({"version": f"is not live; {deployment.live_version} is"})
    if deployment is None or deployment.previous_version is None:
        raise StateConflict({"model": f"'{model}' has no previous version to go back to"})
    return _deploy(deployment, deployment.previous_version, DeploymentAction.ROLL_BACK, actor, [])


def without_files(version: ModelVersion) -> str:
    """Why a version can no longer be asked, and the cure."""
    assert version.files_deleted_at
    return f"the files of {version} were deleted on {version.files_deleted_at:%Y-%m-%d}; train the line again"


def lock_deployment(model: str) -> Deployment | None:
    """Promotions of one line come one after the other, the first one too, which finds no row to lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [current_tenant_id(), f"deployment:{model}"])
    return Deployment.objects.select_related("live_version", "previous_version").filter(model=model).first()


def _deploy(
    deployment: Deployment | None, version: ModelVersion, action: DeploymentAction, actor: str, reasons: list[str]
) -> Deployment:
    replaced = deployment.live_version if deployment else None
    deployment = deployment or Deployment(model=version.model)
    deployment.previous_version, deployment.live_version = replaced, version
    deployment.promoted_at, deployment.promoted_by = timezone.now(), actor
    deployment.save()
    if replaced:
        ModelVersion.objects.filter(id=replaced.id).update(status=VersionStatus.RETIRED)
    ModelVersion.objects.filter(id=version.id).update(status=VersionStatus.LIVE)
    DeploymentEvent.objects.create(
        model=version.model, action=action, actor=actor, from_version=replaced, to_version=version, reasons=reasons
    )
    version.status = VersionStatus.LIVE
    enqueue_loading(version.artifact)
    return deployment
