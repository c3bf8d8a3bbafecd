"""What a risk predictor is asked and what it answers; and requests out of a log, as the application would make them."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from ml.data.party_log import PartyLog, party_logs, span
from ml.data.party_sequences import SIDES, History
from ml.data.transactions import TransactionColumns
from ml.data.velocity import velocity_features

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
    """index into that side's history of the request, and that event's time in seconds since 1970; part of the log-odds,
    attention in [0, 1], to seven digits."""

    side: str
    index: int
    time: float
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
    logs: Sequence[PartyLog] | None = None,
) -> list[RiskRequest]:
    """What was known of the transactions `at` when they were made; `features` are theirs, and `logs` the log's
    `party_logs`, where they are at hand."""
    logs = party_logs(transactions) if logs is None else logs
    table = (velocity_features(transactions, at, logs) if features is None else features).astype(object)
    table[table != table] = None
    nothing = History(times=[], amounts=[], same_party=[], types=[], fraud_known=[])
    requests = [RiskRequest(features=row, customer=nothing, counterparty=nothing) for row in table.tolist()]
    for log in logs:
        _put_histories(requests, transactions, log, at)
    return requests


def _put_histories(
    requests: list[RiskRequest], transactions: TransactionColumns, log: PartyLog, at: NDArray[np.int64]
) -> None:
    """Give the requests for the transactions `at` the newest events of those of their sides that are in this log."""
    number, kind, place = log.places(at, len(transactions))
    is_side = kind < len(SIDES)
    number, kind, place = number[is_side], kind[is_side], place[is_side]
    end = log.end[place]
    events = span(np.maximum(log.history(place), end - HISTORY_EVENTS), end)
    other, row = log.other[events.position], events.row
    columns = {
        "times": log.time[events.position].tolist(),
        "amounts": log.amount[events.position].tolist(),
        "same_party": ((other == log.other[place][row]) & (other >= 0)).astype(int).tolist(),
        "types": [transactions.types[code] for code in transactions.type[log.rows[events.position]].tolist()],
        "fraud_known": log.known_fraud(events.position, log.time[place][row]).astype(int).tolist(),
    }
    edges = np.searchsorted(row, np.arange(len(place) + 1)).tolist()
    for which, side, (first, last) in zip(number.tolist(), kind.tolist(), pairwise(edges), strict=True):
        history = {name: column[first:last] for name, column in columns.items()}
        requests[which][SIDES[side]] = history
