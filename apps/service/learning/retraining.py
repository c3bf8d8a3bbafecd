"""Training of the model of replies on schedule, once agents have judged enough new drafts."""

from apps.service.engine import REPLY_MODEL, REPLY_TASK
from apps.service.learning.models import LearnedReply
from apps.service.replies.settings import current_settings
from serving.models import TrainingRun
from serving.schedules import train_if_due

READER = "reply retraining"


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
