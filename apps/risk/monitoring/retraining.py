"""Training on schedule, once enough new labels have matured."""

from datetime import datetime, timedelta
from typing import Any

import structlog
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from apps.risk.assessments.settings import MODEL, RiskSettings, current_settings
from behavior.models import LogPosition
from serving.models import TrainingRun
from serving.selectors import training_runs
from serving.services import request_training
from tenancy.scope import current_tenant_id

log = structlog.get_logger(__name__)

READER = "risk retraining"
TASK = "risk"
EVERY = {"daily": timedelta(days=1), "weekly": timedelta(days=7)}
ACTOR = "retraining schedule"
NEVER = datetime(1970, 1, 1, tzinfo=timezone.get_default_timezone())
# A label counts once it is known and its transaction is older than the delay; what was so at the last run is not new.
MATURED = """
    SELECT count(*) FROM (
        SELECT DISTINCT label.transaction_id
        FROM risk_label AS label JOIN risk_transaction AS transaction
            ON transaction.tenant_id = %(tenant)s AND transaction.transaction_id = label.transaction_id
        WHERE label.tenant_id = %(tenant)s AND known_at > %(matured_then)s AND known_at <= %(now)s
            AND occurred_at <= %(matured_now)s AND NOT (known_at <= %(then)s AND occurred_at <= %(matured_then)s)
        LIMIT %(most)s
    ) AS new"""


def next_run_at(settings: RiskSettings, last: TrainingRun | None) -> datetime | None:
    """When the schedule asks for the next run: at once where there was none, never where it is off."""
    if settings.retrain not in EVERY:
        return None
    return timezone.now() if last is None else last.created_at + EVERY[settings.retrain]


def newly_matured_labels(settings: RiskSettings, last: TrainingRun | None, *, now: datetime) -> int:
    """Transactions with a label that a run of now could learn from and the last run could not; counted up to the
    number that a run waits for, at least 1."""
    delay = timedelta(days=settings.label_delay_days)
    then = last.created_at if last else NEVER
    values: dict[str, Any] = {
        "tenant": current_tenant_id(),
        "now": now,
        "matured_now": now - delay,
        "then": then,
        "matured_then": then - delay,
        "most": max(1, settings.retrain_least_labels),
    }
    with connection.cursor() as cursor:
        cursor.execute(MATURED, values)
        return int(cursor.fetchone()[0])


def retrain_if_due() -> TrainingRun | None:
    """Start a run of the line where the tenant's schedule asks for one; None where it does not, or nothing can start.

    Safe to race: the schedule's own row is locked while it is judged, and a line has one active run at most.
    """
    settings = current_settings()
    if settings.retrain not in EVERY:
        return None
    now = timezone.now()
    LogPosition.objects.get_or_create(reader=READER, defaults={"position": now})
    LogPosition.objects.select_for_update().get(reader=READER)
    last = training_runs(MODEL).first()
    due = next_run_at(settings, last)
    if due is None or due > timezone.now():
        return None
    if newly_matured_labels(settings, last, now=now) < settings.retrain_least_labels:
        return None
    try:
        return request_training(model=MODEL, task=TASK, requested_by=ACTOR)
    except ValidationError as error:
        log.info("retraining_not_started", reason="; ".join(error.messages))
        return None
