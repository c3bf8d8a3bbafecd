"""An isolation forest (Liu et al., 2008) as plain arrays, scored by numpy: no pickle, no scikit-learn to serve it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sklearn.ensemble import IsolationForest

# Rows walked down the trees at once: bounds the memory.
ROWS_AT_ONCE = 16_384
LEAF = -1


@dataclass(frozen=True)
class IsolationTrees:
    """Arrays of shape (trees, nodes), padded. Node 0 is the root; a row goes to `left` where its `feature` is at most
    `threshold`. feature is LEAF in a leaf, whose `depth` is the path's length with what its rows would still need.

    usual: the mean path length of a search in as many rows as each tree was grown on.
    """

    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    depth: NDArray[np.float32]
    usual: float

    @classmethod
    def of(cls, forest: "IsolationForest") -> "IsolationTrees":
        """The same trees as a fitted forest of scikit-learn that reads all features in each tree."""
        trees = [estimator.tree_ for estimator in forest.estimators_]
        shape = (len(trees), max(tree.node_count for tree in trees))
        feature, left, right = (np.full(shape, LEAF, dtype=np.int32) for _ in range(3))
        threshold, depth = np.zeros(shape), np.zeros(shape, dtype=np.float32)
        for place, tree in enumerate(trees):
            nodes = slice(tree.node_count)
            inner = tree.children_left >= 0
            feature[place, nodes] = np.where(inner, tree.feature, LEAF)
            threshold[place, nodes] = tree.threshold
            left[place, nodes], right[place, nodes] = tree.children_left, tree.children_right
            depth[place, nodes] = _depths(tree.children_left, tree.children_right) + mean_path(tree.n_node_samples)
        return cls(feature, threshold, left, right, depth, float(mean_path(np.array([forest.max_samples_]))[0]))

    def __call__(self, table: NDArray[np.floating]) -> NDArray[np.float64]:
        """Anomaly (n,) of rows (n, features) without NaN, between 0 and 1; 0.5 is usual (section 2 of the paper)."""
        rows = np.asarray(table, dtype=np.float32)
        parts = [self._paths(rows[begin : begin + ROWS_AT_ONCE]) for begin in range(0, len(rows), ROWS_AT_ONCE)]
        paths = np.concatenate(parts) if parts else np.zeros(0)
        found: NDArray[np.float64] = 2.0 ** (-paths / self.usual)
        return found

    def _paths(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        tree = np.arange(len(self.feature))
        node = np.zeros((len(rows), len(tree)), dtype=np.int32)
        each = np.arange(len(rows))[:, None]
        while True:
            feature = self.feature[tree, node]
            inner = feature != LEAF
            if not inner.any():
                break
            goes_left = rows[each, np.maximum(feature, 0)] <= self.threshold[tree, node]
            node = np.where(inner, np.where(goes_left, self.left[tree, node], self.right[tree, node]), node)
        paths: NDArray[np.float64] = self.depth[tree, node].mean(axis=1, dtype=np.float64)
        return paths

    def to_arrays(self) -> dict[str, NDArray]:
        return {
            "forest.feature": self.feature,
            "forest.threshold": self.threshold,
            "forest.left": self.left,
            "forest.right": self.right,
            "forest.depth": self.depth,
            "forest.usual": np.array([self.usual]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray]) -> "IsolationTrees":
        """What `to_arrays` gave. Raises ValueError where a path could run in a circle or out of the arrays."""
        found = cls(
            feature=arrays["forest.feature"],
            threshold=arrays["forest.threshold"],
            left=arrays["forest.left"],
            right=arrays["forest.right"],
            depth=arrays["forest.depth"],
            usual=float(arrays["forest.usual"][0]),
        )
        inner = found.feature != LEAF
        place = np.broadcast_to(np.arange(found.feature.shape[1]), found.feature.shape)
        for child in (found.left, found.right):
            if not ((child > place) & (child < found.feature.shape[1]))[inner].all():
                raise ValueError("the isolation forest's nodes do not form trees")
        return found


def mean_path(rows: NDArray[np.integer]) -> NDArray[np.float64]:
    """The mean length of an unsuccessful search in a binary tree of so many rows: c(n) of the paper's equation 1."""
    count = np.asarray(rows, dtype=np.float64)
    many = np.maximum(count, 3.0) - 1.0
    harmonic = np.log(many) + np.euler_gamma
    return np.where(count > 2, 2.0 * harmonic - 2.0 * many / np.maximum(count, 3.0), np.where(count == 2, 1.0, 0.0))


def _depths(left: NDArray[np.integer], right: NDArray[np.integer]) -> NDArray[np.int64]:
    """Edges from the root to each node; children come after their parent."""
    depths = np.zeros(len(left), dtype=np.int64)
    for node in np.flatnonzero(left >= 0):
        depths[[left[node], right[node]]] = depths[node] + 1
    return depths
