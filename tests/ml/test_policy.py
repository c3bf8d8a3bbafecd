from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.policy.ranking import plackett_luce

SCORES = st.lists(st.floats(-5, 5), min_size=1, max_size=8)


@settings(max_examples=100)
@given(scores=SCORES, count=st.integers(0, 9), temperature=st.floats(0.1, 3), seed=st.integers(0, 1000))
def test_propensities_are_the_sequential_softmax(
    scores: list[float], count: int, temperature: float, seed: int
) -> None:
    indices, propensities = plackett_luce(scores, count, temperature, np.random.default_rng(seed))
    assert len(indices) == len(set(indices)) == min(count, len(scores))
    left = list(range(len(scores)))
    for index, propensity in zip(indices, propensities, strict=True):
        weights = np.exp(np.array([scores[item] for item in left]) / temperature)
        assert propensity == pytest.approx(weights[left.index(index)] / weights.sum(), rel=1e-6)
        left.remove(index)


def test_rankings_come_up_as_often_as_their_propensity_says() -> None:
    generator = np.random.default_rng(0)
    scores, draws = [1.0, 0.0, -1.0], 20_000
    seen: Counter[tuple[int, ...]] = Counter()
    propensity: dict[tuple[int, ...], float] = {}
    for _ in range(draws):
        indices, propensities = plackett_luce(scores, 2, 0.7, generator)
        seen[tuple(indices)] += 1
        propensity[tuple(indices)] = float(propensities.prod())
    assert set(propensity) == set(permutations(range(3), 2))
    assert sum(propensity.values()) == pytest.approx(1.0)
    for ranking, probability in propensity.items():
        assert seen[ranking] / draws == pytest.approx(probability, abs=0.012)


def test_temperature_0_is_greedy_with_propensity_1_and_equals_keep_their_order() -> None:
    indices, propensities = plackett_luce([0.2, 0.9, 0.2, 0.5], 3, 0.0, np.random.default_rng(0))
    assert indices.tolist() == [1, 3, 0]
    assert propensities.tolist() == [1.0, 1.0, 1.0]


def test_an_item_at_minus_infinity_is_never_drawn() -> None:
    for temperature in (0.0, 1.0):
        indices, _ = plackett_luce([-np.inf, 0.0, 1.0], 3, temperature, np.random.default_rng(0))
        assert sorted(indices) == [1, 2]


@pytest.mark.parametrize(("scores", "temperature"), [([np.nan], 1.0), ([np.inf], 1.0), ([0.0], -1.0)])
def test_what_is_no_distribution_is_refused(scores: list[float], temperature: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        plackett_luce(scores, 1, temperature, np.random.default_rng(0))
