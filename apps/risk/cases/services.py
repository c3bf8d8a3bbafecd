"""What the desk does with a case: assign, note, move, decide. A decision becomes labels of the alerted transactions."""

from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from apps.risk.cases.models import CLOSED, UNDER_WAY, Alert, Case, CaseEvent, CaseStatus
from apps.risk.cases.raising import TIME_TO_DECIDE, lock_cases
from apps.risk.labels.services import NewLabel, record_labels
from apps.risk.notifications.outbox import tell_change
from apps.risk.rules.models import RiskSeverity
from apps.risk.transactions.models import Label

# Where a case may go from where it is.
MOVES: dict[str, tuple[str, ...]] = {
    CaseStatus.OPEN: (CaseStatus.IN_REVIEW, CaseStatus.ESCALATED, CaseStatus.CONFIRMED, CaseStatus.FALSE_ALARM),
    CaseStatus.IN_REVIEW: (CaseStatus.OPEN, CaseStatus.ESCALATED, CaseStatus.CONFIRMED, CaseStatus.FALSE_ALARM),
    CaseStatus.ESCALATED: (CaseStatus.IN_REVIEW, CaseStatus.CONFIRMED, CaseStatus.FALSE_ALARM),
    CaseStatus.CONFIRMED: (CaseStatus.IN_REVIEW,),
    CaseStatus.FALSE_ALARM: (CaseStatus.IN_REVIEW,),
    CaseStatus.MERGED: (),
}
# Cases of these severities are released, that is closed as false alarms, by two people.
FOUR_EYES = (RiskSeverity.HIGH, RiskSeverity.CRITICAL)
LABELS = {CaseStatus.CONFIRMED: Label.Kind.FRAUD, CaseStatus.FALSE_ALARM: Label.Kind.FALSE_ALARM}
LONGEST_NOTE = 10_000


class CaseChanged(Exception):
    """Somebody else was faster: the case is no longer as it was seen."""


class SameEyes(Exception):
    """Whoever asks for a release cannot approve it."""


def assign(*, case_id: UUID, assignee: str, actor: str, version: int | None = None) -> Case:
    """Give a case under way to somebody, or to nobody. Raises Case.DoesNotExist and CaseChanged, as all of these do,
    and ValidationError where the case is closed."""

    def change(case: Case) -> CaseEvent | None:
        if case.closed_at is not None:
            cure = "" if case.status == CaseStatus.MERGED else "; bring it back to in_review first"
            raise ValidationError(
                {"assignee": f"case {case.number} is {case.status}, so nobody is to work on it{cure}"}
            )
        if case.assignee == assignee:
            return None
        before, case.assignee = case.assignee, assignee
        return keep_event(case, CaseEvent.Kind.ASSIGNED, actor, before=before, after=assignee)

    return change_case(case_id, version, change)


def add_note(*, case_id: UUID, note: str, actor: str) -> Case:
    """Raises ValidationError for an empty or endless note."""
    text = note.strip()
    if not 1 <= len(text) <= LONGEST_NOTE:
        raise ValidationError({"note": f"must have 1 to {LONGEST_NOTE:,} characters"})
    return change_case(case_id, None, lambda case: keep_event(case, CaseEvent.Kind.NOTED, actor, note=text))


def move(
    *,
    case_id: UUID,
    to: str,
    actor: str,
    person: str = "",
    version: int | None = None,
    source: str = Label.Source.CONSOLE,
) -> Case:
    """Bring the case to another status; whoever moves one that nobody has takes it.

    Closing writes labels, known from now, of its alerted transactions that nobody has spoken of singly. A severe case
    that is to be a false alarm stays where it is until somebody else approves; `person` is who is behind the actor, who
    may be one of several API keys. Raises ValidationError for a move that there is not, and what keeps a case from
    being reopened.
    """

    def change(case: Case) -> CaseEvent:
        if to not in MOVES[case.status]:
            allowed = ", ".join(MOVES[case.status]) or "nothing else"
            raise ValidationError({"status": f"a case that is {case.status} can become {allowed}; not {to}"})
        if to == CaseStatus.FALSE_ALARM and case.severity in FOUR_EYES:
            if case.release_asked_by:
                raise ValidationError({"status": f"{case.release_asked_by} has asked for this; it waits for approval"})
            case.release_asked_by, case.release_person = actor, person or actor
            return keep_event(case, CaseEvent.Kind.RELEASE_ASKED, actor)
        return bring_to(case, to, actor, source)

    with transaction.atomic():
        if to in UNDER_WAY:
            # It may be reopened, and an alert that comes meanwhile would open another of its subject.
            lock_cases()
        return change_case(case_id, version, change)


