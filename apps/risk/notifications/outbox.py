"""What webhooks are to be told, stored in the transaction of what happened; a worker sends it."""

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from celery import signature
from django.utils import timezone
from uuid_utils.compat import uuid7

from apps.risk.cases.models import Alert, Case, CaseEvent
from apps.risk.notifications.models import Webhook, WebhookDelivery, WebhookEvent
from tenancy.secrets import public_subject_id
from tenancy.tasks import enqueue

# Notes stay at the desk: they are free text about people.
TOLD_CHANGES = {
    CaseEvent.Kind.ASSIGNED,
    CaseEvent.Kind.MOVED,
    CaseEvent.Kind.RELEASE_ASKED,
    CaseEvent.Kind.RELEASE_REFUSED,
}


def tell_alerts(alerts: Sequence[Alert], opened: Collection[Case]) -> None:
    """Tell of new alerts and of the cases that they opened: two statements, however many there are."""
    told = [(WebhookEvent.CASE_OPENED, {"case": _case(case)}) for case in opened]
    told += [(WebhookEvent.ALERT_RAISED, {"alert": _alert(alert)}) for alert in alerts]
    _put(told)


def tell_change(case: Case, event: CaseEvent) -> None:
    if event.kind not in TOLD_CHANGES:
        return
    change = {"kind": event.kind, "actor": event.actor, "before": event.before, "after": event.after}
    _put([(WebhookEvent.CASE_CHANGED, {"case": _case(case), "change": change})])


def _put(told: Sequence[tuple[str, dict[str, Any]]]) -> None:
    webhooks = list(Webhook.objects.filter(is_active=True).only("id", "events"))
    now = timezone.now()
    deliveries = [
        _delivery(webhook, event, data, now) for event, data in told for webhook in webhooks if event in webhook.events
    ]
    if deliveries:
        WebhookDelivery.objects.bulk_create(deliveries)
        enqueue(signature("risk.send_webhooks_of_tenant", queue="default"))


def _delivery(webhook: Webhook, event: str, data: dict[str, Any], now: datetime) -> WebhookDelivery:
    id = uuid7()
    body = json.dumps({"id": str(id), "event": event, "created_at": now.isoformat(), **data}, ensure_ascii=False)
    return WebhookDelivery(id=id, webhook=webhook, event=event, body=body, next_attempt_at=now)


def _case(case: Case) -> dict[str, Any]:
    return {
        "id": str(case.id),
        "number": case.number,
        "subject": public_subject_id(bytes(case.subject_key)),
        "status": case.status,
        "severity": case.severity,
        "assignee": case.assignee,
        "release_asked_by": case.release_asked_by,
        "opened_at": case.opened_at.isoformat(),
        "due_at": case.due_at.isoformat(),
        "closed_at": case.closed_at.isoformat() if case.closed_at else None,
    }


def _alert(alert: Alert) -> dict[str, Any]:
    return {
        "id": str(alert.id),
        "transaction_id": alert.transaction_id,
        "decision_id": str(alert.decision_id),
        "subject": public_subject_id(bytes(alert.subject_key)),
        "case_id": str(alert.case_id),
        "case_number": alert.case.number,
        "severity": alert.severity,
        "verdict": alert.verdict,
        "score": alert.score,
        "amount": alert.amount,
        "currency": alert.currency,
        "reasons": alert.reasons,
        "rules": alert.rules,
        "occurred_at": alert.occurred_at.isoformat(),
    }
