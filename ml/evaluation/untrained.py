"""The untrained predictor: sequential rules, repeats and popularity as three distributions over the items."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.evaluation.rules import Codes, Floats, SequentialRules, count_rules, popularity

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Untrained:
    """Counts that answer without a model. `window` is how many of the newest items speak, with weight 1 / age."""

    rules: SequentialRules
    popularity: Floats
    window: int

    @property
    def items(self) -> int:
        return len(self.popularity)

    @property
    def nbytes(self) -> int:
        return self.rules.nbytes + self.popularity.nbytes

    def with_items(self, count: int) -> "Untrained":
        """The same counts with `count` more items that nobody has come upon."""
        offsets = np.pad(self.rules.offsets, (0, count), mode="edge")
        rules = SequentialRules(offsets, self.rules.successor, self.rules.weight)
        return Untrained(rules, np.pad(self.popularity, (0, count)), self.window)

    def components(self, recent: Codes) -> Floats:
        """Rules, repeats and popularity after each case's `recent` items (cases, window): (3, cases, items)."""
        recency = recency_weights(recent)
        components = np.zeros((3, len(recent), self.items), dtype=np.float32)
        components[0] = self.rules.scores(recent, recency)
        case, position = np.nonzero(recent)
        np.add.at(components[1], (case, recent[case, position] - 1), recency[case, position])
        components[2] = self.popularity
        return components

    def save(self, path: Path) -> None:
        from safetensors.numpy import save_file

        arrays: dict[str, NDArray] = {
            "rules.offsets": self.rules.offsets,
            "rules.successor": self.rules.successor,
            "rules.weight": self.rules.weight,
            "popularity": self.popularity,
            "window": np.array([self.window]),
        }
        save_file(arrays, path)

    @classmethod
    def load(cls, path: Path) -> "Untrained":
        from safetensors.numpy import load_file

        arrays = load_file(path)
        rules = SequentialRules(arrays["rules.offsets"], arrays["rules.successor"], arrays["rules.weight"])
        return cls(rules=rules, popularity=arrays["popularity"], window=int(arrays["window"][0]))


def count_untrained(
    item: NDArray, subject: Indices, *, items: int, gap: int, window: int, successors: int | None
) -> Untrained:
    """Count training events in (subject, time) order; events without an item (code 0) are passed over."""
    with_item = item > 0
    codes = item[with_item].astype(np.int64)
    return Untrained(
        rules=count_rules(codes, subject[with_item], items=items, gap=gap, successors=successors),
        popularity=popularity(codes, items=items),
        window=window,
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
