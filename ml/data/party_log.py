"""A transaction log seen from one kind of party: whose transactions came before which, and in which window."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.data.transactions import PARTIES, TransactionColumns, known_fraud

HOUR, DAY = 3_600.0, 86_400.0
# How far back, and over how many transactions, anything is known of a party.
HISTORY_SECONDS = 38 * DAY
HISTORY_ROWS = 2_000
# Above so few rows one search for all is faster than one for each.
ROWS_ONE_BY_ONE = 32

Floats = NDArray[np.float64]
Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Span:
    """Transactions of several windows one after the other: window `row` holds the log's `position`."""

    row: Positions
    position: Positions
    rows: int

    def sums(self, values: NDArray | None = None) -> Floats:
        """The sum of `values` (one for each transaction; 1 where None) in each window, shape (rows,).

        Added in the order of time, so that a window has the same sum whatever log it lies in.
        """
        return np.bincount(self.row, weights=values, minlength=self.rows).astype(np.float64, copy=False)

    def where(self, chosen: NDArray[np.bool_]) -> "Span":
        return Span(self.row[chosen], self.position[chosen], self.rows)

    def first(self) -> Positions:
        """The position of the oldest transaction of each window, -1 where it is empty."""
        return self._scatter(slice(None, None, -1))

    def last(self) -> Positions:
        """The position of the newest transaction of each window, -1 where it is empty."""
        return self._scatter(slice(None))

    def _scatter(self, order: slice) -> Positions:
        # Of several values for one place the last one stays.
        found = np.full(self.rows, -1, dtype=np.int64)
        found[self.row[order]] = self.position[order]
        return found


def span(start: Positions, end: Positions) -> Span:
    """The transactions at start <= position < end for each row."""
    length = np.maximum(end - start, 0)
    row = np.repeat(np.arange(len(start)), length)
    before = np.cumsum(length) - length
    return Span(row, np.arange(len(row)) + (start - before)[row], len(start))


@dataclass(frozen=True)
class PartyLog:
    """The transactions that have a party, sorted by (party, time).

    rows: their numbers in the log. begin: where each one's history begins at the earliest, however long ago that was,
    and end: where it ends, exclusive, which is before all of the same moment. frauds: positions of those that ever
    became known as fraud.
    """

    rows: Positions
    time: Floats
    amount: Floats
    fraud_known_at: Floats
    cleared_at: Floats
    begin: Positions
    end: Positions
    frauds: Positions

    @classmethod
    def of(cls, transactions: TransactionColumns, party: NDArray[np.int64]) -> "PartyLog":
        present = np.flatnonzero(party >= 0)
        # The amount breaks ties, so that sums do not depend on the order of the log.
        order = present[np.lexsort((transactions.amount[present], transactions.time[present], party[present]))]
        time, owner = transactions.time[order], party[order]
        place = np.arange(len(order))
        new_owner, later = np.ones(len(order), dtype=bool), np.ones(len(order), dtype=bool)
        np.not_equal(owner[1:], owner[:-1], out=new_owner[1:])
        np.greater(time[1:], time[:-1], out=later[1:])
        new_moment = new_owner | later
        end = np.maximum.accumulate(np.where(new_moment, place, 0))
        oldest = np.maximum.accumulate(np.where(new_owner, place, 0))
        return cls(
            rows=order,
            time=time,
            amount=transactions.amount[order],
            fraud_known_at=transactions.fraud_known_at[order],
            cleared_at=transactions.cleared_at[order],
            begin=np.maximum(oldest, end - HISTORY_ROWS),
            end=end,
            frauds=np.flatnonzero(np.isfinite(transactions.fraud_known_at[order])),
        )

    def places(self, at: Positions, transactions: int) -> tuple[NDArray[np.bool_], Positions]:
        """Which of the log's rows `at` have a party, and the positions of those that do."""
        place = np.full(transactions, -1, dtype=np.int64)
        place[self.rows] = np.arange(len(self.rows))
        found = place[at]
        return found >= 0, found[found >= 0]

    def starts(self, place: Positions, seconds: Floats) -> Positions:
        """The first position of each transaction's history that is younger than so many seconds, shape (n, windows).

        A window of w seconds before the moment t is t - w < time < t.
        """
        begin, end, now = self.begin[place], self.end[place], self.time[place]
        cut = now[:, None] - seconds
        if len(place) <= ROWS_ONE_BY_ONE:
            pairs = zip(begin, end, cut, strict=True)
            found = [low + np.searchsorted(self.time[low:high], wanted, side="right") for low, high, wanted in pairs]
            return np.array(found, dtype=np.int64).reshape(len(place), len(seconds))
        low = np.repeat(begin[:, None], len(seconds), axis=1)
        high = np.repeat(end[:, None], len(seconds), axis=1)
        for _ in range(int(HISTORY_ROWS).bit_length() + 1):
            middle = (low + high) // 2
            older = (low < high) & (self.time[np.minimum(middle, len(self.time) - 1)] <= cut)
            low = np.where(older, middle + 1, low)
            high = np.where(older, high, middle)
        return low

    def history(self, place: Positions) -> Positions:
        """The first position of each transaction's history, which goes HISTORY_SECONDS back, shape (n,)."""
        return self.starts(place, np.array([HISTORY_SECONDS]))[:, 0]

    def known_fraud(self, position: Positions, at: Floats) -> NDArray[np.bool_]:
        """Whether these transactions are known to be fraud at these moments."""
        return known_fraud(self.fraud_known_at[position], self.cleared_at[position], at)

    def frauds_within(self, start: Positions, end: Positions, at: Floats) -> Span:
        """The transactions at start <= position < end of each row that are known to be fraud at its moment `at`."""
        numbers = span(np.searchsorted(self.frauds, start), np.searchsorted(self.frauds, end))
        frauds = Span(numbers.row, self.frauds[numbers.position], numbers.rows)
        return frauds.where(self.known_fraud(frauds.position, at[frauds.row]))


def party_logs(transactions: TransactionColumns) -> dict[str, PartyLog]:
    """The log as each kind of party sees it, by its name; only of those that any transaction has."""
    parties = {party: np.asarray(getattr(transactions, party)) for party in PARTIES}
    return {party: PartyLog.of(transactions, codes) for party, codes in parties.items() if codes.max(initial=-1) >= 0}
