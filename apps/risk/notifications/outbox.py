"""What webhooks are told of alerts and cases."""

from collections.abc import Collection, Sequence
from typing import Any

from apps.risk.cases.models import Alert, Case, CaseEvent
from tenancy.secrets import public_subject_id
from webhooks.outbox import tell

ALERT_RAISED, ALERT_CHANGED = "alert.raised", "alert.changed"
CASE_OPENED, CASE_CHANGED = "case.opened", "case.changed"
EVENTS = {
    ALERT_RAISED: "Alert raised",
    ALERT_CHANGED: "Alert decided alone, or its release asked for or refused",
    CASE_OPENED: "Case opened",
    CASE_CHANGED: "Case assigned, moved, merged, or its release asked for or refused",
}

# Notes stay at the desk: they are free text about people.
TOLD_CHANGES = {
    CaseEvent.Kind.ASSIGNED,
    CaseEvent.Kind.MOVED,
    CaseEvent.Kind.RELEASE_ASKED,
    CaseEvent.Kind.RELEASE_REFUSED,
    CaseEvent.Kind.MERGED,
}


def tell_alerts(alerts: Sequence[Alert], opened: Collection[Case]) -> None:
    """Tell of new alerts and of the cases that they opened: two statements, however many there are."""
    told = [(CASE_OPENED, {"case": _case(case)}) for case in opened]
    told += [(ALERT_RAISED, {"alert": _alert(alert)}) for alert in alerts]
    tell(told)


def tell_change(case: Case, event: CaseEvent) -> None:
    if event.kind not in TOLD_CHANGES:
        return
    tell([(CASE_CHANGED, {"case": _case(case), "change": _change(event)})])


def tell_alert_change(alert: Alert, event: CaseEvent) -> None:
    """Tell of what was said of one alert alone."""
    tell([(ALERT_CHANGED, {"alert": _alert(alert), "change": _change(event)})])


def _change(event: CaseEvent) -> dict[str, Any]:
    return {"kind": event.kind, "actor": event.actor, "before": event.before, "after": event.after}


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
        "merged_into": str(case.merged_into_id) if case.merged_into_id else None,
    }


def _alert(alert: Alert) -> dict[str, Any]:
    return {
        "id": str(alert.id),
        "transaction_id": alert.transaction_id,
        "decision_id": str(alert.decision_id),
        "subject": public_subject_id(bytes(alert.subject_key)),
        "case_id": str(alert.case_id),
        "case_number": alert.case.number,
        "status": alert.status,
        "release_asked_by": alert.release_asked_by,
        "severity": alert.severity,
        "verdict": alert.verdict,
        "score": alert.score,
        "amount": alert.amount,
        "currency": alert.currency,
        "reasons": alert.reasons,
        "rules": alert.rules,
        "occurred_at": alert.occurred_at.isoformat(),
    }
