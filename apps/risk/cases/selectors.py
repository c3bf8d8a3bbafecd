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

# So far around the alerts of a case its subject's transactions are shown, and so many beside those that have alerts.
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


def transactions_around(subject_key: bytes, alerts: Sequence[Alert]) -> list[Transaction]:
    """The subject's transactions from DAYS_SHOWN before the first alert to DAYS_SHOWN after the last, oldest first.

    None without an alert. Of more than MOST_SHOWN those that led to the last alert are taken before what followed it;
    alerted ones always are.
    """
    if not alerts:
        return []
    moments, margin = [alert.occurred_at for alert in alerts], timedelta(days=DAYS_SHOWN)
    first, last = min(moments), max(moments)
    own = Transaction.objects.filter(subject_key=subject_key)
    before = own.filter(occurred_at__gte=first - margin, occurred_at__lte=last).order_by("-occurred_at")[:MOST_SHOWN]
    room = MOST_SHOWN - len(before)
    after = own.filter(occurred_at__gt=last, occurred_at__lte=last + margin).order_by("occurred_at")[:room]
    alerted = own.filter(transaction_id__in=[alert.transaction_id for alert in alerts])
    found = {each.transaction_id: each for each in (*before, *after, *alerted)}
    return sorted(found.values(), key=lambda each: each.occurred_at)


def alerted_of(case: Case, transactions: Sequence[Transaction]) -> set[str]:
    """Ids of those among the transactions that have an alert of the case."""
    named = [each.transaction_id for each in transactions]
    return set(case.alerts.filter(transaction_id__in=named).values_list("transaction_id", flat=True))
