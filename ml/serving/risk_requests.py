"""What a risk predictor is asked and what it answers; and requests out of a log, as the application would make them."""

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from ml.data.party_log import PartyLog
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
    """index into that side's history of the request; part of the log-odds; attention in [0, 1]."""

    side: str
    index: int
    part: float
    attention: float


class RiskPrediction(TypedDict):
    """probability is calibrated; members holds each member's own, uncalibrated. anomaly in [0, 1], None where no model
    without labels is at hand. contributions are at most 20; they and events stand with the strongest first."""

    probability: float
    anomaly: float | None
    members: dict[str, float]
    contributions: list[Contribution]
    events: list[EventShare]


def requests_of_log(
    transactions: TransactionColumns, at: NDArray[np.int64], features: NDArray[np.float32] | None = None
) -> list[RiskRequest]:
    """What was known of the transactions `at` when they were made; `features` are theirs, where they are at hand."""
    table = (velocity_features(transactions, at) if features is None else features).astype(object)
    table[table != table] = None
    logs = {side: PartyLog.of(transactions, np.asarray(getattr(transactions, side))) for side in SIDES}
    places = {}
    for side, log in logs.items():
        places[side] = np.full(len(transactions), -1, dtype=np.int64)
        places[side][log.rows] = np.arange(len(log.rows))
    return [
        RiskRequest(
            features=table[number].tolist(),
            customer=_history(transactions, logs["customer"], places["customer"], int(row), "counterparty"),
            counterparty=_history(transactions, logs["counterparty"], places["counterparty"], int(row), "customer"),
        )
        for number, row in enumerate(at)
    ]


def _history(
    transactions: TransactionColumns, log: PartyLog, place: NDArray[np.int64], row: int, other_side: str
) -> History:
    position = int(place[row])
    if position < 0:
        return History(times=[], amounts=[], same_party=[], types=[], fraud_known=[])
    begin, end = int(log.history(np.array([position]))[0]), int(log.end[position])
    rows = log.rows[max(begin, end - HISTORY_EVENTS) : end]
    other, now = getattr(transactions, other_side), transactions.time[row]
    known = (transactions.fraud_known_at[rows] <= now) & (now < transactions.cleared_at[rows])
    return History(
        times=transactions.time[rows].tolist(),
        amounts=transactions.amount[rows].tolist(),
        same_party=((other[rows] == other[row]) & (other[rows] >= 0)).astype(int).tolist(),
        types=[transactions.types[code] for code in transactions.type[rows]],
        fraud_known=known.astype(int).tolist(),
    )
