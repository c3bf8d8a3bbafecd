"""Thresholds of a risk desk: the least expected cost within its capacity."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ml.policy.thresholds import NEVER, Costs, choose_thresholds, expect, expected_costs, threshold_curve

COSTS = Costs(fraud_share=1.0, review=5.0, wrong_decline=20.0, review_catch_share=0.9)
# Probability in tenths, amount, and whether somebody asks for a review, or says that it is genuine.
Row = tuple[int, int, bool, bool]
samples = st.lists(
    st.tuples(st.integers(0, 10), st.integers(0, 200), st.booleans(), st.booleans()), min_size=1, max_size=14
)


def day(seed: int = 0, count: int = 5_000) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    generator = np.random.default_rng(seed)
    return generator.beta(0.05, 2.0, count), generator.lognormal(4.0, 0.8, count)


def plain_cost(rows: list[Row], review_above: float, decline_above: float) -> float:
    total = 0.0
    for tenths, amount, asked, approved in rows:
        probability = tenths / 10
        fraud = 0.0 if approved else probability
        approve = fraud * COSTS.fraud_share * amount
        if probability >= decline_above:
            total += (1 - fraud) * COSTS.wrong_decline
        elif (probability >= review_above or asked) and not approved:
            total += COSTS.review + (1 - COSTS.review_catch_share) * approve
        else:
            total += approve
    return total


@given(rows=samples, capacity=st.integers(0, 8))
def test_no_pair_of_thresholds_within_capacity_costs_less(rows: list[Row], capacity: int) -> None:
    tenths, amount, asked, approved = (np.array(column) for column in zip(*rows, strict=True))
    probability = tenths / 10
    room = max(capacity, (asked & ~approved).sum())

    def reviews(review_above: float, decline_above: float) -> int:
        return int((((probability >= review_above) | asked) & ~approved & (probability < decline_above)).sum())

    sample = {"days": 1, "asked": asked, "approved": approved}
    chosen = choose_thresholds(probability, amount, COSTS, daily_capacity=capacity, **sample)
    possible = [
        plain_cost(rows, review, decline)
        for review, decline in itertools.product([*np.unique(probability), NEVER], repeat=2)
        if review <= decline and reviews(review, decline) <= room
    ]
    assert chosen.cost_per_1000 == pytest.approx(min(possible) / len(rows) * 1_000)
    # What it says of itself is what its thresholds do.
    pair = {"review_above": chosen.review_above, "decline_above": chosen.decline_above}
    assert plain_cost(rows, **pair) / len(rows) * 1_000 == pytest.approx(chosen.cost_per_1000)
    assert chosen.reviews_a_day == reviews(**pair) <= room
    assert chosen.declines_a_day == (probability >= chosen.decline_above).sum()
    found = expect(probability, amount, COSTS, **pair, **sample)
    assert found.cost_per_1000 == pytest.approx(chosen.cost_per_1000)
    assert (found.reviews_a_day, found.alerts_a_day) == (chosen.reviews_a_day, chosen.alerts_a_day)


def test_with_one_amount_the_thresholds_are_those_of_the_formula() -> None:
    # Elkan's equation: reviewing pays from 5 = 0.9 p 100 on, declining from (1 - p) 20 = 5 + 0.1 p 100 on.
    probability = np.linspace(0, 1, 1_001)
    chosen = choose_thresholds(probability, np.full(1_001, 100.0), COSTS, days=1, daily_capacity=2_000)
    assert chosen.review_above == pytest.approx(5 / 90, abs=0.0011)
    assert chosen.decline_above == pytest.approx(15 / 30, abs=0.0011)
    assert not chosen.is_held_by_capacity


def test_a_smaller_desk_reviews_less_and_costs_more() -> None:
    probability, amount = day()
    large = choose_thresholds(probability, amount, COSTS, days=2, daily_capacity=1_000)
    small = choose_thresholds(probability, amount, COSTS, days=2, daily_capacity=20)
    assert small.is_held_by_capacity
    assert not large.is_held_by_capacity
    assert small.reviews_a_day <= 20 < large.reviews_a_day
    assert large.cost_per_1000 < small.cost_per_1000 < small.approve_all_cost_per_1000


def test_without_reviewers_only_approving_and_declining_are_left() -> None:
    chosen = choose_thresholds(*day(), COSTS, days=1, daily_capacity=0)
    assert chosen.review_above == chosen.decline_above
    assert chosen.reviews_a_day == 0


def test_where_nothing_is_suspicious_everything_is_approved() -> None:
    chosen = choose_thresholds(np.full(50, 0.001), np.full(50, 10.0), COSTS, days=1, daily_capacity=100)
    assert (chosen.review_above, chosen.decline_above) == (NEVER, NEVER)
    assert chosen.cost_per_1000 == pytest.approx(chosen.approve_all_cost_per_1000) == pytest.approx(10.0)


def test_the_places_between_which_it_looks_lose_next_to_nothing() -> None:
    probability, amount = day(count=20_000)
    chosen = choose_thresholds(probability, amount, COSTS, days=1, daily_capacity=150)
    approve, review, decline = expected_costs(probability, amount, COSTS)
    order = np.argsort(-probability, kind="stable")

    def sums(each: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate([[0.0], np.cumsum(each[order])])

    a, r, d = sums(approve), sums(review), sums(decline)
    best = min((d[first] - r[first] + (r - a)[first : first + 151] + a[-1]).min() for first in range(2_000))
    assert chosen.cost_per_1000 * 20 == pytest.approx(best, rel=0.002)


def test_the_curve_rises_in_recall_and_alerts_and_falls_in_precision() -> None:
    curve = threshold_curve(*day(), COSTS, days=1, points=30)
    assert 20 <= len(curve) <= 30
    for earlier, later in itertools.pairwise(curve):
        assert earlier.threshold > later.threshold
        assert earlier.precision >= later.precision
        assert earlier.recall < later.recall
        assert earlier.alerts_a_day < later.alerts_a_day
    assert curve[-1].recall == pytest.approx(1.0)


def test_the_curve_counts_what_is_reviewed_whatever_its_probability() -> None:
    probability, amount = day()
    asked, approved = np.random.default_rng(1).random((2, len(probability))) < 0.02
    sample = {"asked": asked, "approved": approved}
    for point in threshold_curve(probability, amount, COSTS, days=2, points=30, **sample):
        reviewed = ((probability >= point.threshold) | asked) & ~approved
        assert point.alerts_a_day == reviewed.sum() / 2
        assert point.precision == pytest.approx(probability[reviewed].mean())
        assert point.recall == pytest.approx(probability[reviewed].sum() / probability[~approved].sum())
        found = expect(
            *(probability, amount, COSTS), days=2, review_above=point.threshold, decline_above=NEVER, **sample
        )
        assert point.cost_per_1000 == pytest.approx(found.cost_per_1000)


def test_calibrated_probabilities_foretell_what_the_curve_says() -> None:
    probability, amount = day(count=50_000)
    fraud = np.random.default_rng(9).random(len(probability)) < probability
    point = threshold_curve(probability, amount, COSTS, days=10)[-20]
    flagged = probability >= point.threshold
    assert flagged.sum() / 10 == point.alerts_a_day
    assert fraud[flagged].mean() == pytest.approx(point.precision, abs=0.03)
    assert fraud[flagged].sum() / fraud.sum() == pytest.approx(point.recall, abs=0.03)


def test_unusable_values_are_refused() -> None:
    with pytest.raises(ValueError, match="probabilities must lie"):
        choose_thresholds([1.2], [1.0], COSTS, days=1, daily_capacity=1)
    with pytest.raises(ValueError, match="amounts must be"):
        choose_thresholds([0.2], [float("nan")], COSTS, days=1, daily_capacity=1)
    with pytest.raises(ValueError, match="days"):
        threshold_curve([0.2], [1.0], COSTS, days=0)
    with pytest.raises(ValueError, match="review_catch_share"):
        replace(COSTS, review_catch_share=1.5)
