"""How near a target is to a subject's history, by vectors of what stands together in histories."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

SIGNALS = ("affinity_mean", "affinity_sum", "affinity_nearest", "affinity_newest", "has_history")
ROWS_AT_ONCE = 8_192


@dataclass(frozen=True)
class Affinity:
    """vectors (codes, D) of length 1, or 0 for a code of which nothing is known; see `ml.data.cooccurrence`."""

    vectors: Floats

    def signals(self, history: NDArray[np.int32], target: NDArray[np.int32]) -> dict[str, Doubles]:
        """Of codes history (n, L), the oldest first, 0 for padding, and target (n,): the cosines' mean, their sum by
        the root of the events' number, the highest and the newest, and whether there are events; each (n,)."""
        # A column of padding, so that there is one.
        history = np.pad(history, ((0, 0), (1, 0)))
        parts = [
            self._some(history[begin : begin + ROWS_AT_ONCE], target[begin : begin + ROWS_AT_ONCE])
            for begin in range(0, len(target), ROWS_AT_ONCE)
        ]
        table = np.concatenate(parts) if parts else np.zeros((0, len(SIGNALS)))
        return dict(zip(SIGNALS, table.T, strict=True))

    def _some(self, history: NDArray[np.int32], target: NDArray[np.int32]) -> Doubles:
        is_event = history > 0
        count = is_event.sum(axis=1)
        cosine = np.einsum("nld,nd->nl", self.vectors[history], self.vectors[target]).astype(np.float64)
        total, events = cosine.sum(axis=1), np.maximum(count, 1)
        nearest = np.where(is_event, cosine, -1.0).max(axis=1)
        newest = (is_event * np.arange(history.shape[1])).argmax(axis=1)
        return np.stack(
            [
                total / events,
                total / np.sqrt(events),
                np.where(count > 0, nearest, 0.0),
                cosine[np.arange(len(cosine)), newest],
                (count > 0).astype(np.float64),
            ],
            axis=1,
        )
