"""What the engine says of transactions: velocity features, and the model's probability with what it owes to what."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from apps.risk.transactions.selectors import Histories
from ml.data.transactions import TransactionColumns, write_transactions
from ml.data.velocity import DESCRIPTIONS, FEATURES, velocity_features
from ml.explain.reason_codes import ReasonCode, reason_codes
from serving import gateway

__all__ = ["FEATURES", "ReasonCode", "TransactionColumns", "velocity_features"]

# The newest of each side that the model reads.
EVENTS_READ = 64


@dataclass(frozen=True)
class Scored:
    """`probability` is calibrated, None where no model answered; `contributions` and `events` are strongest first."""

    probability: float | None
    model_version: UUID | None
    degraded: str | None
    anomaly: float | None = None
    members: Mapping[str, float] = field(default_factory=dict)
    contributions: Sequence[Mapping[str, Any]] = ()
    events: Sequence[Mapping[str, Any]] = ()


def velocity(histories: Histories) -> list[dict[str, float | None]]:
    """Features of each transaction that was asked for, by name; None where there is nothing to rest on."""
    return named(velocity_features(_columns(histories), histories.asked))


def named(table: NDArray[np.float32]) -> list[dict[str, float | None]]:
    """Rows of features (n, len(FEATURES)) by name."""
    return [
        dict(zip(FEATURES, (None if math.isnan(value) else value for value in row), strict=True))
        for row in table.tolist()
    ]


def describe_features() -> Mapping[str, str]:
    """Each velocity feature in words, by name."""
    return DESCRIPTIONS


def score(model: str, histories: Histories, features: Sequence[Mapping[str, float | None]]) -> list[Scored]:
    """What the model line says of each transaction that was asked for."""
    newest_first = np.argsort(-histories.time, kind="stable")
    requests = [
        {
            "features": [named_values[name] for name in FEATURES],
            "customer": _history(histories, place, newest_first, "customer", "counterparty"),
            "counterparty": _history(histories, place, newest_first, "counterparty", "customer"),
        }
        for place, named_values in zip(histories.asked.tolist(), features, strict=True)
    ]
    return [_scored(answer) for answer in gateway.assess(model, requests)]


def reasons(features: Mapping[str, float | None], contributions: Sequence[Mapping[str, Any]]) -> list[ReasonCode]:
    """What raises the probability most, in words, the strongest first."""
    parts = {each["feature"]: each["part"] for each in contributions}
    return reason_codes(features, parts)


def _scored(answer: gateway.Answer[Any]) -> Scored:
    if answer.prediction is None:
        return Scored(None, None, answer.degraded)
    said = answer.prediction
    return Scored(
        probability=said["probability"],
        model_version=answer.model_version,
        degraded=answer.degraded,
        anomaly=said.get("anomaly"),
        members=said.get("members") or {},
        contributions=said.get("contributions") or (),
        events=said.get("events") or (),
    )


def _history(
    histories: Histories, place: int, newest_first: NDArray[np.int64], side: str, other: str
) -> dict[str, list[Any]]:
    """The newest transactions of one side strictly before this one, oldest first, with what is known of them then."""
    party, partner = getattr(histories, side), getattr(histories, other)
    now = histories.time[place]
    if party[place] < 0:
        rows = newest_first[:0]
    else:
        own = newest_first[(party[newest_first] == party[place]) & (histories.time[newest_first] < now)]
        rows = own[:EVENTS_READ][::-1]
    fraud_known = (histories.fraud_known_at[rows] <= now) & (now < histories.cleared_at[rows])
    same_party = (partner[rows] == partner[place]) & (partner[place] >= 0)
    return {
        "times": histories.time[rows].tolist(),
        "amounts": histories.amount[rows].tolist(),
        "same_party": same_party.astype(int).tolist(),
        "types": [histories.types[code] for code in histories.type[rows].tolist()],
        "fraud_known": fraud_known.astype(int).tolist(),
    }


def _columns(histories: Histories) -> TransactionColumns:
    return TransactionColumns.of(
        types=histories.types,
        time=histories.time,
        amount=histories.amount,
        customer=histories.customer,
        counterparty=histories.counterparty,
        device=histories.device,
        card=histories.card,
        type=histories.type,
        fraud_known_at=histories.fraud_known_at,
        cleared_at=histories.cleared_at,
    )


def write_snapshot(path: Path, *, types: list[str], columns: Mapping[str, NDArray[Any]]) -> None:
    """Write all transactions as the engine's training reads them."""
    write_transactions(path, types=types, **columns)


def open_snapshot(path: Path) -> TransactionColumns:
    return TransactionColumns.open(path)
