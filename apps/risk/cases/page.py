"""What the page of a case shows: its facts, alerts, picture over time, links and history."""

from typing import Any

from django.core.paginator import Paginator
from django.utils import timezone
from django.utils.timesince import timesince, timeuntil

from apps.risk.assessments.settings import current_settings
from apps.risk.cases.merging import linked_cases
from apps.risk.cases.models import Alert, Case, Outcome
from apps.risk.cases.selectors import alerted_of, events_of, transactions_around
from apps.risk.cases.timeline import timeline_of
from apps.risk.cases.weighed import weighed_events
from apps.risk.links.picture import picture_of
from apps.risk.links.selectors import links_of
from tenancy.secrets import public_subject_id

STATUS_COLOURS = {
    "Open": "info",
    "In review": "warning",
    "Escalated": "danger",
    "Confirmed fraud": "danger",
    "False alarm": "success",
    "Merged": None,
}
SEVERITY_COLOURS = {"Low": None, "Medium": "info", "High": "warning", "Critical": "danger"}
OUTCOME_DECISIONS = {str(Outcome.CONFIRMED): "Confirm fraud", str(Outcome.FALSE_ALARM): "False alarm"}
RELEASE_DECISIONS = {"approve": "Approve release", "refuse": "Refuse release"}
ALERTS_SHOWN = 50
EVENTS_SHOWN = 200


def decisions_on(alert: Alert) -> list[tuple[str, str]]:
    """What can be said of the alert alone, with the words of its button."""
    if alert.release_asked_by:
        return list(RELEASE_DECISIONS.items())
    return [(outcome, words) for outcome, words in OUTCOME_DECISIONS.items() if outcome != alert.outcome]


def clock_of(case: Case) -> str:
    """How long the desk still has, or is late, or took."""
    if case.closed_at is not None:
        return f"took {timesince(case.opened_at, case.closed_at)}"
    now = timezone.now()
    return f"overdue by {timesince(case.due_at, now)}" if case.is_overdue else f"in {timeuntil(case.due_at, now)}"


def case_context(case: Case, page: str = "1") -> dict[str, Any]:
    """What the page of a case shows, with ALERTS_SHOWN of its alerts: those that nobody has decided on come first."""
    undecided_first = case.alerts.order_by("outcome", "-occurred_at", "id")
    alerts = Paginator(undecided_first, ALERTS_SHOWN).get_page(page)
    around = transactions_around(bytes(case.subject_key), list(alerts))
    weighed = weighed_events(list(alerts))
    raised = {each.transaction.transaction_id for events in weighed.values() for each in events if each.transaction}
    return {
        "case": case,
        "status": case.get_status_display(),
        "status_type": STATUS_COLOURS[case.get_status_display()],
        "severity": case.get_severity_display(),
        "severity_type": SEVERITY_COLOURS[case.get_severity_display()],
        "subject": public_subject_id(bytes(case.subject_key)),
        "clock": clock_of(case),
        "alerts": [
            (alert, _weighed(alert.reasons), weighed.get(alert.id, []), decisions_on(alert)) for alert in alerts
        ],
        "alerts_page": alerts,
        "timeline": timeline_of(around, alerted_of(case, around), raised),
        "linked": linked_cases(case) if case.closed_at is None else [],
        "links": picture_of(links_of(bytes(case.subject_key), most_subjects=current_settings().link_most_subjects)),
        "events": events_of(case.id)[:EVENTS_SHOWN],
    }


def _weighed(reasons: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """Each reason in words, with its part of the strongest one in per cent."""
    most = max((abs(reason["part"]) for reason in reasons), default=0.0) or 1.0
    return [(reason["text"], round(100 * abs(reason["part"]) / most)) for reason in reasons]
