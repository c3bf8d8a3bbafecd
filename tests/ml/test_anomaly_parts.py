"""The parts of the anomaly score: tails and the isolation forest."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from ml.data.tails import KNOTS, Tails
from ml.serving.isolation_forest import IsolationTrees


@given(st.lists(st.integers(0, 20), min_size=1, max_size=60), st.lists(st.integers(-5, 25), min_size=1, max_size=10))
def test_a_surprise_is_the_share_that_is_at_least_as_high(training: list[int], asked: list[int]) -> None:
    tails = Tails.of(np.array(training, dtype=np.float64)[:, None])
    # Between two values of the training the surprise lies between theirs, so only these are asked.
    values = [value for value in asked if value in training or value < min(training) or value > max(training)]
    share = [(sum(other >= value for other in training) + 1) / (len(training) + 1) for value in values]
    found = tails(np.array(values, dtype=np.float64).reshape(-1, 1))[:, 0]
    assert found == pytest.approx(-np.log(share), abs=1e-5)


def test_many_values_keep_a_fine_tail() -> None:
    values = np.arange(100_000, dtype=np.float64)
    tails = Tails.of(values[:, None])
    assert tails.values.shape == (1, KNOTS)
    asked = np.array([[50_000.0], [99_000.0], [99_990.0], [99_999.0]])
    exact = np.log(100_001 / (100_001 - asked[:, 0]))
    assert tails(asked)[:, 0] == pytest.approx(exact, rel=0.02)


def test_a_missing_value_does_not_surprise_and_a_missing_feature_never_does() -> None:
    tails = Tails.of(np.array([[1.0, np.nan], [2.0, np.nan], [np.nan, np.nan]]))
    found = tails(np.array([[np.nan, np.nan], [1.0, np.nan]]))
    assert (found == 0).all()


def test_tails_survive_being_stored() -> None:
    table = np.random.default_rng(0).exponential(size=(500, 3))
    tails = Tails.of(table)
    assert (Tails.from_arrays(tails.to_arrays())(table * 2) == tails(table * 2)).all()


@pytest.fixture(scope="module")
def rows() -> NDArray[np.float64]:
    generator = np.random.default_rng(0)
    table = generator.normal(size=(3_000, 5))
    table[:, 4] = np.round(table[:, 4])
    return table


@pytest.mark.parametrize("sample", [2, 64, 256, 3_000])
def test_the_trees_score_as_scikit_learn_does(rows: NDArray[np.float64], sample: int) -> None:
    forest = IsolationForest(n_estimators=40, max_samples=sample, random_state=1).fit(rows)
    trees = IsolationTrees.from_arrays(IsolationTrees.of(forest).to_arrays())
    asked = np.concatenate([rows, rows * 5])
    assert trees(asked) == pytest.approx(-forest.score_samples(asked), abs=1e-6)


def test_what_lies_far_out_is_the_more_unusual(rows: NDArray[np.float64]) -> None:
    trees = IsolationTrees.of(IsolationForest(n_estimators=50, random_state=0).fit(rows))
    near, far = trees(np.array([[0.0] * 5, [6.0] * 5]))
    assert near < 0.5 < far


def test_arrays_that_are_no_trees_are_refused(rows: NDArray[np.float64]) -> None:
    arrays = IsolationTrees.of(IsolationForest(n_estimators=3, random_state=0).fit(rows)).to_arrays()
    arrays["forest.left"][0, 0] = 0
    with pytest.raises(ValueError, match="do not form trees"):
        IsolationTrees.from_arrays(arrays)
