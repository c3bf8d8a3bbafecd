"""Training on schedule, once enough new labels have matured."""

from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from apps.risk.assessments.settings import MODEL, RiskSettings, current_settings
from decisions.counting import first_id_since
from serving.models import TrainingRun
from serving.schedules import train_if_due
from tenancy.scope import current_tenant_id

READER = "risk retraining"
TASK = "risk"
NEVER = datetime(1970, 1, 1, tzinfo=timezone.get_default_timezone())
# A label counts once its transaction is older than the delay; what was there and so at the last run is not new. Labels
# come after what they are about, whenever they were known: the first ids that can matter are those of `matured_then`.
MATURED = """
    SELECT count(*) FROM (
        SELECT DISTINCT label.transaction_id
        FROM risk_label AS label JOIN risk_transaction AS transaction
            ON transaction.tenant_id = %(tenant)s AND transaction.transaction_id = label.transaction_id
        WHERE label.tenant_id = %(tenant)s AND label.id >= %(first_id)s AND occurred_at <= %(matured_now)s
            AND (label.id >= %(first_new_id)s OR occurred_at > %(matured_then)s)
        LIMIT %(most)s
    ) AS new"""


def newly_matured_labels(settings: RiskSettings, last: TrainingRun | None, *, now: datetime) -> int:
    """Transactions with a label that a run of now could learn from and `last`, the last that succeeded, could not;
    counted up to the number that a run waits for, at least 1."""
    delay = timedelta(days=settings.label_delay_days)
    then = last.created_at if last else NEVER
    values: dict[str, Any] = {
        "tenant": current_tenant_id(),
        "first_id": first_id_since(then - delay),
        "first_new_id": first_id_since(then),
        "matured_now": now - delay,
        "matured_then": then - delay,
        "most": max(1, settings.retrain_least_labels),
    }
    with connection.cursor() as cursor:
        cursor.execute(MATURED, values)
        return int(cursor.fetchone()[0])


def retrain_if_due() -> TrainingRun | None:
    """Start a run of the line where the tenant's schedule asks for one and enough labels have matured."""
    settings, now = current_settings(), timezone.now()

    def has_enough(last: TrainingRun | None) -> bool:
        return newly_matured_labels(settings, last, now=now) >= settings.retrain_least_labels

    return train_if_due(model=MODEL, task=TASK, every=settings.retrain, reader=READER, has_enough=has_enough)
