"""What features add to the log-odds of trees: equal to XGBoost's own TreeSHAP, an independent implementation."""

import numpy as np
import pytest
import xgboost
from numpy.typing import NDArray

from ml.explain.tree_parts import MOST_DEPTH, TreeParts

FEATURES = 6


def rows_of(seed: int, rows: int) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    table = random.normal(size=(rows, FEATURES)).round(1).astype(np.float32)
    table[random.random(table.shape) < 0.2] = np.nan
    return table


def trees_of(depth: int, rounds: int = 12, rows: int = 400) -> xgboost.Booster:
    table = rows_of(1, rows)
    known = np.nan_to_num(table)
    outcome = (known[:, 0] * known[:, 1] + known[:, 2] > np.isnan(table[:, 3])).astype(np.float32)
    settings = {"objective": "binary:logistic", "max_depth": depth, "eta": 0.3, "nthread": 1, "min_child_weight": 0.1}
    return xgboost.train(settings, xgboost.DMatrix(table, outcome, nthread=1), rounds)


def by_xgboost(trees: xgboost.Booster, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    parts: NDArray[np.float32] = trees.predict(xgboost.DMatrix(rows, nthread=1), pred_contribs=True)
    return parts


@pytest.mark.parametrize("depth", [1, 2, 4, MOST_DEPTH])
def test_parts_are_those_of_xgboost(depth: int) -> None:
    trees, rows = trees_of(depth), rows_of(2, 100)
    parts = TreeParts.of(trees)
    assert parts is not None
    np.testing.assert_allclose(parts(rows), by_xgboost(trees, rows), atol=1e-5)
    margin = trees.predict(xgboost.DMatrix(rows, nthread=1), output_margin=True)
    np.testing.assert_allclose(parts(rows).sum(axis=1), margin, atol=1e-5)


def test_a_row_has_the_same_parts_alone_and_in_a_batch() -> None:
    parts, rows = TreeParts.of(trees_of(4)), rows_of(3, 5)
    assert parts is not None
    np.testing.assert_array_equal(np.concatenate([parts(row[None]) for row in rows]), parts(rows))


def test_a_value_on_the_threshold_goes_right_as_in_xgboost() -> None:
    trees = trees_of(3)
    parts = TreeParts.of(trees)
    assert parts is not None
    rows = np.full((len(parts.threshold), FEATURES), np.nan, dtype=np.float32)
    rows[np.arange(len(rows)), parts.split] = parts.threshold
    np.testing.assert_allclose(parts(rows), by_xgboost(trees, rows), atol=1e-5)


def test_trees_that_are_a_single_leaf_add_nothing() -> None:
    trees = trees_of(2, rows=1)
    parts = TreeParts.of(trees)
    assert parts is not None
    found = parts(rows_of(4, 3))
    assert (found[:, :-1] == 0.0).all()
    np.testing.assert_allclose(found, by_xgboost(trees, rows_of(4, 3)), atol=1e-5)


def test_deep_trees_have_no_table() -> None:
    assert TreeParts.of(trees_of(MOST_DEPTH + 2, rows=4_000)) is None
