"""What the engine says of transactions: velocity features, and the model's probability with what it owes to what."""

import json
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
from ml.evaluation.classification import area_under_roc, average_precision
from ml.evaluation.drift import Reference, band_of, population_stability_index, reference_of
from serving import engine as serving_engine
from serving import gateway
from serving.artifacts import resolve_artifact
from tenancy.scope import current_tenant_id

__all__ = [
    "FEATURES",
    "Reference",
    "area_under_roc",
    "average_precision",
    "band_of",
    "population_stability_index",
    "reference_of",
]

# In an artifact: {name of a feature, or "score": its Reference}.
DRIFT_FILE = "drift.json"
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
    return [_scored(answer) for answer in gateway.assess(model, _requests(histories, features))]


def score_by_version(
    artifact: str, histories: Histories, features: Sequence[Mapping[str, float | None]]
) -> list[float]:
    """Probabilities of one version, computed in this process: for work that nobody waits for.

    Where the version gives no probability, its anomaly. Raises what a broken version raises.
    """
    folder = resolve_artifact(current_tenant_id(), artifact)
    predictions = serving_engine.predict(folder, _requests(histories, features))
    return [said["anomaly"] if said["probability"] is None else said["probability"] for said in predictions]


def _requests(histories: Histories, features: Sequence[Mapping[str, float | None]]) -> list[dict[str, Any]]:
    newest_first = np.argsort(-histories.time, kind="stable")
    return [
        {
            "features": [named_values[name] for name in FEATURES],
            "customer": _history(histories, place, newest_first, "customer", "counterparty"),
            "counterparty": _history(histories, place, newest_first, "counterparty", "customer"),
        }
        for place, named_values in zip(histories.asked.tolist(), features, strict=True)
    ]


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


def drift_references(folder: Path) -> dict[str, Reference] | None:
    """How the features, and the `score`, were spread in training, by name; None where the artifact keeps nothing."""
    try:
        kept = json.loads((folder / DRIFT_FILE).read_text(encoding="utf-8"))
        return {name: Reference.from_dict(each) for name, each in kept.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
