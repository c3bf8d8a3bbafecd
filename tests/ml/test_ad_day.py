"""The controllers on a small simulated day, beside no controller and beside a planner who knows everything."""

import numpy as np
import pytest

from ml.policy.pacing import FIRST_STEP, LEAST_STEP, step_size
from ml.simulation.ad_day import STEPS, AdWorld, greatest_welfare, make_world, play


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_adaptive_pacing_spends_evenly_and_near_the_best_there_is(seed: int) -> None:
    world = make_world(requests=20_000, flights=6, seed=seed)
    paced, greedy = (play(world, pacing, seed=seed) for pacing in ("adaptive", "asap"))

    for day in (paced, greedy):
        assert (day.spend.sum(axis=0) <= day.budgets).all()
    assert paced.able.any()
    assert paced.budget_errors.max() < 0.02
    by_hour = paced.spend[:, paced.able].sum(axis=1) / paced.spend[:, paced.able].sum()
    assert np.abs(24 * by_hour - 1).max() < 0.25
    assert paced.value.sum() >= 0.95 * greatest_welfare(world, paced.prices)
    assert paced.value.sum() > 1.2 * greedy.value.sum()


def test_the_planner_gives_each_place_to_whom_it_is_worth_most_within_budgets() -> None:
    # Ten requests; the first flight values them at 5 and can pay for four, the second at 3 for all.
    world = AdWorld(
        values=np.array([[5.0, 3.0]]),
        budgets=np.array([20, 100]),
        kinds=np.zeros(10, dtype=np.int64),
        steps=np.zeros(10, dtype=np.int64),
    )
    assert greatest_welfare(world) == pytest.approx(4 * 5 + 6 * 3)
    assert greatest_welfare(world, np.array([2.0])) == pytest.approx(10 * 5)
    assert greatest_welfare(world, np.array([4.0])) == pytest.approx(5 * 5 + 5 * 3)


def test_steps_become_smaller_and_never_vanish() -> None:
    assert step_size(0) == FIRST_STEP
    assert step_size(3) == FIRST_STEP / 2
    assert step_size(STEPS) == LEAST_STEP
