import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.evaluation.ranking import (
    bootstrap_spread,
    coverage,
    hit_rate,
    ndcg,
    pessimistic_ranks,
    ranking_metrics,
    reciprocal_rank,
    top_items,
)

# Few distinct values, so that ties are the rule.
SCORES = st.lists(st.integers(-2, 2).map(float), min_size=1, max_size=12)


@settings(max_examples=200)
@given(scores=SCORES, data=st.data())
def test_a_rank_counts_every_item_that_does_at_least_as_well(scores: list[float], data: st.DataObject) -> None:
    target = data.draw(st.integers(0, len(scores) - 1))
    ranks = pessimistic_ranks(np.array([scores]), np.array([target]))
    rivals = [item for item, score in enumerate(scores) if item != target and score >= scores[target]]
    assert ranks.tolist() == [1 + len(rivals)]


def test_a_constant_score_earns_the_last_place_and_an_unknown_target_one_behind_it() -> None:
    assert pessimistic_ranks(np.zeros((2, 100)), np.array([0, -1])).tolist() == [100, 101]


@settings(max_examples=200)
@given(scores=SCORES, count=st.integers(0, 15))
def test_top_items_are_a_stable_sort_cut_short(scores: list[float], count: int) -> None:
    expected = sorted(range(len(scores)), key=lambda item: -scores[item])[:count]
    assert top_items(np.array(scores), count).tolist() == expected


def test_top_items_with_excluded_ones() -> None:
    assert top_items(np.array([-np.inf, 1.0, -np.inf, 3.0]), 3).tolist() == [3, 1, 0]


def test_metrics_of_hand_counted_ranks() -> None:
    ranks = np.array([1, 3, 11])
    metrics = ranking_metrics(ranks, (10,))
    assert metrics["ndcg@10"] == pytest.approx((1 + 1 / math.log2(4)) / 3)
    assert metrics["hr@10"] == pytest.approx(2 / 3)
    assert metrics["mrr@10"] == pytest.approx((1 + 1 / 3) / 3)


@settings(max_examples=100)
@given(rank=st.integers(1, 50), k=st.integers(1, 50))
def test_metrics_lie_between_0_and_1_and_order_as_they_should(rank: int, k: int) -> None:
    ranks = np.array([rank])
    hit, gain, reciprocal = hit_rate(ranks, k)[0], ndcg(ranks, k)[0], reciprocal_rank(ranks, k)[0]
    assert 0.0 <= reciprocal <= gain <= hit <= 1.0
    assert ndcg(ranks, k + 1)[0] >= gain


def test_coverage_counts_distinct_items() -> None:
    assert coverage(np.array([[0, 1], [1, 2]]), 10) == pytest.approx(0.3)


def test_bootstrap_spread_is_the_standard_error() -> None:
    values = np.random.default_rng(0).normal(size=400)
    assert bootstrap_spread(values, seed=1, resamples=2000) == pytest.approx(values.std() / math.sqrt(400), rel=0.1)
