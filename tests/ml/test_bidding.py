"""Bidding under a budget: the dynamic programme against brute force, and what no bidder may ever do."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.policy.bidding import (
    Bidder,
    DualBidder,
    DynamicBidder,
    PidBidder,
    TruthfulBidder,
    ValueTable,
    price_chances,
    price_of_value_within,
)
from ml.simulation.second_price import replay

CHANCES = np.array([0.1, 0.4, 0.2, 0.3])
AUCTIONS = 50


def best_value(auctions: int, budget: int, values: tuple[float, ...]) -> float:
    """The expected value of the best bids, by trying every bid at every step."""
    if auctions == 0:
        return 0.0
    left = [best_value(auctions - 1, money, values) for money in range(budget + 1)]
    best = [
        max(
            sum(
                chance * (value + left[budget - price] if price <= bid else left[budget])
                for price, chance in enumerate(CHANCES)
            )
            for bid in range(min(budget, len(CHANCES) - 1) + 1)
        )
        for value in values
    ]
    return float(np.mean(best))


def bidder_named(name: str, budget: int) -> Bidder:
    chances, target = price_chances([0, 3, 5, 2, 1, 1]), budget / AUCTIONS
    if name in ("dynamic", "learning"):
        return DynamicBidder(chances, 0.5, AUCTIONS, budget, learns=name == "learning")
    if name == "dual":
        return DualBidder(price_of_value_within(chances, 0.5, target), target, step=0.1)
    return PidBidder(8.0, target) if name == "pid" else TruthfulBidder(8.0)


@pytest.mark.parametrize("values", [(0.7,), (0.2, 1.0)])
def test_the_table_holds_what_brute_force_finds(values: tuple[float, ...]) -> None:
    table = ValueTable.of(CHANCES, values, auctions=5, budget=5)
    for auctions, budget in itertools.product(range(5), range(6)):
        assert table.expected[auctions, budget] == pytest.approx(best_value(auctions, budget, values), abs=2e-3)


def test_a_bid_is_the_highest_price_that_pays() -> None:
    table = ValueTable.of(CHANCES, [0.7], auctions=4, budget=5)
    for left, budget, value in itertools.product(range(1, 5), range(6), (0.05, 0.3, 0.9)):
        later = [best_value(left - 1, money, (0.7,)) for money in range(budget + 1)]
        paying = [price for price in range(min(3, budget) + 1) if value + later[budget - price] >= later[budget]]
        assert table.bid(value, left, budget) == max(paying)


def test_a_coarse_grid_promises_nearly_the_same() -> None:
    chances = price_chances(np.bincount(np.random.default_rng(0).gamma(2.0, 15.0, 5_000).astype(int)))
    values = np.random.default_rng(1).beta(1, 20, 500)
    fine, coarse = (ValueTable.of(chances, values, auctions=101, budget=800, steps=n) for n in (800, 100))
    assert coarse.expected[100, -1] == pytest.approx(fine.expected[100, -1], rel=0.01)


def test_the_promised_value_is_what_rounds_bring() -> None:
    generator = np.random.default_rng(2)
    prices = generator.choice(4, size=300 * AUCTIONS, p=CHANCES)
    values = generator.beta(1, 9, len(prices))
    table = ValueTable.of(CHANCES, values, auctions=AUCTIONS + 1, budget=25)
    bidder = DynamicBidder(CHANCES, mean_value=0.1, auctions=AUCTIONS, budget=25, learns=True)
    rounds = list(replay(bidder, prices=prices, values=values, outcomes=values, auctions=AUCTIONS, budget=25))
    assert np.mean([one.gained for one in rounds]) == pytest.approx(table.expected[AUCTIONS, 25], rel=0.02)


def test_knowing_the_spread_of_values_gains_over_their_mean() -> None:
    generator = np.random.default_rng(3)
    prices = generator.choice(4, size=200 * AUCTIONS, p=CHANCES)
    values = generator.beta(0.2, 1.8, len(prices))

    def gained(bidder: Bidder) -> float:
        played = replay(bidder, prices=prices, values=values, outcomes=values, auctions=AUCTIONS, budget=15)
        return sum(one.gained for one in played)

    by_learning = gained(DynamicBidder(CHANCES, mean_value=0.1, auctions=AUCTIONS, budget=15, learns=True))
    assert by_learning > 1.01 * gained(DynamicBidder(CHANCES, mean_value=0.1, auctions=AUCTIONS, budget=15))
    assert by_learning > 1.1 * gained(TruthfulBidder(20.0))


@settings(max_examples=60)
@given(
    name=st.sampled_from(["dynamic", "learning", "dual", "pid", "truthful"]),
    budget=st.integers(1, 400),
    seed=st.integers(0, 2**32 - 1),
    scale=st.floats(0.001, 50.0),
)
def test_no_bidder_spends_more_than_its_budget(name: str, budget: int, seed: int, scale: float) -> None:
    """Also where prices and values are nothing like what it was told; `replay` refuses bids beyond what is left."""
    generator = np.random.default_rng(seed)
    prices = generator.integers(0, 12, 3 * AUCTIONS + 7)
    values = generator.exponential(scale, len(prices))
    rounds = list(
        replay(
            bidder_named(name, budget), prices=prices, values=values, outcomes=values, auctions=AUCTIONS, budget=budget
        )
    )
    assert len(rounds) == 4
    assert all(0 <= one.spent <= budget for one in rounds)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), budget=st.integers(0, 60))
def test_more_money_more_auctions_and_more_value_never_hurt(seed: int, budget: int) -> None:
    generator = np.random.default_rng(seed)
    table = ValueTable.of(
        price_chances(generator.integers(0, 9, 8)), generator.random(20), auctions=12, budget=budget, steps=30
    )
    assert (np.diff(table.expected, axis=0) >= -1e-6).all()
    assert (np.diff(table.expected, axis=1) >= -1e-6).all()
    bids = [table.bid(value, 12, budget) for value in np.linspace(0.0, 1.0, 20)]
    assert bids == sorted(bids)


def test_values_that_are_none_are_refused() -> None:
    for values in ([], [0.5, -0.1]):
        with pytest.raises(ValueError, match="values must be numbers of 0 or more"):
            ValueTable.of(CHANCES, values, auctions=3, budget=5)
