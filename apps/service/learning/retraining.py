"""Training on schedule of what learns from agents, once they have judged enough new drafts."""

from apps.service.engine import CROSS_ENCODER_MODEL, CROSS_ENCODER_TASK, REPLY_MODEL, REPLY_TASK
from apps.service.learning.models import LearnedReply
from apps.service.replies.settings import current_settings
from serving.models import TrainingRun
from serving.schedules import train_if_due
from serving.selectors import training_runs

READER = "reply retraining"
CROSS_ENCODER_READER = "cross-encoder retraining"


def new_labels(last: TrainingRun | None) -> int:
    """Replies that were accepted or edited since the last run began."""
    given = LearnedReply.objects.all()
    return (given if last is None else given.filter(given_at__gt=last.created_at)).count()


def retrain_if_due() -> TrainingRun | None:
    """Start a run where the tenant's schedule asks for one; None where it does not."""
    settings = current_settings()
    return train_if_due(
        model=REPLY_MODEL,
        task=REPLY_TASK,
        every=settings.retrain,
        reader=READER,
        has_enough=lambda last: new_labels(last) >= settings.retrain_least_labels,
    )


def retrain_cross_encoder_if_due() -> TrainingRun | None:
    """As `retrain_if_due`, once a first run was started by hand: not every tenant wants what such a model costs."""
    if not training_runs(CROSS_ENCODER_MODEL).exists():
        return None
    settings = current_settings()
    return train_if_due(
        model=CROSS_ENCODER_MODEL,
        task=CROSS_ENCODER_TASK,
        every=settings.retrain,
        reader=CROSS_ENCODER_READER,
        has_enough=lambda last: new_labels(last) >= settings.retrain_least_labels,
    )
