"""Risk requests as the application would make them, out of a log: for the gate, replays and tests."""

import numpy as np
from numpy.typing import NDArray

from ml.data.party_log import PartyLog
from ml.data.party_sequences import SIDES, History
from ml.data.transactions import TransactionColumns
from ml.data.velocity import velocity_features
from ml.serving.risk import RiskRequest

HISTORY_EVENTS = 64


def requests_of_log(transactions: TransactionColumns, at: NDArray[np.int64]) -> list[RiskRequest]:
    """What was known of the transactions `at` when they were made."""
    features = velocity_features(transactions, at).astype(object)
    features[features != features] = None
    logs = {side: PartyLog.of(transactions, np.asarray(getattr(transactions, side))) for side in SIDES}
    places = {}
    for side, log in logs.items():
        places[side] = np.full(len(transactions), -1, dtype=np.int64)
        places[side][log.rows] = np.arange(len(log.rows))
    return [
        RiskRequest(
            features=features[number].tolist(),
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
    end = int(log.end[position])
    rows = log.rows[max(int(log.begin[position]), end - HISTORY_EVENTS) : end]
    other, now = getattr(transactions, other_side), transactions.time[row]
    known = (transactions.fraud_known_at[rows] <= now) & (now < transactions.cleared_at[rows])
    return History(
        times=transactions.time[rows].tolist(),
        amounts=transactions.amount[rows].tolist(),
        same_party=((other[rows] == other[row]) & (other[rows] >= 0)).astype(int).tolist(),
        types=[transactions.types[code] for code in transactions.type[rows]],
        fraud_known=known.astype(int).tolist(),
    )
