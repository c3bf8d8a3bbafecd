"""What a risk predictor is asked and what it answers; and requests out of a log, as the application would make them."""

from collections.abc import Mapping
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from ml.data.party_log import PartyLog, party_logs
from ml.data.party_sequences import SIDES, History
from ml.data.transactions import TransactionColumns
from ml.data.velocity import other_side, velocity_features

HISTORY_EVENTS = 64


class RiskRequest(TypedDict):
    """features in the order of ml.data.velocity.FEATURES, None where unknown; the newest events of both sides."""

    features: list[float | None]
    customer: History
    counterparty: History


class Contribution(TypedDict):
    """part is what the feature adds to the log-odds, below 0 where it lowers them."""

    feature: str
    value: float | None
    part: float


class EventShare(TypedDict):
    """index into that side's history of the request; part of the log-odds; attention in [0, 1]."""

    side: str
    index: int
    part: float
    attention: float


class RiskPrediction(TypedDict):
    """probability is calibrated; members holds each member's own, uncalibrated. anomaly in [0, 1], None where no model
    without labels is at hand. contributions are at most 20 and events 16, with the strongest first."""

    probability: float
    anomaly: float | None
    members: dict[str, float]
    contributions: list[Contribution]
    events: list[EventShare]


def requests_of_log(
    transactions: TransactionColumns,
    at: NDArray[np.int64],
    features: NDArray[np.float32] | None = None,
    logs: Mapping[str, PartyLog] | None = None,
) -> list[RiskRequest]:
    """What was known of the transactions `at` when they were made; `features` are theirs, and `logs` the log's
    `party_logs`, where they are at hand."""
    logs = party_logs(transactions) if logs is None else logs
    table = (velocity_features(transactions, at, logs) if features is None else features).astype(object)
    table[table != table] = None
    sides = [_histories(transactions, logs.get(side), at, other_side(side)) for side in SIDES]
    return [
        RiskRequest(features=row, customer=customer, counterparty=counterparty)
        for row, customer, counterparty in zip(table.tolist(), *sides, strict=True)
    ]


def _histories(
    transactions: TransactionColumns, log: PartyLog | None, at: NDArray[np.int64], other_party: str
) -> list[History]:
    found = [History(times=[], amounts=[], same_party=[], types=[], fraud_known=[]) for _ in at]
    if log is None:
        return found
    present, place = log.places(at, len(transactions))
    other = np.asarray(getattr(transactions, other_party))
    end = log.end[place]
    begin = np.maximum(log.history(place), end - HISTORY_EVENTS)
    for number, first, last in zip(np.flatnonzero(present).tolist(), begin.tolist(), end.tolist(), strict=True):
        rows, row = log.rows[first:last], at[number]
        found[number] = History(
            times=log.time[first:last].tolist(),
            amounts=log.amount[first:last].tolist(),
            same_party=((other[rows] == other[row]) & (other[rows] >= 0)).astype(int).tolist(),
            types=[transactions.types[code] for code in transactions.type[rows].tolist()],
            fraud_known=log.known_fraud(np.arange(first, last), transactions.time[row]).astype(int).tolist(),
        )
    return found
