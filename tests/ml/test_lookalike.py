"""Heads that tell a seed from others, and what is said of how well they do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.policy.lookalike import CHOICES, Choice, choose, fit_head, judge, recall_within

DIMENSION = 8
numbers = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=30)


def drawn(count: int, shift: float, seed: int) -> np.ndarray:
    """Vectors (count, DIMENSION) around `shift` along the first axis."""
    vectors = np.random.default_rng(seed).normal(size=(count, DIMENSION))
    vectors[:, 0] += shift
    return vectors


def test_recall_counts_seeds_above_the_best_share_of_the_others() -> None:
    others = np.arange(100.0)
    # The best tenth of 0 to 99 begins at 90; who ties with the threshold is not found.
    assert recall_within(np.array([95.0, 91.0, 90.0, 10.0]), others, 0.1) == 2 / 4


@given(seed=numbers, others=numbers, share=st.sampled_from([0.01, 0.1, 0.5]))
def test_recall_of_the_others_themselves_is_never_above_the_share(
    seed: list[float], others: list[float], share: float
) -> None:
    assert 0.0 <= recall_within(np.array(seed), np.array(others), share) <= 1.0
    assert recall_within(np.array(others), np.array(others), share) <= share


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice.name)
def test_every_head_finds_the_direction_in_which_a_seed_lies(choice: Choice) -> None:
    head = fit_head(choice, drawn(60, 3.0, seed=1), drawn(500, 0.0, seed=2))
    alike, unlike = head.scores(drawn(200, 3.0, seed=3)), head.scores(drawn(200, 0.0, seed=4))
    assert recall_within(alike, unlike, 0.1) > 0.8


def test_quality_is_that_of_seeds_nobody_has_seen() -> None:
    generator = np.random.default_rng(0)
    seed, others = drawn(60, 3.0, seed=1), drawn(500, 0.0, seed=2)
    found = judge(seed, others, np.full(60, 5), np.full(500, 5), 0.1, generator)
    assert found.recall > 0.75
    assert (found.random, found.activity, found.tested) == (0.1, 0.0, 60)


def test_a_seed_like_everybody_else_is_found_no_more_often_than_by_chance() -> None:
    generator = np.random.default_rng(0)
    found = judge(drawn(400, 0.0, 1), drawn(2_000, 0.0, 2), np.arange(400), np.arange(2_000), 0.1, generator)
    # Three standard errors of a share of .1 among 400.
    assert abs(found.recall - 0.1) < 3 * np.sqrt(0.1 * 0.9 / 400)


def test_what_lies_between_two_kinds_of_seed_is_chosen_by_what_finds_more() -> None:
    """Two opposite groups have no common direction from the middle, so the head that is chosen must not be worse than
    another one on the same folds."""
    seed = np.concatenate([drawn(60, 4.0, seed=1), drawn(20, 2.0, seed=2)])
    assert choose(seed, drawn(500, 0.0, seed=3), 0.05, np.random.default_rng(0)) in CHOICES


def test_too_small_a_seed_cannot_be_judged() -> None:
    with pytest.raises(ValueError, match="there are 9 and 500"):
        judge(drawn(9, 1.0, 1), drawn(500, 0.0, 2), np.ones(9), np.ones(500), 0.1, np.random.default_rng(0))
