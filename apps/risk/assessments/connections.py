"""Where other topics of the risk desk take part in an assessment: rules that hit, and the alert that follows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.risk.transactions.reading import NewTransaction


@dataclass(frozen=True)
class Hit:
    """A rule that holds of a transaction; `action` is approve, review, decline or alert."""

    key: str
    name: str
    version: int
    action: str


def hits_of(
    transaction: NewTransaction, features: Mapping[str, float | None], score: float | None
) -> tuple[list[Hit], list[Hit]]:
    """(rules that hit, rules in shadow that would have); `score` is the model's, None where none answered."""
    return [], []


def alert(
    *,
    transaction_id: str,
    decision_id: UUID,
    subject_key: bytes,
    score: float,
    verdict: str,
    reasons: Sequence[Mapping[str, Any]],
    rules: Sequence[Mapping[str, Any]],
    occurred_at: datetime,
) -> None:
    """Tell the desk of a transaction that is not simply approved."""
