"""Where other topics of the risk desk take part in an assessment: rules that hit, and the alert that follows."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID


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
