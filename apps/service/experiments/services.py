"""Writes of experiments: begun, stopped, and decided."""

from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.service.experiments.models import Arm, Experiment, ExperimentOutcome
from apps.service.experiments.selectors import LINES, forget_running
from apps.service.replies.settings import SCENARIO
from serving.models import ModelVersion, VersionStatus
from serving.selectors import live_version
from serving.services import StateConflict, promote, without_files


def start(*, name: str, challenger_id: UUID, share: float = 0.5, actor: str) -> Experiment:
    """Let a version answer `share` of the conversations, beside the live one of its line.

    Raises ValidationError, keyed by field, and StateConflict where an experiment runs already.
    """
    # Locked until the experiment is there, so that its files are not deleted meanwhile.
    challenger = ModelVersion.objects.select_for_update().filter(id=challenger_id).first()
    if challenger is None:
        raise ValidationError({"challenger": "names no version; GET models lists them"})
    if challenger.model not in LINES:
        raise ValidationError({"challenger": f"is of the line {challenger.model}; replies ask {', '.join(LINES)}"})
    if challenger.status == VersionStatus.REFUSED:
        raise ValidationError({"challenger": "was refused by the gate; only what may go live may be tried"})
    if challenger.files_deleted_at:
        raise ValidationError({"challenger": without_files(challenger)})
    control = live_version(challenger.model)
    if control is None or control.id == challenger.id:
        raise ValidationError(
            {"challenger": "needs another version that is live to be compared with; train one more, or promote one"}
        )
    experiment = Experiment(
        name=name,
        scenario=SCENARIO,
        model=challenger.model,
        control=control,
        challenger=challenger,
        share=share,
        started_by=actor,
    )
    experiment.clean_fields(exclude=["tenant"])
    if not 0 < share < 1:
        raise ValidationError({"share": "must lie between 0 and 1"})
    try:
        with transaction.atomic():
            experiment.save(force_insert=True)
    except IntegrityError as error:
        raise StateConflict({"scenario": "an experiment runs already; stop it first"}) from error
    forget_running()
    return experiment


@transaction.atomic
def stop(*, experiment_id: UUID, actor: str) -> Experiment:
    """The live version answers all conversations again. Raises Experiment.DoesNotExist, and StateConflict where it has
    ended."""
    experiment = _running(experiment_id)
    _end(experiment, ExperimentOutcome.STOPPED, actor)
    return experiment


@transaction.atomic
def promote_arm(*, experiment_id: UUID, arm: str, actor: str) -> Experiment:
    """Stop, and let the arm's version answer for its line, unless it does so already.

    Raises as `stop`, and PromotionRefused.
    """
    experiment = _running(experiment_id)
    version = experiment.challenger if arm == Arm.CHALLENGER else experiment.control
    version.refresh_from_db()
    if version.status != VersionStatus.LIVE:
        promote(version=version, actor=actor)
    experiment.promoted = arm
    _end(experiment, ExperimentOutcome.PROMOTED, actor)
    return experiment


def _running(experiment_id: UUID) -> Experiment:
    found = Experiment.objects.select_for_update(of=("self",)).select_related("control", "challenger")
    experiment = found.get(id=experiment_id)
    if not experiment.is_running:
        raise StateConflict({"outcome": f"it was {experiment.outcome} already"})
    return experiment


def _end(experiment: Experiment, outcome: str, actor: str) -> None:
    experiment.outcome, experiment.ended_at, experiment.ended_by = outcome, timezone.now(), actor
    experiment.save(update_fields=["outcome", "promoted", "ended_at", "ended_by"])
    transaction.on_commit(forget_running)
