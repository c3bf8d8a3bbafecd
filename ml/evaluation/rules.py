"""Predictors that need no training: popularity, repeats and sequential rules. numpy only.

Every function that scores takes the recent items of each case, newest first, as codes in 1..items with 0 as padding,
and returns a distribution over the items (or zeros where a case gives it nothing to go by), shape (cases, items);
column j belongs to item code j + 1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Codes = NDArray[np.int64]

# Pairs are folded into counts once this many have gathered, which bounds the memory of counting.
PAIRS_IN_MEMORY = 20_000_000


@dataclass(frozen=True)
class SequentialRules:
    """Item i was followed by item j within `gap` events, counted 1 / distance each (Ludewig and Jannach, 2018).

    Row i of the sparse matrix holds offsets[i] to offsets[i + 1] of `successor` (0-based items) and `weight`.
    With `normalised` a row sums to 1, so that it reads as a probability; otherwise weights are raw counts.
    """

    offsets: NDArray[np.int64]
    successor: NDArray[np.int32]
    weight: Floats

    @property
    def items(self) -> int:
        return len(self.offsets) - 1

    @property
    def nbytes(self) -> int:
        return self.offsets.nbytes + self.successor.nbytes + self.weight.nbytes

    def row(self, code: int) -> tuple[NDArray[np.int32], Floats]:
        """Successors (0-based) of an item code, heaviest first, and their weights."""
        begin, end = self.offsets[code - 1], self.offsets[code]
        return self.successor[begin:end], self.weight[begin:end]

    def scores(self, recent: Codes, recency: Floats) -> Floats:
        """Sum over the recent items of recency times their row; recent and recency are (cases, window)."""
        case, position = np.nonzero(recent)
        begin = self.offsets[recent[case, position] - 1]
        length = self.offsets[recent[case, position]] - begin
        entry = np.repeat(begin - np.concatenate([[0], np.cumsum(length)[:-1]]), length) + np.arange(length.sum())
        cell = np.repeat(case * self.items, length) + self.successor[entry]
        weight = np.repeat(recency[case, position], length) * self.weight[entry]
        dense = np.bincount(cell, weights=weight, minlength=len(recent) * self.items)
        return dense.reshape(len(recent), self.items).astype(np.float32)


def count_rules(
    item: Codes,
    subject: NDArray[np.int64],
    *,
    items: int,
    gap: int = 10,
    successors: int | None = None,
    normalised: bool = True,
) -> SequentialRules:
    """Count rules over item codes in (subject, time) order; `successors` keeps only each item's heaviest rules."""
    keys, weights = np.zeros(0, dtype=np.int64), np.zeros(0)
    pending_keys: list[NDArray[np.int64]] = []
    pending_weights: list[NDArray[np.float64]] = []
    pending = 0
    for distance in range(1, gap + 1):
        same = subject[distance:] == subject[:-distance]
        pair = (item[:-distance][same] - 1) * items + (item[distance:][same] - 1)
        pending_keys.append(pair)
        pending_weights.append(np.full(len(pair), 1.0 / distance))
        pending += len(pair)
        if pending > PAIRS_IN_MEMORY or distance == gap:
            keys, weights = _fold([keys, *pending_keys], [weights, *pending_weights])
            pending_keys, pending_weights, pending = [], [], 0
    source, successor = np.divmod(keys, items)
    order = np.lexsort((successor, -weights, source))
    source, successor, weights = source[order], successor[order], weights[order]
    if successors is not None:
        position = np.arange(len(source)) - np.searchsorted(source, source)
        kept = position < successors
        source, successor, weights = source[kept], successor[kept], weights[kept]
    if normalised:
        totals = np.bincount(source, weights=weights, minlength=items)
        weights = weights / totals[source]
    return SequentialRules(
        offsets=np.concatenate([[0], np.cumsum(np.bincount(source, minlength=items))]),
        successor=successor.astype(np.int32),
        weight=weights.astype(np.float32),
    )


def _fold(keys: list[NDArray[np.int64]], weights: list[NDArray[np.float64]]) -> tuple[NDArray, NDArray]:
    unique, inverse = np.unique(np.concatenate(keys), return_inverse=True)
    return unique, np.bincount(inverse, weights=np.concatenate(weights), minlength=len(unique))


def popularity(item: Codes, *, items: int) -> Floats:
    """The share of each item among the events, shape (items,); uniform where there are no events."""
    counts = np.bincount(item, minlength=items + 1)[1:].astype(np.float64)
    if not counts.sum():
        counts += 1.0
    return (counts / counts.sum()).astype(np.float32)
