"""Assessments as rows, at any time and with any score, so that a test can recompute what monitoring says of them."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.utils import timezone
from uuid_utils.compat import uuid7

from apps.risk.cases.models import Alert, Case
from apps.risk.transactions.models import Transaction
from decisions.models import Decision
from ml.data.velocity import FEATURES


@dataclass(frozen=True)
class Row:
    decided_at: datetime
    occurred_at: datetime
    score: float
    verdict: str = "approve"
    amount: float = 10.0
    fraud_known_at: datetime | None = None
    cleared_at: datetime | None = None
    model_version: UUID | None = None
    anomaly: float | None = None
    feature: float = 1.0
    latency_ms: float = 5.0
    degraded: str | None = None
    rule_tells: bool = False  # of one that is approved

    @property
    def is_alert(self) -> bool:
        return self.rule_tells or self.verdict != "approve"


def give(rows: Iterable[Row]) -> list[Decision]:
    """Store each as a transaction with its decision, for the tenant in scope."""
    given = list(rows)
    decisions = [_decision(row, number) for number, row in enumerate(given)]
    Decision.objects.bulk_create(decisions)
    Transaction.objects.bulk_create(
        [
            Transaction(
                transaction_id=decision.request["transaction_id"],
                event_id=uuid7(),
                decision_id=decision.decision_id,
                occurred_at=row.occurred_at,
                received_at=row.decided_at,
                subject_key=b"%d" % (number % 7),
                amount=row.amount,
                currency="EUR",
                counterparty=f"shop-{number % 3}",
                fraud_known_at=row.fraud_known_at,
                cleared_at=row.cleared_at,
            )
            for number, (row, decision) in enumerate(zip(given, decisions, strict=True))
        ]
    )
    _give_alerts(given, decisions)
    return decisions


def _give_alerts(rows: list[Row], decisions: list[Decision]) -> None:
    now = timezone.now()
    case, _ = Case.objects.get_or_create(
        number=1, defaults={"subject_key": b"0", "severity": "low", "opened_at": now, "due_at": now}
    )
    Alert.objects.bulk_create(
        [
            Alert(
                case=case,
                transaction_id=decision.request["transaction_id"],
                decision_id=decision.decision_id,
                subject_key=b"0",
                severity="low",
                verdict=row.verdict,
                score=row.score,
                amount=row.amount,
                currency="EUR",
                occurred_at=row.occurred_at,
                created_at=row.decided_at,
            )
            for row, decision in zip(rows, decisions, strict=True)
            if row.is_alert
        ]
    )


def _decision(row: Row, number: int) -> Decision:
    return Decision(
        decision_id=id_at(row.decided_at),
        decided_at=row.decided_at,
        application="risk",
        scenario="transactions",
        subject_key=b"%d" % (number % 7),
        model_version=row.model_version,
        policy="thresholds and rules",
        degraded=row.degraded,
        request={
            "transaction_id": str(uuid7()),
            "features": dict.fromkeys(FEATURES, row.feature),
            "score": row.score,
            "anomaly": row.anomaly,
        },
        items=[{"id": row.verdict, "rank": 1, "score": row.score, "propensity": 1.0, "reasons": [], "rules": []}],
        latency_ms=row.latency_ms,
    )


def id_at(moment: datetime) -> UUID:
    """A version 7 id of that time."""
    chance = random.getrandbits(74)
    head = int(moment.timestamp() * 1000) << 80 | 7 << 76 | (chance >> 62) << 64
    return UUID(int=head | 2 << 62 | chance & ((1 << 62) - 1))
