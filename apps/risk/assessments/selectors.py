"""Reads of assessments: the answer that a transaction got, as its decision keeps it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.risk.transactions.selectors import find_transactions
from decisions.models import Decision

# Of a decision: its score is a probability of fraud. Points are on another scale, beside an anomaly too.
BY_MODEL_OF_FRAUDS = "model_version IS NOT NULL AND request ->> 'anomaly' IS NULL"


class UnknownTransaction(LookupError):
    """No transaction has this id; or none that was assessed."""


@dataclass(frozen=True)
class Answer:
    """What the client hears. `score` is the calibrated probability of fraud, or the points where no model answered."""

    decision_id: UUID
    transaction_id: str
    score: float
    anomaly: float | None
    verdict: str
    reasons: list[dict[str, Any]]
    rules: list[dict[str, Any]]
    model_version: UUID | None
    degraded: str | None
    occurred_at: datetime
    notices: list[dict[str, str]]
    given_at: str | None
    was_imported: bool

    def to_dict(self) -> dict[str, Any]:
        return {
            "decision_id": str(self.decision_id),
            "transaction_id": self.transaction_id,
            "score": self.score,
            "anomaly": self.anomaly,
            "verdict": self.verdict,
            "reasons": self.reasons,
            "rules": self.rules,
            "model_version": None if self.model_version is None else str(self.model_version),
            "degraded": self.degraded,
            "occurred_at": self.occurred_at.isoformat().replace("+00:00", "Z"),
            "notices": self.notices,
        }


def answer_of(decision: Decision) -> Answer:
    request, item = decision.request, decision.items[0]
    return Answer(
        decision_id=decision.decision_id,
        transaction_id=request["transaction_id"],
        score=item["score"],
        anomaly=request["anomaly"],
        verdict=item["id"],
        reasons=item["reasons"],
        rules=request["rules"],
        model_version=decision.model_version,
        degraded=decision.degraded,
        occurred_at=datetime.fromisoformat(request["occurred_at"]),
        notices=request["notices"],
        given_at=request["given_at"],
        was_imported=request["was_imported"],
    )


def stored_answers(transactions: Iterable[Mapping[str, Any]]) -> dict[str, Answer]:
    """Answers by transaction id, of those that were assessed; at most one query."""
    wanted = [each["decision_id"] for each in transactions if each["decision_id"] is not None]
    if not wanted:
        return {}
    found = (answer_of(decision) for decision in Decision.objects.filter(decision_id__in=wanted))
    return {answer.transaction_id: answer for answer in found}


def find_answer(transaction_id: str) -> Answer:
    """Raises UnknownTransaction that says whether the transaction is unknown or was only imported."""
    stored = find_transactions([transaction_id])
    if not stored:
        raise UnknownTransaction(f"there is no transaction '{transaction_id}'")
    answers = stored_answers(stored.values())
    if not answers:
        raise UnknownTransaction(f"the transaction '{transaction_id}' was imported and has not been assessed")
    return answers[transaction_id]
