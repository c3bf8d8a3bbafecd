"""Cases that belong together: found by what their subjects share, and made one by an operator."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from apps.risk.assessments.settings import current_settings
from apps.risk.cases.models import UNDER_WAY, Alert, Case, CaseEvent, CaseStatus
from apps.risk.cases.raising import lock_cases, worst
from apps.risk.cases.services import CaseChanged, keep_event
from apps.risk.links.selectors import sharing_subjects
from apps.risk.notifications.outbox import tell_change

MOST_LINKED = 50
PLURALS = {"card": "cards", "device": "devices", "address": "addresses", "counterparty": "counterparties"}


@dataclass(frozen=True)
class LinkedCase:
    """A case under way whose subject used the same things; `shared` counts these by kind."""

    case: Case
    shared: Mapping[str, int]

    @property
    def words(self) -> str:
        return ", ".join(f"{count} {PLURALS[kind] if count > 1 else kind}" for kind, count in self.shared.items())


def linked_cases(case: Case) -> list[LinkedCase]:
    """Other cases under way of subjects that used the same things as this one's, the most tied first.

    What more than `link_most_subjects` others used ties nobody. At most seven queries, each bounded.
    """
    shared = sharing_subjects(bytes(case.subject_key), most_subjects=current_settings().link_most_subjects)
    if not shared:
        return []
    found = Case.objects.filter(subject_key__in=list(shared), closed_at=None).exclude(id=case.id)
    linked = [LinkedCase(each, shared[bytes(each.subject_key)]) for each in found]
    return sorted(linked, key=lambda each: (-sum(each.shared.values()), each.case.number))[:MOST_LINKED]


def merge(*, case_id: UUID, other_id: UUID, actor: str, version: int | None = None) -> Case:
    """Bring all alerts of the other case into this one, and close the other as merged; both must be under way.

    The case is then as severe and as urgent as the worse of both, and what was asked for of either must be asked for
    anew. What comes of the other's subject from then on joins this case while it is under way. Raises
    Case.DoesNotExist, CaseChanged where the case is no longer of this `version`, and ValidationError.
    """
    if case_id == other_id:
        raise ValidationError({"case": "a case cannot be merged into itself; name another one"})
    with transaction.atomic():
        lock_cases()
        found = Case.objects.select_for_update().filter(id__in=[case_id, other_id]).order_by("subject_key", "id")
        locked = {each.id: each for each in found}
        if len(locked) < 2:
            raise Case.DoesNotExist
        case, other = locked[case_id], locked[other_id]
        if version is not None and case.version != version:
            raise CaseChanged(f"case {case.number} was changed meanwhile: it is {case.status}; look at it again")
        for each in (case, other):
            if each.status not in UNDER_WAY:
                raise ValidationError({"case": f"case {each.number} is {each.status}; only cases under way are merged"})
        _bring_over(case, other)
        for each in (other, case):
            before, after = f"case {other.number}", f"case {case.number}"
            tell_change(each, keep_event(each, CaseEvent.Kind.MERGED, actor, before=before, after=after))
    return case


def _bring_over(case: Case, other: Case) -> None:
    Alert.objects.filter(case=other).update(case=case)
    Case.objects.filter(merged_into=other).update(merged_into=case)
    case.severity = worst([case.severity, other.severity])
    case.due_at, case.opened_at = min(case.due_at, other.due_at), min(case.opened_at, other.opened_at)
    case.alert_count += other.alert_count
    other.status, other.closed_at, other.merged_into, other.alert_count = CaseStatus.MERGED, timezone.now(), case, 0
    for each in (case, other):
        each.release_asked_by = each.release_person = ""
        each.version += 1
        each.save()
