"""Calibrators; golden values were computed once with scikit-learn 1.9.1."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.evaluation.calibration import (
    IsotonicCalibrator,
    Kind,
    PlattCalibrator,
    calibrator_from_dict,
    fit_calibrator,
)
from ml.evaluation.classification import brier_score, expected_calibration_error

CASE = np.arange(300)
SCORE = (CASE * 37 % 97 - 48.0) / 20
OUTCOME = (1 / (1 + np.exp(2 - 1.5 * SCORE)) > (CASE * 53 % 89) / 89).astype(np.int64)
PLACES = [-3.0, -1.0, -0.33, 0.0, 0.5, 1.0, 1.7, 3.0]

KINDS: tuple[Kind, ...] = ("platt", "isotonic")
cases = st.lists(st.tuples(st.integers(-20, 20), st.integers(0, 1)), min_size=2, max_size=40).filter(
    lambda pairs: len({outcome for _, outcome in pairs}) == 2
)


def test_platt_equals_that_of_scikit_learn() -> None:
    calibrator = fit_calibrator("platt", SCORE, OUTCOME)
    assert isinstance(calibrator, PlattCalibrator)
    assert (calibrator.slope, calibrator.intercept) == pytest.approx(
        (1.7710705388646772, -2.5525762789297404), rel=1e-5
    )


def test_isotonic_equals_that_of_scikit_learn() -> None:
    calibrator = fit_calibrator("isotonic", SCORE, OUTCOME)
    assert calibrator(PLACES) == pytest.approx(
        [
            0.006060606060606061,
            0.006060606060606061,
            0.006060606060606061,
            0.006060606060606061,
            0.2545454545454545,
            0.2545454545454545,
            0.5833333333333334,
            1.0,
        ]
    )


@pytest.mark.parametrize("kind", KINDS)
@given(pairs=cases)
def test_a_higher_score_never_means_less(kind: Kind, pairs: list[tuple[int, int]]) -> None:
    score, outcome = np.array(pairs).T
    calibrator = fit_calibrator(kind, score, outcome)
    found = calibrator(np.linspace(-25, 25, 101))
    assert (np.diff(found) >= 0).all()
    assert ((found >= 0) & (found <= 1)).all()


@given(pairs=cases)
def test_isotonic_beats_every_constant_and_keeps_the_mean(pairs: list[tuple[int, int]]) -> None:
    score, outcome = np.array(pairs).T
    found = fit_calibrator("isotonic", score, outcome)(score)
    assert found.mean() == pytest.approx(outcome.mean())
    assert brier_score(found, outcome) <= brier_score(np.full(len(score), outcome.mean()), outcome) + 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_become_true_on_new_cases(kind: Kind) -> None:
    generator = np.random.default_rng(1)
    score = generator.normal(size=40_000)
    outcome = (generator.random(len(score)) < 1 / (1 + np.exp(4 - 1.5 * score))).astype(np.int64)
    calibrator = fit_calibrator(kind, score[:20_000], outcome[:20_000])
    found = calibrator(score[20_000:])
    assert expected_calibration_error(found, outcome[20_000:], equal_counts=True) < 0.005


@pytest.mark.parametrize("kind", KINDS)
def test_a_calibrator_survives_json(kind: Kind) -> None:
    calibrator = fit_calibrator(kind, SCORE, OUTCOME)
    again = calibrator_from_dict(json.loads(json.dumps(calibrator.to_dict())))
    assert again == calibrator


def test_platt_of_scores_that_separate_the_outcomes_stays_finite() -> None:
    calibrator = fit_calibrator("platt", [0.0, 1.0, 2.0, 3.0], [0, 0, 1, 1])
    low, high = calibrator([0.0, 3.0])
    assert 0.0 < low < 0.5 < high < 1.0


def test_scores_in_the_wrong_order_give_the_share_of_positives() -> None:
    calibrator = fit_calibrator("platt", [3.0, 2.0, 1.0, 0.0], [0, 0, 1, 1])
    assert calibrator([0.0, 3.0]) == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize(
    ("scores", "outcomes", "words"),
    [
        ([1.0, 2.0], [1, 1], "both must occur"),
        ([1.0, 2.0], [0, 2], "must be 0 and 1"),
        ([1.0, float("nan")], [0, 1], "finite"),
        ([1.0], [0, 1], "one length"),
    ],
)
def test_what_cannot_be_fitted_is_refused(scores: list[float], outcomes: list[int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fit_calibrator("isotonic", scores, outcomes)


def test_a_stored_calibrator_that_falls_is_refused() -> None:
    with pytest.raises(ValueError, match="never fall"):
        calibrator_from_dict(IsotonicCalibrator((0.0, 1.0), (0.5, 0.4)).to_dict())
    with pytest.raises(ValueError, match="0 or more"):
        calibrator_from_dict(PlattCalibrator(-1.0, 0.0).to_dict())
