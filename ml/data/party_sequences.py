"""The newest events of both sides of a transaction, as the two-sided network reads them.

The same columns are made from a log (training) and from the histories of a request (serving).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from ml.data.party_log import DAY, PartyLog, Positions
from ml.data.transactions import PARTIES, TransactionColumns

SIDES = PARTIES[:2]
SETTLED_SECONDS = 7 * DAY
_NUMBERS = ("times", "amounts", "same_party", "fraud_known")
CHANNELS = ("age", "gap", "amount", "amount_ratio", "same_party", "fraud_known", "settled")

Table = NDArray[np.float32]


class History(TypedDict):
    """A party's earlier transactions, oldest first, as lists of equal length.

    same_party is 1 where it was with the other side of the transaction in question; fraud_known is 1 where it is known
    to be fraud now. times are Unix seconds.
    """

    times: list[float]
    amounts: list[float]
    same_party: list[int]
    types: list[str]
    fraud_known: list[int]


@dataclass(frozen=True)
class SideSequences:
    """events (B, L, channels), type (B, L) from 1, 0 where unknown or padding, length (B,); padded on the right."""

    events: Table
    type: NDArray[np.int64]
    length: NDArray[np.int64]

    def rows(self, chosen: Positions) -> "SideSequences":
        longest = int(self.length[chosen].max(initial=0))
        return SideSequences(self.events[chosen, :longest], self.type[chosen, :longest], self.length[chosen])


def describe(
    *, age: NDArray, amount: NDArray, same_party: NDArray, fraud_known: NDArray, real: NDArray, current: NDArray
) -> Table:
    """The channels of padded events, all (B, L); age in seconds, current (B,) the transaction's own amount."""
    before = np.concatenate([age[:, :1], age[:, :-1]], axis=1)
    now = np.log1p(current)[:, None]
    channels = (
        np.log1p(np.maximum(age, 0.0)) / 15.0,
        np.log1p(np.maximum(before - age, 0.0)) / 15.0,
        np.log1p(amount) / 5.0,
        np.clip(now - np.log1p(amount), -5.0, 5.0),
        same_party,
        fraud_known,
        age >= SETTLED_SECONDS,
    )
    return (np.stack(channels, axis=-1) * real[..., None]).astype(np.float32)


def sequences_of_log(transactions: TransactionColumns, at: Positions, *, limit: int) -> dict[str, SideSequences]:
    """The newest `limit` events before each of the transactions `at`, by side."""
    found = {}
    for side in SIDES:
        log = PartyLog.of(transactions, [side])
        present, _, place = log.places(at, len(transactions))
        length = np.zeros(len(at), dtype=np.int64)
        last = np.zeros(len(at), dtype=np.int64)
        length[present] = np.minimum(log.end[place] - log.history(place), limit)
        last[present] = log.end[place]
        offset = np.arange(int(length.max(initial=0)))
        real = offset < length[:, None]
        position = np.where(real, (last - length)[:, None] + offset, 0)
        own = np.full(len(at), -1, dtype=np.int64)
        own[present] = log.other[place]
        now, current = np.asarray(transactions.time)[at], np.asarray(transactions.amount)[at]
        events = describe(
            age=now[:, None] - log.time[position],
            amount=log.amount[position],
            same_party=(log.other[position] == own[:, None]) & (own >= 0)[:, None],
            fraud_known=log.known_fraud(position, now[:, None]),
            real=real,
            current=current,
        )
        kind = np.where(real, np.asarray(transactions.type, dtype=np.int64)[log.rows[position]] + 1, 0)
        found[side] = SideSequences(events, kind, length)
    return found


def sequences_of_histories(
    histories: Sequence[History], *, now: NDArray, amount: NDArray, types: dict[str, int], limit: int
) -> SideSequences:
    """The newest events of B histories; now and amount (B,) are of the transactions after them. types by name, from 1.

    Raises ValueError that names the field at fault.
    """
    for history in histories:
        for name in (*_NUMBERS, "types"):
            if len(history[name]) != len(history["times"]):  # type: ignore[literal-required]
                raise ValueError(f"a history's {name} must have one entry for each of its times")
    length = np.array([min(len(history["times"]), limit) for history in histories], dtype=np.int64)
    shape = (len(histories), int(length.max(initial=0)))
    columns = np.zeros((len(_NUMBERS), *shape))
    kind = np.zeros(shape, dtype=np.int64)
    for row, (history, count) in enumerate(zip(histories, length.tolist(), strict=True)):
        if count:
            columns[:, row, :count] = [history[name][-count:] for name in _NUMBERS]  # type: ignore[literal-required]
            kind[row, :count] = [types.get(name, 0) for name in history["types"][-count:]]
    times, amounts, same_party, fraud_known = columns
    events = describe(
        age=now[:, None] - times,
        amount=amounts,
        same_party=same_party,
        fraud_known=fraud_known,
        real=np.arange(shape[1]) < length[:, None],
        current=amount,
    )
    return SideSequences(events, kind, length)
