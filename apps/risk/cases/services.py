"""What the desk does with a case: assign, note, move, decide. A decision becomes labels of the alerted transactions."""

from collections.abc import Callable, Sequence
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from apps.risk.cases.models import CLOSED, Alert, Case, CaseEvent, CaseStatus
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
    """Give the case to somebody, or to nobody. Raises Case.DoesNotExist and CaseChanged, as all of these do."""

    def change(case: Case) -> CaseEvent | None:
        if case.assignee == assignee:
            return None
        before, case.assignee = case.assignee, assignee
        return _tell(case, CaseEvent.Kind.ASSIGNED, actor, before=before, after=assignee)

    return _change(case_id, version, change)


def add_note(*, case_id: UUID, note: str, actor: str) -> Case:
    """Raises ValidationError for an empty or endless note."""
    text = note.strip()
    if not 1 <= len(text) <= LONGEST_NOTE:
        raise ValidationError({"note": f"must have 1 to {LONGEST_NOTE:,} characters"})
    return _change(case_id, None, lambda case: _tell(case, CaseEvent.Kind.NOTED, actor, note=text))


def move(*, case_id: UUID, to: str, actor: str, version: int | None = None, source: str = Label.Source.CONSOLE) -> Case:
    """Bring the case to another status; whoever moves one that nobody has takes it.

    Closing writes labels, known from now, of all its alerted transactions. A severe case that is to be a false alarm
    stays where it is until somebody else approves. Raises ValidationError for a move that there is not, and what keeps
    a case from being reopened.
    """

    def change(case: Case) -> CaseEvent:
        if to not in MOVES[case.status]:
            allowed = ", ".join(MOVES[case.status])
            raise ValidationError({"status": f"a case that is {case.status} can become {allowed}; not {to}"})
        if to == CaseStatus.FALSE_ALARM and case.severity in FOUR_EYES:
            if case.release_asked_by:
                raise ValidationError({"status": f"{case.release_asked_by} has asked for this; it waits for approval"})
            case.release_asked_by = actor
            return _tell(case, CaseEvent.Kind.RELEASE_ASKED, actor)
        return _move(case, to, actor, source)

    return _change(case_id, version, change)


def decide_release(
    *, case_id: UUID, approve: bool, actor: str, version: int | None = None, source: str = Label.Source.CONSOLE
) -> Case:
    """Approve or refuse what somebody else has asked for. Raises SameEyes, and ValidationError where nobody has."""

    def change(case: Case) -> CaseEvent:
        if not case.release_asked_by:
            raise ValidationError({"status": "nobody has asked for the release of this case"})
        if case.release_asked_by == actor:
            raise SameEyes(f"{actor} has asked for this release; somebody else must decide")
        if approve:
            return _move(case, CaseStatus.FALSE_ALARM, actor, source)
        before, case.release_asked_by = case.release_asked_by, ""
        return _tell(case, CaseEvent.Kind.RELEASE_REFUSED, actor, before=before)

    return _change(case_id, version, change)


def _change(case_id: UUID, version: int | None, change: Callable[[Case], CaseEvent | None]) -> Case:
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


def _move(case: Case, to: str, actor: str, source: str) -> CaseEvent:
    if case.closed_at is not None and _other_under_way(case):
        raise ValidationError({"status": "the subject has another case under way; work on that one"})
    event = _tell(case, CaseEvent.Kind.MOVED, actor, before=case.status, after=to)
    now = timezone.now()
    case.status, case.release_asked_by = to, ""
    case.closed_at = now if to in CLOSED else None
    case.assignee = case.assignee or actor
    if to in CLOSED:
        labels = [
            NewLabel(transaction_id, LABELS[CaseStatus(to)], now, f"case {case.number}")
            for transaction_id in Alert.objects.filter(case=case).values_list("transaction_id", flat=True)
        ]
        record_labels(labels=labels, source=source, actor=actor)
    return event


def _other_under_way(case: Case) -> bool:
    return Case.objects.filter(subject_key=case.subject_key, closed_at=None).exclude(id=case.id).exists()


def _tell(case: Case, kind: str, actor: str, *, before: str = "", after: str = "", note: str = "") -> CaseEvent:
    return CaseEvent.objects.create(case=case, kind=kind, actor=actor, before=before, after=after, note=note)


def move_many(*, case_ids: Sequence[UUID], to: str, actor: str) -> tuple[int, list[str]]:
    """Move each of them; how many were, and why the others were not."""
    moved, problems = 0, []
    for case_id in case_ids:
        try:
            move(case_id=case_id, to=to, actor=actor)
            moved += 1
        except ValidationError as error:
            problems += error.messages
    return moved, problems
