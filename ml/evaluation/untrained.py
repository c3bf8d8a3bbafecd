"""The untrained predictor: rules, session neighbours, repeats and popularity as four distributions over the items."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.evaluation.rules import Codes, Floats, SequentialRules, count_rules, popularity
from ml.evaluation.session_neighbors import NeighborSettings, SessionNeighbors

Indices = NDArray[np.int64]

RULES_FILE = "rules.safetensors"
NEIGHBORS_FILE = "neighbors.safetensors"


@dataclass(frozen=True)
class Untrained:
    """Counts that answer without a model. `window` is how many of the newest items speak in rules and repeats, with
    weight 1 / age; `neighbors` are there where they are wanted."""

    rules: SequentialRules
    popularity: Floats
    window: int
    neighbors: SessionNeighbors | None = None

    @property
    def reach(self) -> int:
        """How many of the newest items say anything."""
        return max(self.window, self.neighbors.settings.window if self.neighbors else 0)

    @property
    def items(self) -> int:
        return len(self.popularity)

    @property
    def nbytes(self) -> int:
        return self.rules.nbytes + self.popularity.nbytes + (self.neighbors.nbytes if self.neighbors else 0)

    def with_items(self, count: int) -> "Untrained":
        """The same counts with `count` more items that nobody has come upon."""
        offsets = np.pad(self.rules.offsets, (0, count), mode="edge")
        rules = SequentialRules(offsets, self.rules.successor, self.rules.weight)
        neighbors = self.neighbors.with_items(count) if self.neighbors else None
        return Untrained(rules, np.pad(self.popularity, (0, count)), self.window, neighbors)

    def components(self, recent: Codes) -> Floats:
        """The distributions of a Mixture after each case's newest items, newest first, but for the network's, which is
        left 0: (5, cases, items). recent (cases, reach) holds codes, padded with 0.
        """
        components = np.zeros((5, len(recent), self.items), dtype=np.float32)
        _, rules, neighbors, repeats, popular = components
        if self.neighbors is not None:
            self.neighbors.add_scores(recent, neighbors)
        recent = recent[:, : self.window]
        recency = recency_weights(recent)
        rules[:] = self.rules.scores(recent, recency)
        case, position = np.nonzero(recent)
        np.add.at(repeats, (case, recent[case, position] - 1), recency[case, position])
        popular[:] = self.popularity
        return components

    def save(self, folder: Path) -> None:
        """Write rules.safetensors, and neighbors.safetensors where there are neighbours."""
        from safetensors.numpy import save_file

        arrays: dict[str, NDArray] = {
            "rules.offsets": self.rules.offsets,
            "rules.successor": self.rules.successor,
            "rules.weight": self.rules.weight,
            "popularity": self.popularity,
            "window": np.array([self.window]),
        }
        save_file(arrays, folder / RULES_FILE)
        if self.neighbors is not None:
            self.neighbors.save(folder / NEIGHBORS_FILE)

    @classmethod
    def load(cls, folder: Path) -> "Untrained":
        """Raises FileNotFoundError where the rules are not there."""
        from safetensors.numpy import load_file

        arrays = load_file(folder / RULES_FILE)
        rules = SequentialRules(arrays["rules.offsets"], arrays["rules.successor"], arrays["rules.weight"])
        stored = folder / NEIGHBORS_FILE
        neighbors = SessionNeighbors.load(stored) if stored.exists() else None
        return cls(rules, arrays["popularity"], int(arrays["window"][0]), neighbors)


def count_untrained(
    item: NDArray,
    subject: Indices,
    time: NDArray[np.float64],
    *,
    items: int,
    gap: int,
    window: int,
    successors: int | None,
    neighbors: NeighborSettings | None = None,
) -> Untrained:
    """Count training events in (subject, time) order; events without an item (code 0) are passed over.

    With settings for them there are session neighbours too.
    """
    sessions = None
    if neighbors is not None:
        sessions = SessionNeighbors.fit(item, subject, time, items=items, settings=neighbors)
    with_item = item > 0
    codes = item[with_item].astype(np.int64)
    return Untrained(
        rules=count_rules(codes, subject[with_item], items=items, gap=gap, successors=successors),
        popularity=popularity(codes, items=items),
        window=window,
        neighbors=sessions,
    )


def recency_weights(recent: Codes) -> Floats:
    """1 / age of each recent item, newest first, scaled to sum to 1 over the items that are there; (cases, window)."""
    weight = (recent > 0) / np.arange(1, recent.shape[1] + 1)
    total = weight.sum(axis=1, keepdims=True)
    return np.divide(weight, total, out=np.zeros_like(weight), where=total > 0).astype(np.float32)


def recent_positions(item: Codes, window: int) -> Indices:
    """Positions of the newest `window` events that have an item, newest first, -1 where there are fewer.

    item (cases, events) holds codes, oldest first, padded with 0.
    """
    position = np.where(item > 0, np.arange(item.shape[1]), -1)
    newest = -np.sort(-position, axis=1)[:, :window]
    missing = window - newest.shape[1]
    return np.pad(newest, ((0, 0), (0, max(0, missing))), constant_values=-1)


def recent_items(item: Codes, window: int) -> Codes:
    """Codes of the newest items of each case, newest first, padded with 0: (cases, window)."""
    position = recent_positions(item, window)
    return np.where(position >= 0, np.take_along_axis(item, np.maximum(position, 0), axis=1), 0)
