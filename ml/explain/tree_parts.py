"""What each feature adds to the log-odds of gradient-boosted trees, fast for a single row.

TreeSHAP (Lundberg et al., 2020, "From local explanations to global understanding", the path-dependent form) asks of
each leaf which conditions on its path the row meets. There are few such patterns in a shallow tree, so what each gives
is worked out when the trees are loaded, and a row only looks it up, as in Yang (2021, "Fast TreeSHAP", v2).
"""

import json
from dataclasses import dataclass
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

# The table has 2 ** depth patterns for each leaf: about 10 MB for 300 trees of depth 5.
MOST_DEPTH = 6

Doubles = NDArray[np.float64]
# A condition of a path: (number of the node, whether the path goes left, feature, share of the cases that go this way).
Step = tuple[int, bool, int, float]


@dataclass(frozen=True)
class TreeParts:
    """Nodes (N,) send a row left where its `split` feature is below `threshold`; a missing value goes by default.

    step (P, depth): which of the nodes' answers (2 N,: left, then right) each condition of a path needs.
    table (P * 2 ** depth, depth): what a path adds to each of its features (P, depth), by the pattern of what holds.
    bias: what the trees start from. features: how many there are.
    """

    split: NDArray[np.int64]
    threshold: NDArray[np.float32]
    default_left: NDArray[np.bool_]
    step: NDArray[np.int64]
    feature: NDArray[np.int64]
    table: NDArray[np.float32]
    bias: float
    features: int

    @classmethod
    def of(cls, trees: xgboost.Booster) -> "TreeParts | None":
        """None where the trees are too deep for a table."""
        told = json.loads(bytes(trees.save_raw("json")))["learner"]["gradient_booster"]["model"]["trees"]
        offsets = np.cumsum([0] + [len(tree["split_indices"]) for tree in told]).tolist()
        paths: list[Any] = []
        for tree, offset in zip(told, offsets[:-1], strict=True):
            paths += _paths(tree, 0, offset, [], MOST_DEPTH)
        if any(path is None for path in paths):
            return None
        features = trees.num_features()
        unknown = xgboost.DMatrix(np.full((1, features), np.nan, dtype=np.float32), nthread=1)
        steps = [steps for steps, _ in paths]
        depth = max((len(each) for each in steps), default=0)
        nodes = offsets[-1]
        answers = [[node if left else nodes + node for node, left, *_ in each] for each in steps]
        return cls(
            split=_joined(told, "split_indices", np.int64),
            threshold=_joined(told, "split_conditions", np.float32),
            default_left=_joined(told, "default_left", np.bool_),
            # A path that is shorter holds what it does not ask to be met: the answer with the number 2 N.
            step=_padded(answers, depth, 2 * nodes),
            feature=_padded([_distinct(each) for each in steps], depth, features),
            table=_table(paths, depth).astype(np.float32),
            bias=float(trees.predict(unknown, pred_contribs=True, validate_features=False)[0, -1]),
            features=features,
        )

    def __call__(self, rows: NDArray[np.float32]) -> Doubles:
        """rows (B, F) to parts (B, F + 1), the last of them the bias; each row sums to the trees' log-odds."""
        return np.array([self._parts(row) for row in rows]).reshape(len(rows), self.features + 1)

    def _parts(self, row: NDArray[np.float32]) -> Doubles:
        value = row[self.split]
        left = np.where(np.isnan(value), self.default_left, value < self.threshold)
        answers = np.concatenate([left, ~left, [True]]).astype(np.float32)
        depth = self.step.shape[1]
        pattern = (answers[self.step] @ (2 ** np.arange(depth, dtype=np.float32))).astype(np.int64)
        # `take` copies whole rows, which indexing by numbers does value by value.
        added = self.table.take(pattern + np.arange(len(pattern)) * 2**depth, axis=0)
        sums = np.bincount(self.feature.ravel(), weights=added.ravel(), minlength=self.features + 1)
        parts = sums.astype(np.float64, copy=False)
        parts[-1] = self.bias
        return parts


def _paths(tree: dict[str, Any], node: int, offset: int, above: list[Step], depth: int) -> list[Any]:
    """(steps, value) of each leaf below the node; None in place of what lies too deep."""
    below = tree["left_children"][node], tree["right_children"][node]
    if below[0] < 0:
        return [(above, tree["split_conditions"][node])]
    if depth == 0:
        return [None]
    cover = tree["sum_hessian"]
    return [
        path
        for child, left in zip(below, (True, False), strict=True)
        for path in _paths(
            tree,
            child,
            offset,
            [*above, (node + offset, left, tree["split_indices"][node], cover[child] / cover[node])],
            depth - 1,
        )
    ]


def _distinct(steps: list[Step]) -> list[int]:
    return list(dict.fromkeys(feature for _, _, feature, _ in steps))


def _table(paths: list[tuple[list[Step], float]], depth: int) -> Doubles:
    """What each path adds to each of its distinct features, (P * 2 ** depth, depth), by the pattern whose bit k says
    that the row meets step k. Paths on which the same steps share a feature are worked out together."""
    found = np.zeros((len(paths), 2**depth, depth))
    alike: dict[tuple[int, ...], list[int]] = {}
    for number, (steps, _) in enumerate(paths):
        players = _distinct(steps)
        alike.setdefault(tuple(players.index(feature) for _, _, feature, _ in steps), []).append(number)
    for owners, numbers in alike.items():
        shares = np.array([[share for *_, share in paths[number][0]] for number in numbers])
        values = np.array([paths[number][1] for number in numbers])
        found[numbers, :, : len(set(owners))] = _patterns(owners, shares, depth) * values[:, None, None]
    return found.reshape(len(paths) * 2**depth, depth)


def _patterns(owners: tuple[int, ...], shares: Doubles, depth: int) -> Doubles:
    """Shapley values of the players of paths of value 1, (paths, 2 ** depth, players); `owners` has the player of each
    step, shares (paths, steps) the share of the cases that pass it."""
    players = range(len(set(owners)))
    bits = (np.arange(2**depth)[:, None] >> np.arange(depth)) & 1
    mine = [[step for step, owner in enumerate(owners) if owner == player] for player in players]
    met = np.stack([bits[:, steps].prod(axis=1) for steps in mine], axis=1) if mine else np.zeros((2**depth, 0))
    share = np.stack([shares[:, steps].prod(axis=1) for steps in mine], axis=1) if mine else np.zeros((len(shares), 0))
    found = np.zeros((len(shares), 2**depth, len(players)))
    for player in players:
        others = [other for other in players if other != player]
        for known in (each for size in range(len(players)) for each in combinations(others, size)):
            unknown = [other for other in others if other not in known]
            weight = factorial(len(known)) * factorial(len(unknown)) / factorial(len(players))
            found[:, :, player] += weight * share[:, unknown].prod(axis=1)[:, None] * met[:, known].prod(axis=1)
        found[:, :, player] *= met[:, player] - share[:, [player]]
    return found


def _joined(trees: list[dict[str, Any]], name: str, dtype: Any) -> NDArray[Any]:
    return np.array([each for tree in trees for each in tree[name]], dtype=dtype)


def _padded(rows: list[list[int]], width: int, filling: int) -> NDArray[np.int64]:
    return np.array([row + [filling] * (width - len(row)) for row in rows], dtype=np.int64).reshape(len(rows), width)
