"""The threshold from which answers go out by themselves: bounds against scipy, coverage on simulated labels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from ml.policy.risk_coverage import (
    TooFewLabels,
    choose_send_threshold,
    error_bound,
    least_labels,
    risk_coverage_curve,
)


@pytest.mark.parametrize(("errors", "answers"), [(0, 59), (0, 10), (1, 100), (5, 100), (50, 100), (3, 2000)])
def test_the_bound_is_clopper_and_pearsons(errors: int, answers: int) -> None:
    assert error_bound(errors, answers) == pytest.approx(beta.ppf(0.95, errors + 1, answers - errors), abs=1e-9)


def test_all_wrong_has_the_bound_one() -> None:
    assert error_bound(5, 5) == 1.0


def test_fifty_nine_right_answers_are_enough_for_five_in_a_hundred() -> None:
    assert least_labels(0.05) == 59
    assert error_bound(0, 59) <= 0.05 < error_bound(0, 58)


def test_a_curve_by_hand() -> None:
    curve = risk_coverage_curve([0.9, 0.8, 0.8, 0.1], [True, False, True, False])

    assert [(point.threshold, point.coverage, point.errors, point.risk) for point in curve] == [
        (0.9, 0.25, 0, 0.0),
        (0.8, 0.75, 1, 1 / 3),
        (0.1, 1.0, 2, 0.5),
    ]


def test_too_few_labels_are_refused_with_how_many_it_takes() -> None:
    with pytest.raises(TooFewLabels, match="58 answers are labelled, 59 right ones are needed"):
        choose_send_threshold(np.ones(58), np.ones(58, dtype=bool), error_rate=0.05)


def test_no_threshold_is_given_where_the_surest_answers_are_wrong_too_often() -> None:
    chosen, curve = choose_send_threshold(np.linspace(0, 1, 400), np.arange(400) % 5 > 0, error_rate=0.05)

    assert chosen is None
    assert curve[-1].risk == pytest.approx(0.2)


def test_the_chosen_threshold_keeps_the_rate_on_answers_that_were_not_seen() -> None:
    random = np.random.default_rng(7)
    kept, shares = [], []
    for _ in range(100):
        scores = random.uniform(size=2000)
        right = random.uniform(size=2000) < 0.5 + 0.5 * scores
        chosen, _ = choose_send_threshold(scores, right, error_rate=0.1)
        # The true rate above t is the mean of 0.5 - 0.5 s, which is (1 - t) / 4; where none is given nothing goes out.
        kept.append(chosen is None or (1 - chosen.threshold) / 4 <= 0.1)
        shares.append(chosen.coverage if chosen else 0.0)
    assert np.mean(kept) >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 100)
    # The best that could be known is to send four in ten.
    assert np.mean(shares) > 0.25


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=200),
)
def test_a_lower_threshold_never_covers_less(labels: list[tuple[float, bool]]) -> None:
    curve = risk_coverage_curve([score for score, _ in labels], [right for _, right in labels])

    assert [point.threshold for point in curve] == sorted((point.threshold for point in curve), reverse=True)
    assert [point.coverage for point in curve] == sorted(point.coverage for point in curve)
    assert curve[-1].coverage == 1.0
    assert all(point.risk <= point.risk_bound <= 1 for point in curve)
