"""Metrics of probabilities: golden values were computed once with scikit-learn 1.9.1 from the same formulas below."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ml.evaluation.classification import (
    area_under_roc,
    average_precision,
    binary_metrics,
    brier_score,
    choice_metrics,
    expected_calibration_error,
    log_loss,
)

CASE = np.arange(300)
PROBABILITY = (CASE * 37 % 97 + 0.4) / 97
OUTCOME = ((CASE * 53 % 89) / 89 < PROBABILITY**2).astype(np.int64)


def test_metrics_equal_those_of_scikit_learn() -> None:
    metrics = binary_metrics(PROBABILITY, OUTCOME)
    assert metrics == pytest.approx(
        {
            "auc": 0.8641551332369346,
            "average_precision": 0.7762727159781139,
            "log_loss": 0.5244778804087533,
            "calibration_error": 0.1832302405498283,
        }
    )


def test_ties_are_scored_as_scikit_learn_scores_them() -> None:
    coarse = np.round(PROBABILITY, 1)
    assert area_under_roc(coarse, OUTCOME) == pytest.approx(0.8609533154306962)
    assert average_precision(coarse, OUTCOME) == pytest.approx(0.7366876706903736)


def test_choices_equal_those_of_scikit_learn() -> None:
    weight = np.stack([(CASE * a % b + 1.0) / b for a, b in ((37, 97), (53, 89), (11, 83))], axis=1)
    metrics = choice_metrics(weight / weight.sum(axis=1, keepdims=True), CASE * 7 % 3)
    assert metrics == pytest.approx({"accuracy": 0.31666666666666665, "log_loss": 1.3161565613838497})


cases = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 1)), min_size=2, max_size=40)


def arrays(pairs: list[tuple[int, int]]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    return np.array([score for score, _ in pairs]) / 8.0, np.array([outcome for _, outcome in pairs])


@given(cases)
def test_the_area_is_the_share_of_pairs_in_the_right_order(pairs: list[tuple[int, int]]) -> None:
    probability, outcome = arrays(pairs)
    positives, negatives = probability[outcome == 1], probability[outcome == 0]
    if not len(positives) or not len(negatives):
        with pytest.raises(ValueError, match="both outcomes"):
            area_under_roc(probability, outcome)
        return
    right = [1.0 if high > low else 0.5 * (high == low) for high, low in itertools.product(positives, negatives)]
    assert area_under_roc(probability, outcome) == pytest.approx(np.mean(right))


@given(cases)
def test_average_precision_is_the_sum_over_the_thresholds(pairs: list[tuple[int, int]]) -> None:
    probability, outcome = arrays(pairs)
    if not outcome.sum():
        with pytest.raises(ValueError, match="positive case"):
            average_precision(probability, outcome)
        return
    total = recall = 0.0
    for threshold in sorted(set(probability), reverse=True):
        found = outcome[probability >= threshold]
        total += (found.sum() / outcome.sum() - recall) * found.mean()
        recall = found.sum() / outcome.sum()
    assert average_precision(probability, outcome) == pytest.approx(total)


@given(cases)
def test_a_constant_that_is_the_share_of_positives_is_calibrated(pairs: list[tuple[int, int]]) -> None:
    _, outcome = arrays(pairs)
    constant = np.full(len(outcome), outcome.mean())
    assert expected_calibration_error(constant, outcome) == pytest.approx(0.0)
    assert log_loss(constant, outcome) <= log_loss(np.full(len(outcome), 0.5), outcome) + 1e-9


def test_certainty_that_is_wrong_costs_much_but_not_everything() -> None:
    assert 16 < log_loss(np.array([0.0, 1.0]), np.array([1, 0])) < 17


def test_where_one_outcome_alone_occurs_there_is_no_order_to_judge() -> None:
    assert set(binary_metrics(np.array([0.2, 0.4]), np.array([0, 0]))) == {"log_loss", "calibration_error"}


def test_the_brier_score_equals_that_of_scikit_learn() -> None:
    assert brier_score(PROBABILITY, OUTCOME) == pytest.approx(0.17534757501682785)


def test_bins_of_equal_counts_see_an_error_among_small_probabilities() -> None:
    rare = np.where(CASE % 2 == 0, 0.001, 0.02)
    outcome = (CASE % 40 == 0).astype(np.int64)
    # Even cases come true in 8 of 150 and odd ones never; over all of them the mean probability is right by chance.
    assert expected_calibration_error(rare, outcome) == pytest.approx(abs(rare.mean() - 8 / 300))
    by_half = (abs(0.001 - 8 / 150) + 0.02) / 2
    assert expected_calibration_error(rare, outcome, bins=2, equal_counts=True) == pytest.approx(by_half)
