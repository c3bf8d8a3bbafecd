"""From assessments to alerts: each goes to the case of its subject that is under way, or opens one."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import F, Max
from django.utils import timezone

from apps.risk.cases.models import Alert, Case, CaseEvent
from apps.risk.notifications.outbox import tell_alerts
from apps.risk.rules.models import RiskSeverity
from tenancy.scope import current_tenant_id

ACTOR = "assessment"
# The worst comes last.
SEVERITIES = [str(severity) for severity in RiskSeverity]
# From which score on an alert is so severe, whatever asked for it.
BY_SCORE = ((0.8, RiskSeverity.HIGH), (0.4, RiskSeverity.MEDIUM))
# How long the desk may take to decide.
TIME_TO_DECIDE = {
    RiskSeverity.CRITICAL: timedelta(hours=1),
    RiskSeverity.HIGH: timedelta(hours=4),
    RiskSeverity.MEDIUM: timedelta(days=1),
    RiskSeverity.LOW: timedelta(days=3),
}
# Cases of one tenant are opened and merged one after the other, so that numbers have no gaps and a subject gets one.
LOCK = "SELECT pg_advisory_xact_lock(hashtext('risk_case'), %s)"


@dataclass(frozen=True)
class NewAlert:
    """What an assessment says of a transaction that is worth a look; `rules` have a severity each."""

    transaction_id: str
    decision_id: UUID
    subject_key: bytes
    verdict: str
    score: float
    amount: float
    currency: str
    reasons: Sequence[Mapping[str, Any]]
    rules: Sequence[Mapping[str, Any]]
    occurred_at: datetime

    @property
    def severity(self) -> str:
        """The highest of what the score and the rules say; a declined transaction is at least of high severity."""
        said = [str(next((severity for least, severity in BY_SCORE if self.score >= least), RiskSeverity.LOW))]
        said += [str(rule["severity"]) for rule in self.rules if rule.get("severity")]
        if self.verdict == "decline":
            said.append(str(RiskSeverity.HIGH))
        return worst(said)


def worst(severities: Sequence[str]) -> str:
    return max(severities, key=SEVERITIES.index)


def raise_alerts(alerts: Sequence[NewAlert]) -> None:
    """Store the alerts of transactions that have none yet, and put them into cases.

    The number of statements does not depend on how many there are. Safe to race and to repeat.
    """
    if not alerts:
        return
    lock_cases()
    told = set(
        Alert.objects.filter(transaction_id__one_of=[each.transaction_id for each in alerts]).values_list(
            "transaction_id", flat=True
        )
    )
    new = [each for each in alerts if each.transaction_id not in told]
    if not new:
        return
    by_subject: dict[bytes, list[NewAlert]] = {}
    for alert in new:
        by_subject.setdefault(alert.subject_key, []).append(alert)
    cases = _under_way(by_subject)
    opened = _open({key: own for key, own in by_subject.items() if key not in cases})
    _join({key: own for key, own in by_subject.items() if key in cases}, cases)
    cases |= opened
    alerts_made = Alert.objects.bulk_create(
        Alert(
            case=cases[each.subject_key],
            transaction_id=each.transaction_id,
            decision_id=each.decision_id,
            subject_key=each.subject_key,
            severity=each.severity,
            verdict=each.verdict,
            score=each.score,
            amount=each.amount,
            currency=each.currency,
            reasons=list(each.reasons),
            rules=list(each.rules),
            occurred_at=each.occurred_at,
        )
        for each in new
    )
    CaseEvent.objects.bulk_create(
        CaseEvent(
            case=cases[key],
            kind=CaseEvent.Kind.OPENED if key in opened else CaseEvent.Kind.ALERTED,
            actor=ACTOR,
            after=", ".join(each.transaction_id for each in own)[:200],
        )
        for key, own in by_subject.items()
    )
    tell_alerts(alerts_made, opened.values())


def lock_cases() -> None:
    """Until the end of the transaction nobody else opens or merges cases of the tenant in scope."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [current_tenant_id()])


def _under_way(subject_keys: Collection[bytes]) -> dict[bytes, Case]:
    """The cases that alerts of these subjects go to: their own, else the one that theirs was merged into.

    They are locked, so that none is closed or merged while an alert is put into it.
    """
    under_way = Case.objects.filter(closed_at=None).order_by("id").select_for_update(of=("self",))
    own = {bytes(case.subject_key): case for case in under_way.filter(subject_key__in=subject_keys)}
    merged = under_way.filter(merged__subject_key__in=subject_keys).annotate(key=F("merged__subject_key"))
    return {bytes(case.key): case for case in merged} | own


def _open(by_subject: Mapping[bytes, Sequence[NewAlert]]) -> dict[bytes, Case]:
    if not by_subject:
        return {}
    last = Case.objects.aggregate(last=Max("number"))["last"] or 0
    now = timezone.now()
    cases = []
    for number, (key, own) in enumerate(by_subject.items(), start=last + 1):
        severity = worst([each.severity for each in own])
        due_at = now + TIME_TO_DECIDE[RiskSeverity(severity)]
        cases.append(
            Case(
                number=number,
                subject_key=key,
                severity=severity,
                alert_count=len(own),
                opened_at=now,
                due_at=due_at,
            )
        )
    Case.objects.bulk_create(cases)
    return {bytes(case.subject_key): case for case in cases}


def _join(by_subject: Mapping[bytes, Sequence[NewAlert]], cases: Mapping[bytes, Case]) -> None:
    """A case is as severe as its worst alert, and never has more time for it than a new one would."""
    now = timezone.now()
    by_case: dict[UUID, tuple[Case, list[NewAlert]]] = {}
    for key, own in by_subject.items():
        by_case.setdefault(cases[key].id, (cases[key], []))[1].extend(own)
    for case, joining in by_case.values():
        case.severity = worst([case.severity, *(each.severity for each in joining)])
        case.due_at = min(case.due_at, now + TIME_TO_DECIDE[RiskSeverity(case.severity)])
        case.alert_count = F("alert_count") + len(joining)
        case.version = F("version") + 1
    changed = [case for case, _ in by_case.values()]
    if changed:
        Case.objects.bulk_update(changed, ["severity", "due_at", "alert_count", "version"])
