"""What the desk says of a single alert: its transaction alone is labelled, and the others of the case wait on."""

from collections.abc import Callable, Sequence
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction

from apps.risk.cases.models import CLOSED, Alert, Case, CaseEvent, CaseStatus, Outcome
from apps.risk.cases.services import (
    FOUR_EYES,
    CaseChanged,
    assign,
    bring_to,
    change_case,
    check_eyes,
    keep_event,
    label_transactions,
)
from apps.risk.notifications.outbox import tell_alert_change
from apps.risk.transactions.models import Label

Kind = CaseEvent.Kind


def change_alert(
    *,
    alert_id: UUID,
    actor: str,
    status: str | None = None,
    assignee: str | None = None,
    person: str = "",
    version: int | None = None,
    source: str = Label.Source.CONSOLE,
) -> Alert:
    """Give the alert's case to somebody, decide on the alert (`status`, an Outcome), or both; all or nothing.

    The case is closed with its last alert: confirmed where one of them was, else as a false alarm. A severe alert that
    is to be a false alarm waits until somebody else approves. Raises Alert.DoesNotExist, CaseChanged where the case is
    no longer of this `version`, and ValidationError where the case is closed.
    """
    with transaction.atomic():
        alert = Alert.objects.get(id=alert_id)
        if assignee is not None:
            case = assign(case_id=alert.case_id, assignee=assignee, actor=actor, version=version)
            version = None if version is None else case.version
        if status is None:
            return _with_case(alert_id)

        def change(alert: Alert, case: Case) -> CaseEvent | None:
            if alert.outcome == status:
                return None
            if status == Outcome.FALSE_ALARM and alert.severity in FOUR_EYES:
                if alert.release_asked_by:
                    raise ValidationError(
                        {"status": f"{alert.release_asked_by} has asked for this; it waits for approval"}
                    )
                alert.release_asked_by, alert.release_person = actor, person or actor
                return _tell(alert, case, Kind.ALERT_RELEASE_ASKED, actor)
            return _decide(alert, case, status, actor, source)

        return _change(alert, version, change)


def decide_alert_release(
    *,
    alert_id: UUID,
    approve: bool,
    actor: str,
    person: str = "",
    version: int | None = None,
    source: str = Label.Source.CONSOLE,
) -> Alert:
    """Approve or refuse what somebody else has asked for. Raises SameEyes, and ValidationError where nobody has."""

    def change(alert: Alert, case: Case) -> CaseEvent:
        if not alert.release_asked_by:
            raise ValidationError({"status": "nobody has asked for the release of this alert"})
        check_eyes(alert, actor, person)
        if approve:
            return _decide(alert, case, Outcome.FALSE_ALARM, actor, source)
        alert.release_asked_by = alert.release_person = ""
        return _tell(alert, case, Kind.ALERT_RELEASE_REFUSED, actor)

    return _change(Alert.objects.get(id=alert_id), version, change)


def change_alerts(
    *,
    alert_ids: Sequence[UUID],
    actor: str,
    status: str | None = None,
    assignee: str | None = None,
    person: str = "",
    source: str = Label.Source.CONSOLE,
) -> list[Alert | str]:
    """`change_alert` for each of them; results in their order: the alert as it is then, or why it stayed as it was."""
    results: dict[UUID, Alert | str] = dict.fromkeys(alert_ids, "there is no such alert")
    # Their cases are locked in the order in which everybody locks several.
    found = Alert.objects.filter(id__in=alert_ids).order_by("case__subject_key", "case_id", "id")
    for alert_id in found.values_list("id", flat=True):
        try:
            results[alert_id] = change_alert(
                alert_id=alert_id, status=status, assignee=assignee, actor=actor, person=person, source=source
            )
        except CaseChanged as error:
            results[alert_id] = str(error)
        except ValidationError as error:
            results[alert_id] = "; ".join(error.messages)
    return [results[alert_id] for alert_id in alert_ids]


def _change(alert: Alert, version: int | None, change: Callable[[Alert, Case], CaseEvent | None]) -> Alert:
    def within(case: Case) -> CaseEvent | None:
        current = Alert.objects.get(id=alert.id)
        if current.case_id != case.id:
            raise CaseChanged("the alert was moved to another case meanwhile; look at it again")
        if case.status in CLOSED:
            raise ValidationError({"status": f"its case is {case.status}; bring the case back to in_review first"})
        current.case = case
        event = change(current, case)
        current.save(update_fields=["outcome", "release_asked_by", "release_person"])
        if event is not None:
            tell_alert_change(current, event)
        if event is None or event.kind != Kind.ALERT_DECIDED:
            return event
        return _close_decided(case, event.actor) or event

    change_case(alert.case_id, version, within)
    return _with_case(alert.id)


def _decide(alert: Alert, case: Case, outcome: str, actor: str, source: str) -> CaseEvent:
    event = _tell(alert, case, Kind.ALERT_DECIDED, actor, before=alert.outcome, after=outcome)
    alert.outcome = outcome
    alert.release_asked_by = alert.release_person = ""
    case.assignee = case.assignee or actor
    label_transactions(case, [alert.transaction_id], outcome, actor=actor, source=source)
    return event


def _close_decided(case: Case, actor: str) -> CaseEvent | None:
    """Close the case where each of its alerts has been spoken of; nothing is left to be labelled then."""
    outcomes = set(Alert.objects.filter(case=case).values_list("outcome", flat=True))
    if "" in outcomes:
        return None
    to = CaseStatus.CONFIRMED if Outcome.CONFIRMED in outcomes else CaseStatus.FALSE_ALARM
    return bring_to(case, to, actor, Label.Source.CONSOLE)


def _tell(alert: Alert, case: Case, kind: str, actor: str, *, before: str = "", after: str = "") -> CaseEvent:
    return keep_event(case, kind, actor, before=before, after=after, note=alert.transaction_id)


def _with_case(alert_id: UUID) -> Alert:
    return Alert.objects.select_related("case").get(id=alert_id)
