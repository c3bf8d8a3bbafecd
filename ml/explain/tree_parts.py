"""What each feature adds to the log-odds of gradient-boosted trees, fast for a single row.

TreeSHAP (Lundberg et al., 2020, "From local explanations to global understanding", the path-dependent form) asks of
each leaf which conditions on its path the row meets. There are few such patterns in a shallow tree, so what each gives
is worked out when the trees are loaded, and a row only looks it up, as in Yang (2021, "Fast TreeSHAP", v2). Leaves that
differ in their last two conditions alone are looked up together.
"""

import json
from dataclasses import dataclass
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

# Patterns of leaves that are looked up together have a bit more, and fit a byte; the table has about 4 MB for 300
# trees of depth 5.
MOST_DEPTH = 6
# Levels of the subtrees whose leaves are looked up together.
TOGETHER = 2

Doubles = NDArray[np.float64]
# A condition of a path: (number of the node, whether the path goes left, feature, share of the cases that go this way).
Step = tuple[int, bool, int, float]
# From the root to a leaf: its conditions, and the leaf's value.
Path = tuple[list[Step], float]


@dataclass(frozen=True)
class TreeParts:
    """Nodes (N,) send a row left where its `split` feature is below `threshold`; a missing value goes by default.

    step (G, 8): which of the nodes' answers (2 N + 1: left, then right, then no) are the bits of each group's pattern.
    table (G * 2 ** bits, bits): what a group of leaves adds to each of its features (G, bits), by the pattern.
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
        if any(_height(tree, 0) > MOST_DEPTH for tree in told):
            return None
        is_inner = _joined(told, "left_children", np.int64) >= 0
        number = (np.cumsum(is_inner) - 1).tolist()
        groups: list[list[Path]] = []
        offset = 0
        for tree in told:
            groups += _groups(tree, 0, number[offset:], [])
            offset += len(tree["left_children"])
        features = trees.num_features()
        unknown = xgboost.DMatrix(np.full((1, features), np.nan, dtype=np.float32), nthread=1)
        nodes, ways = int(is_inner.sum()), [_ways(group) for group in groups]
        bits = max((len(each) for each in ways), default=0)
        answers = [[node if left else nodes + node for node, left in each.items()] for each in ways]
        return cls(
            split=_joined(told, "split_indices", np.int64)[is_inner],
            threshold=_joined(told, "split_conditions", np.float32)[is_inner],
            default_left=_joined(told, "default_left", np.bool_)[is_inner],
            step=_padded(answers, 8, 2 * nodes),
            feature=_padded([_features_of(group) for group in groups], bits, features),
            table=_table(groups, ways, bits).astype(np.float32),
            bias=float(trees.predict(unknown, pred_contribs=True, validate_features=False)[0, -1]),
            features=features,
        )

    def __call__(self, rows: NDArray[np.float32]) -> Doubles:
        """rows (B, F) to parts (B, F + 1), the last of them the bias; each row sums to the trees' log-odds."""
        return np.array([self._parts(row) for row in rows]).reshape(len(rows), self.features + 1)

    def _parts(self, row: NDArray[np.float32]) -> Doubles:
        value = row[self.split]
        left = (value < self.threshold) | (np.isnan(value) & self.default_left)
        answers = np.concatenate([left, ~left, [False]])
        pattern = np.packbits(answers.take(self.step), axis=1, bitorder="little")[:, 0]
        first = np.arange(len(pattern)) * 2 ** self.feature.shape[1]
        # `take` copies whole rows, which indexing by numbers does value by value.
        added = self.table.take(first + pattern, axis=0)
        sums = np.bincount(self.feature.ravel(), weights=added.ravel(), minlength=self.features + 1)
        parts = sums.astype(np.float64, copy=False)
        parts[-1] = self.bias
        return parts


def _height(tree: dict[str, Any], node: int) -> int:
    left, right = tree["left_children"][node], tree["right_children"][node]
    return 0 if left < 0 else 1 + max(_height(tree, left), _height(tree, right))


def _groups(tree: dict[str, Any], node: int, number: list[int], above: list[Step]) -> list[list[Path]]:
    """The paths to the leaves below the node, those to the leaves of one small subtree together. `number` has that of
    each of the tree's nodes."""
    left, right = tree["left_children"][node], tree["right_children"][node]
    if left < 0:
        return [[(above, tree["split_conditions"][node])]]
    cover = tree["sum_hessian"]
    found = [
        group
        for child, goes_left in ((left, True), (right, False))
        for group in _groups(
            tree,
            child,
            number,
            [*above, (number[node], goes_left, tree["split_indices"][node], cover[child] / cover[node])],
        )
    ]
    return found if _height(tree, node) > TOGETHER else [[path for group in found for path in group]]


def _ways(group: list[Path]) -> dict[int, bool]:
    """The nodes on the way to a group of leaves, each with the answer whose bit counts."""
    ways: dict[int, bool] = {}
    for steps, _ in group:
        for node, left, *_ in steps:
            ways.setdefault(node, left)
    return ways


def _features_of(group: list[Path]) -> list[int]:
    return _distinct([step for steps, _ in group for step in steps])


def _distinct(steps: list[Step]) -> list[int]:
    return list(dict.fromkeys(feature for _, _, feature, _ in steps))


def _table(groups: list[list[Path]], ways: list[dict[int, bool]], bits: int) -> Doubles:
    """What each group adds to each of its distinct features, (G * 2 ** bits, bits), by the pattern whose bit k says
    that the row gives the answer k of the group's `ways`."""
    found = np.zeros((len(groups), 2**bits, bits))
    paths = iter(_path_tables([path for group in groups for path in group]))
    pattern = np.arange(2**bits)
    for table, group, answers in zip(found, groups, ways, strict=True):
        place, features = list(answers), _features_of(group)
        for steps, _ in group:
            met = np.zeros(len(pattern), dtype=np.int64)
            for number, (node, left, *_) in enumerate(steps):
                met |= ((pattern >> place.index(node) & 1) ^ (left != answers[node])) << number
            own = _distinct(steps)
            table[:, [features.index(feature) for feature in own]] += next(paths)[met, : len(own)]
    return found.reshape(len(groups) * 2**bits, bits)


def _path_tables(paths: list[Path]) -> Doubles:
    """What each path adds to each of its distinct features, (P, 2 ** depth, depth), by the pattern whose bit k says
    that the row meets step k. Paths on which the same steps share a feature are worked out together."""
    depth = max(len(steps) for steps, _ in paths)
    found = np.zeros((len(paths), 2**depth, depth))
    alike: dict[tuple[int, ...], list[int]] = {}
    for number, (steps, _) in enumerate(paths):
        players = _distinct(steps)
        alike.setdefault(tuple(players.index(feature) for _, _, feature, _ in steps), []).append(number)
    for owners, numbers in alike.items():
        shares = np.array([[share for *_, share in paths[number][0]] for number in numbers])
        values = np.array([paths[number][1] for number in numbers])
        found[numbers, :, : len(set(owners))] = _patterns(owners, shares, depth) * values[:, None, None]
    return found


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
