"""A transaction log as its parties see it: whose transactions came before which, and in which window."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ml.data.transactions import PARTIES, TransactionColumns, known_fraud

CUSTOMER = PARTIES.index("customer")
HOUR, DAY = 3_600.0, 86_400.0
# How far back, and over how many transactions, anything is known of a party.
HISTORY_SECONDS = 38 * DAY
HISTORY_ROWS = 2_000
# Above so few rows one search for all is faster than one for each.
ROWS_ONE_BY_ONE = 32
# A log of so few rows is seen by all kinds of parties at once: a request pays for each call of numpy, not for rows.
ROWS_TOGETHER = 20_000

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
    """Transactions once for each of their parties, sorted by (kind of party, party, time).

    kind: which of PARTIES the party is. rows: their numbers in the log. group: the same number for those of one party.
    other: the party on the other side, -1 where there is none. begin: where each one's history begins at the earliest,
    however long ago that was, and end: where it ends, exclusive, which is before all of the same moment.
    """

    kind: Positions
    rows: Positions
    group: Positions
    other: Positions
    time: Floats
    amount: Floats
    fraud_known_at: Floats
    cleared_at: Floats
    begin: Positions
    end: Positions

    @classmethod
    def of(cls, transactions: TransactionColumns, parties: Sequence[str]) -> "PartyLog":
        """The log as these kinds of parties see it."""
        codes = np.stack([getattr(transactions, party) for party in parties])
        number, row = np.nonzero(codes >= 0)
        kind, owner = np.array([PARTIES.index(party) for party in parties])[number], codes[number, row]
        # The amount breaks ties, so that sums do not depend on the order of the log.
        order = np.lexsort((transactions.amount[row], transactions.time[row], owner, kind))
        kind, owner, row = kind[order], owner[order], row[order]
        time = transactions.time[row]
        place = np.arange(len(order))
        new_owner, later = np.ones(len(order), dtype=bool), np.ones(len(order), dtype=bool)
        new_owner[1:] = (owner[1:] != owner[:-1]) | (kind[1:] != kind[:-1])
        np.greater(time[1:], time[:-1], out=later[1:])
        end = np.maximum.accumulate(np.where(new_owner | later, place, 0))
        oldest = np.maximum.accumulate(np.where(new_owner, place, 0))
        return cls(
            kind=kind,
            rows=row,
            group=oldest,
            other=np.where(kind == CUSTOMER, transactions.counterparty[row], transactions.customer[row]),
            time=time,
            amount=transactions.amount[row],
            fraud_known_at=transactions.fraud_known_at[row],
            cleared_at=transactions.cleared_at[row],
            begin=np.maximum(oldest, end - HISTORY_ROWS),
            end=end,
        )

    @cached_property
    def earlier_with_same(self) -> Positions:
        """For each position the one before it with the same two parties, -1 where there is none."""
        order = np.lexsort((self.other, self.group))
        group, met = self.group[order], self.other[order]
        same = (group[1:] == group[:-1]) & (met[1:] == met[:-1])
        earlier = np.full(len(order), -1, dtype=np.int64)
        earlier[order[1:][same]] = order[:-1][same]
        return earlier

    def places(self, at: Positions, transactions: int) -> tuple[Positions, Positions, Positions]:
        """Which of `at`, numbers of rows of the log, has which of PARTIES, and the positions of these, by kind."""
        place = np.full((len(PARTIES), transactions), -1, dtype=np.int64)
        place[self.kind, self.rows] = np.arange(len(self.rows))
        found = place[:, at]
        kind, number = np.nonzero(found >= 0)
        return number, kind, found[kind, number]

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


def party_logs(transactions: TransactionColumns) -> list[PartyLog]:
    """The log as all its parties see it: in one, or of a large log in one for each kind, which takes less memory."""
    if len(transactions) <= ROWS_TOGETHER:
        return [PartyLog.of(transactions, PARTIES)]
    return [PartyLog.of(transactions, [party]) for party in PARTIES]
