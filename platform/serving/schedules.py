"""Training on schedule: when a line of models is due, and starting its run once."""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from django.core.exceptions import ValidationError
from django.utils import timezone

from behavior.positions import take
from serving.models import RunStatus, TrainingRun
from serving.selectors import training_runs
from serving.services import request_training

log = structlog.get_logger(__name__)

RETRAIN = ("off", "daily", "weekly")
EVERY = {"daily": timedelta(days=1), "weekly": timedelta(days=7)}
ACTOR = "retraining schedule"


def next_run_at(every: str, last: TrainingRun | None) -> datetime | None:
    """When the schedule asks for the next run: at once where there was none, never where it is off. One that failed is
    made up for after a day."""
    if every not in EVERY:
        return None
    if last is None:
        return timezone.now()
    return last.created_at + EVERY["daily" if last.status == RunStatus.FAILED else every]


def last_learned(model: str) -> TrainingRun | None:
    """The line's last run that succeeded: others have used up nothing of what there is to learn from."""
    return training_runs(model).filter(status=RunStatus.SUCCEEDED).first()


def train_if_due(
    *, model: str, task: str, every: str, reader: str, has_enough: Callable[[TrainingRun | None], bool]
) -> TrainingRun | None:
    """Start a run of the line where it is due and `has_enough(last_learned(model))` says that there is enough new to
    learn from; None where it is not, or nothing can start.

    Safe to race: the schedule's own row, named `reader`, is locked while it is judged, and a line has one active run at
    most.
    """
    if every not in EVERY:
        return None
    if take(reader) is None:
        return None
    due = next_run_at(every, training_runs(model).first())
    if due is None or due > timezone.now() or not has_enough(last_learned(model)):
        return None
    try:
        return request_training(model=model, task=task, requested_by=ACTOR)
    except ValidationError as error:
        log.info("retraining_not_started", model=model, reason="; ".join(error.messages))
        return None
