"""What the engine says of transactions: velocity features, and the model's probability with what it owes to what."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from ml.data.party_log import HISTORY_ROWS, HISTORY_SECONDS, PartyLog, party_logs
from ml.data.transactions import TransactionColumns, write_transactions
from ml.data.velocity import DESCRIPTIONS, FEATURES, velocity_features
from ml.evaluation.classification import area_under_roc, average_precision
from ml.evaluation.drift import Reference, band_of, population_stability_index, reference_of, references_of
from ml.explain.reason_codes import ReasonCode, reason_codes
from ml.policy.thresholds import NEVER, Costs, choose_thresholds, expect, threshold_curve
from ml.serving.risk_requests import RiskRequest, requests_of_log
from ml.simulation.transactions import SimulatedTransactions as MadePayments
from ml.simulation.transactions import TransactionWorld, simulate_transactions
from serving import engine as serving_engine
from serving import gateway
from serving.artifacts import resolve_artifact
from tenancy.scope import current_tenant_id

__all__ = [
    "FEATURES",
    "HISTORY_ROWS",
    "HISTORY_SECONDS",
    "NEVER",
    "Histories",
    "MadePayments",
    "ReasonCode",
    "Reference",
    "TransactionColumns",
    "area_under_roc",
    "average_precision",
    "band_of",
    "population_stability_index",
    "reference_of",
    "references_of",
    "velocity_features",
]

# The line of models for tenants without labels.
ANOMALY_MODEL = "anomaly"
# In an artifact: {name of a feature, or "score": its Reference}.
DRIFT_FILE = "drift.json"


@dataclass(frozen=True)
class Scored:
    """`probability` is calibrated, None where no model of frauds answered; `anomaly` is the share of the training's
    transactions that were less unusual, None where no model of anomalies did. `contributions` and `events` have the
    strongest first."""

    probability: float | None
    model_version: UUID | None
    degraded: str | None
    anomaly: float | None = None
    members: Mapping[str, float] = field(default_factory=dict)
    contributions: Sequence[Mapping[str, Any]] = ()
    events: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Histories:
    """Transactions in no order: those that were asked for and the histories of their parties.

    `asked` has the row of each one that was asked for, in their order. `out_of_order` are the places of those after
    which something of their customer is stored already.
    """

    log: TransactionColumns
    asked: NDArray[np.int64]
    out_of_order: frozenset[int]

    @cached_property
    def parties(self) -> list[PartyLog]:
        return party_logs(self.log)


def velocity(histories: Histories) -> NDArray[np.float32]:
    """Features of each transaction that was asked for, (asked, len(FEATURES)); NaN where nothing is known."""
    return velocity_features(histories.log, histories.asked, histories.parties)


def named(table: NDArray[np.float32]) -> list[dict[str, float | None]]:
    """Rows of features (n, len(FEATURES)) by name."""
    values = table.astype(object)
    values[np.isnan(table)] = None
    return [dict(zip(FEATURES, row, strict=True)) for row in values.tolist()]


def tabled(rows: Sequence[Mapping[str, float | None]]) -> NDArray[np.float32]:
    """The reverse of `named`; a feature that a row does not have is NaN."""
    values = [[row.get(name) for name in FEATURES] for row in rows]
    return np.array(values, dtype=np.float32).reshape(len(rows), len(FEATURES))


def thresholds(
    probabilities: NDArray[np.float64],
    amounts: NDArray[np.float64],
    asked: NDArray[np.bool_],
    approved: NDArray[np.bool_],
    *,
    days: float,
    daily_capacity: int,
    review_above: float,
    decline_above: float,
    **costs: float,
) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    """The thresholds with the least expected cost, what these come to that are given, and the curve behind both;
    what is `asked` is reviewed whatever the thresholds say, what is `approved` is genuine; `costs` are
    as ml.policy.thresholds.Costs."""
    given = Costs(**costs)
    sample: dict[str, Any] = {"days": days, "asked": asked, "approved": approved}
    chosen = choose_thresholds(probabilities, amounts, given, daily_capacity=daily_capacity, **sample)
    current = expect(probabilities, amounts, given, review_above=review_above, decline_above=decline_above, **sample)
    curve = threshold_curve(probabilities, amounts, given, **sample)
    return chosen.to_dict(), current.to_dict(), [point.to_dict() for point in curve]


def describe_features() -> Mapping[str, str]:
    """Each velocity feature in words, by name."""
    return DESCRIPTIONS


def score(model: str, histories: Histories, features: NDArray[np.float32]) -> list[Scored]:
    """What the model line says of each transaction that was asked for; features (asked, len(FEATURES)).

    Where the line has no version, the line ANOMALY_MODEL says how unusual each is, if it has one.
    """
    requests = _requests(histories, features)
    answers = gateway.assess(model, requests)
    if all(answer.degraded == "no_model" for answer in answers):
        unusual = gateway.assess(ANOMALY_MODEL, requests)
        answers = [other if other.prediction else answer for answer, other in zip(answers, unusual, strict=True)]
    return [_scored(answer) for answer in answers]


def score_by_version(artifact: str, histories: Histories, features: NDArray[np.float32]) -> list[float]:
    """Probabilities of one version, computed in this process: for work that nobody waits for.

    Where the version gives no probability, its anomaly. Raises what a broken version raises.
    """
    folder = resolve_artifact(current_tenant_id(), artifact)
    predictions = serving_engine.predict(folder, _requests(histories, features))
    return [said["anomaly"] if said["probability"] is None else said["probability"] for said in predictions]


def reasons(features: Mapping[str, float | None], contributions: Sequence[Mapping[str, Any]]) -> list[ReasonCode]:
    """What raises the probability most, in words, the strongest first."""
    parts = {each["feature"]: each["part"] for each in contributions}
    return reason_codes(features, parts)


def _requests(histories: Histories, features: NDArray[np.float32]) -> list[RiskRequest]:
    return requests_of_log(histories.log, histories.asked, features, histories.parties)


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


def write_snapshot(path: Path, *, types: list[str], columns: Mapping[str, NDArray[Any]], labelled_at: float) -> None:
    """Write all transactions as the engine's training reads them, with what was known of them at `labelled_at`."""
    write_transactions(path, types=types, labelled_at=labelled_at, **columns)


def open_snapshot(path: Path) -> TransactionColumns:
    return TransactionColumns.open(path)


def sample_requests(transactions: TransactionColumns, count: int) -> list[RiskRequest]:
    """Requests for transactions spread evenly over the log, as they were made then."""
    at = np.linspace(0, len(transactions) - 1, min(count, len(transactions))).astype(np.int64)
    return requests_of_log(transactions, at)


def made_payments(*, customers: int, days: int, begins: datetime) -> MadePayments:
    """Payments of a simulated world with each kind of planted fraud, for demonstrations; labels take four days."""
    return simulate_transactions(
        TransactionWorld(
            customers=customers,
            counterparties=80,
            days=days,
            begins=begins.timestamp(),
            compromised_counterparties=5,
            compromised_cards=14,
            takeovers=14,
            outliers=40,
            rings=2,
            label_delay_days=4.0,
            seed=2,
        )
    )


def drift_references(folder: Path) -> dict[str, Reference] | None:
    """How the features, and the `score`, were spread in training, by name; None where the artifact keeps nothing."""
    try:
        kept = json.loads((folder / DRIFT_FILE).read_text(encoding="utf-8"))
        return {name: Reference.from_dict(each) for name, each in kept.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
