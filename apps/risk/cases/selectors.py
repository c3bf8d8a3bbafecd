"""Reads of alerts and cases."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import models
from django.db.models import Count, F, Q, QuerySet
from django.utils import timezone

from apps.risk.cases.models import UNDER_WAY, Alert, Case, CaseEvent
from apps.risk.cases.raising import SEVERITIES
from apps.risk.transactions.models import Transaction

# Of the subject's transactions before and after an alert so many are shown.
DAYS_SHOWN = 60
MOST_SHOWN = 400


def alerts(
    *,
    status: str | None = None,
    severity: str | None = None,
    since: datetime | None = None,
    subject_key: bytes | None = None,
) -> QuerySet[Alert]:
    """Newest first; `status` is what was said of the alert alone, else that of its case."""
    found = Alert.objects.select_related("case").order_by("-created_at", "-id")
    given: dict[str, Any] = {
        "severity": severity,
        "created_at__gte": since,
        "subject_key": subject_key,
    }
    if status is not None:
        found = found.filter(Q(outcome=status) | Q(outcome="", case__status=status))
    return found.filter(**{name: value for name, value in given.items() if value is not None})


def cases(
    *,
    status: str | None = None,
    severity: str | None = None,
    assignee: str | None = None,
    assigned: bool | None = None,
    overdue: bool | None = None,
) -> QuerySet[Case]:
    """Those under way first, the worst and the longest overdue at the head; then those that were closed last."""
    found = Case.objects.annotate(
        weight=models.Case(
            *[models.When(severity=name, then=weight) for weight, name in enumerate(SEVERITIES)],
            output_field=models.IntegerField(),
        )
    ).order_by(F("closed_at").desc(nulls_first=True), "-weight", "due_at", "id")
    given: dict[str, Any] = {"status": status, "severity": severity, "assignee": assignee}
    found = found.filter(**{name: value for name, value in given.items() if value is not None})
    if assigned is not None:
        found = found.exclude(assignee="") if assigned else found.filter(assignee="")
    if overdue is not None:
        found = found.filter(late()) if overdue else found.exclude(late())
    return found


def late() -> Q:
    """Condition of cases that wait for longer than the desk has."""
    return Q(closed_at=None, due_at__lt=timezone.now())


def events_of(case_id: UUID) -> QuerySet[CaseEvent]:
    """What was done with a case, newest first."""
    return CaseEvent.objects.filter(case_id=case_id).order_by("-created_at", "-id")


@dataclass(frozen=True)
class Workload:
    under_way: int
    overdue: int
    waiting_for_release: int


def workload() -> Workload:
    """Of the tenant in scope; one query."""
    counted = Case.objects.filter(status__in=UNDER_WAY).aggregate(
        under_way=Count("id"),
        overdue=Count("id", filter=Q(due_at__lt=timezone.now())),
        waiting=Count("id", filter=~Q(release_asked_by="")),
    )
    return Workload(counted["under_way"], counted["overdue"], counted["waiting"])


def transactions_around(subject_key: bytes, moments: Sequence[datetime]) -> list[Transaction]:
    """The subject's transactions from DAYS_SHOWN before the first moment to DAYS_SHOWN after the last, oldest first; at
    most the newest MOST_SHOWN. None without a moment."""
    if not moments:
        return []
    margin = timedelta(days=DAYS_SHOWN)
    found = Transaction.objects.filter(
        subject_key=subject_key, occurred_at__gte=min(moments) - margin, occurred_at__lte=max(moments) + margin
    ).order_by("-occurred_at")
    return list(found[:MOST_SHOWN])[::-1]