def decide_release(
    *,
    case_id: UUID,
    approve: bool,
    actor: str,
    person: str = "",
    version: int | None = None,
    source: str = Label.Source.CONSOLE,
) -> Case:
    """Approve or refuse what somebody else has asked for. Raises SameEyes, and ValidationError where nobody has."""

    def change(case: Case) -> CaseEvent:
        if not case.release_asked_by:
            raise ValidationError({"status": "nobody has asked for the release of this case"})
        check_eyes(case, actor, person)
        if approve:
            return bring_to(case, CaseStatus.FALSE_ALARM, actor, source)
        before, case.release_asked_by, case.release_person = case.release_asked_by, "", ""
        return keep_event(case, CaseEvent.Kind.RELEASE_REFUSED, actor, before=before)

    return change_case(case_id, version, change)


def check_eyes(asked: Case | Alert, actor: str, person: str) -> None:
    """Raises SameEyes where the person who asked for a release is the one who decides on it."""
    if person_of(asked) in (actor, person):
        raise SameEyes(f"{asked.release_asked_by} has asked for this release; somebody else must decide")


def person_of(asked: Case | Alert) -> str:
    return asked.release_person or asked.release_asked_by


def change_case(case_id: UUID, version: int | None, change: Callable[[Case], CaseEvent | None]) -> Case:
    """Change a case that nobody else can change meanwhile. Raises Case.DoesNotExist and CaseChanged."""
    with transaction.atomic():
        case = Case.objects.select_for_update().get(id=case_id)
        if version is not None and case.version != version:
            raise CaseChanged(
                f"case {case.number} was changed meanwhile: it is {case.status}"
                f"{f' with {case.assignee}' if case.assignee else ''}; look at it again"
            )
        event = change(case)
        case.version += 1
        case.save()
        if event is not None:
            tell_change(case, event)
    return case


def bring_to(case: Case, to: str, actor: str, source: str) -> CaseEvent:
    now = timezone.now()
    if case.closed_at is not None:
        if _other_under_way(case):
            raise ValidationError({"status": "the subject has another case under way; work on that one"})
        # The time that the desk had ran out while the case was closed.
        case.due_at = now + TIME_TO_DECIDE[RiskSeverity(case.severity)]
    event = keep_event(case, CaseEvent.Kind.MOVED, actor, before=case.status, after=to)
    case.status, case.release_asked_by, case.release_person = to, "", ""
    case.closed_at = now if to in CLOSED else None
    case.assignee = case.assignee or actor
    if to in CLOSED:
        open_alerts = Alert.objects.filter(case=case, outcome="")
        open_alerts.update(release_asked_by="", release_person="")
        label_transactions(case, open_alerts.values_list("transaction_id", flat=True), to, actor=actor, source=source)
    return event


def label_transactions(case: Case, transaction_ids: Iterable[str], to: str, *, actor: str, source: str) -> None:
    now = timezone.now()
    labels = [NewLabel(each, LABELS[CaseStatus(to)], now, f"case {case.number}") for each in transaction_ids]
    record_labels(labels=labels, source=source, actor=actor)


def _other_under_way(case: Case) -> bool:
    return Case.objects.filter(subject_key=case.subject_key, closed_at=None).exclude(id=case.id).exists()


def keep_event(case: Case, kind: str, actor: str, *, before: str = "", after: str = "", note: str = "") -> CaseEvent:
    return CaseEvent.objects.create(case=case, kind=kind, actor=actor, before=before, after=after, note=note)


def change_many(*, case_ids: Iterable[UUID], change: Callable[..., Case], **values: Any) -> tuple[int, list[str]]:
    """`change` each of them (`move`, `assign`); how many were, and why the others were not."""
    changed, problems = 0, []
    # In one order, that in which alerts join their cases, so that nobody holds a case that another waits for.
    found = Case.objects.filter(id__in=list(case_ids)).order_by("subject_key", "id")
    for case_id in found.values_list("id", flat=True):
        try:
            change(case_id=case_id, **values)
            changed += 1
        except ValidationError as error:
            problems += error.messages
    return changed, problems
