"""From assessments to alerts: each goes to the case of its subject that is under way, or opens one."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from uuid_utils.compat import uuid7

from apps.risk.cases.models import Alert, Case
from apps.risk.notifications.outbox import tell_alerts
from apps.risk.rules.models import RiskSeverity
from apps.risk.transactions.selectors import as_bytea
from tenancy.scope import current_tenant_id
from tenancy.statements import prepared_cursor

# The worst comes last.
SEVERITIES = [str(severity) for severity in RiskSeverity]
# From which score on an alert is so severe, whatever asked for it.
BY_SCORE = ((0.8, RiskSeverity.HIGH), (0.4, RiskSeverity.MEDIUM))
# How long the desk may take to decide: the worse, the less.
TIME_TO_DECIDE = {
    RiskSeverity.CRITICAL: timedelta(hours=1),
    RiskSeverity.HIGH: timedelta(hours=4),
    RiskSeverity.MEDIUM: timedelta(days=1),
    RiskSeverity.LOW: timedelta(days=3),
}
# Cases of one tenant are opened and merged one after the other, so that numbers have no gaps and a subject gets one.
LOCK = "SELECT pg_advisory_xact_lock(hashtext('risk_case'), %s)"
RAISE = "SELECT * FROM risk_raise_alerts(%(tenant)s, %(alerts)s, %(times)s)"
SECONDS_TO_DECIDE = json.dumps({severity: time.total_seconds() for severity, time in TIME_TO_DECIDE.items()})
# What RAISE gives of the case that an alert is in, behind the id of the alert and whether it has opened the case.
OF_CASE = ("id", "number", "subject_key", "status", "severity", "assignee", "release_asked_by", "opened_at", "due_at")


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
    """Store the alerts of transactions that have none yet, and put each into the case of its subject that is under way,
    or that this one was merged into, or a new one.

    A case is as severe as its worst alert, and never has more time for it than a new one would. One statement, and what
    webhooks take, however many there are. Safe to race and to repeat.
    """
    if not alerts:
        return
    named = {uuid7(): alert for alert in alerts}
    rows = [_row(alert_id, alert) for alert_id, alert in named.items()]
    with prepared_cursor() as cursor:
        cursor.execute(RAISE, {"tenant": current_tenant_id(), "alerts": json.dumps(rows), "times": SECONDS_TO_DECIDE})
        found = cursor.fetchall()
    raised, opened = [], {}
    for alert_id, is_opened, *values in found:
        case = Case(**dict(zip(OF_CASE, values, strict=True)))
        raised.append(Alert(id=alert_id, case=case, **vars(named[alert_id]), severity=named[alert_id].severity))
        if is_opened:
            opened[case.id] = case
    tell_alerts(raised, opened.values())


def _row(alert_id: UUID, alert: NewAlert) -> dict[str, Any]:
    return {
        **vars(alert),
        "id": str(alert_id),
        "case_id": str(uuid7()),
        "event_id": str(uuid7()),
        "decision_id": str(alert.decision_id),
        "subject_key": as_bytea(alert.subject_key),
        "severity": alert.severity,
        "occurred_at": alert.occurred_at.isoformat(),
    }


def lock_cases() -> None:
    """Until the end of the transaction nobody else opens or merges cases of the tenant in scope."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [current_tenant_id()])
