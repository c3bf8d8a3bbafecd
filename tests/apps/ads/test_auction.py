"""Auctions as pure arithmetic."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.policy.auction import clearing_price, rank, run_auction

VALUES = st.lists(st.floats(0, 1000), min_size=0, max_size=12)


def generator() -> np.random.Generator:
    return np.random.default_rng(1)


def test_the_prices_of_a_textbook_auction() -> None:
    # Edelman, Ostrovsky, Schwarz: values 10, 4, 2 for two slots; GSP asks 4 and 2.
    awards = run_auction("gsp", [10, 4, 2], [1, 1, 1], floor=0, slots=2, generator=generator())
    assert [(each.position, each.price) for each in awards] == [(0, 4.0), (1, 2.0)]
    uniform = run_auction("second_price", [10, 4, 2], [1, 1, 1], floor=0, slots=2, generator=generator())
    assert [each.price for each in uniform] == [2.0, 2.0]
    first = run_auction("first_price", [10, 4, 2], [1, 1, 1], floor=0, slots=2, generator=generator())
    assert [each.price for each in first] == [10.0, 4.0]


def test_quality_wins_in_gsp_and_makes_the_price_lower() -> None:
    (award,) = run_auction("gsp", [6, 10], [2, 1], floor=1, slots=1, generator=generator())
    assert (award.position, award.price) == (0, 5.0)
    (award,) = run_auction("second_price", [6, 10], [2, 1], floor=1, slots=1, generator=generator())
    assert (award.position, award.price) == (1, 6.0)


def test_the_reserve_keeps_the_cheap_out_and_is_the_least_price() -> None:
    assert run_auction("gsp", [3, 2], [1, 1], floor=4, slots=1, generator=generator()) == []
    (award,) = run_auction("gsp", [9, 2], [1, 1], floor=4, slots=1, generator=generator())
    assert award.price == 4.0


def test_equals_win_equally_often_and_a_seed_repeats_the_draw() -> None:
    wins = Counter(
        run_auction("gsp", [5, 5, 5], [1, 1, 1], floor=0, slots=1, generator=np.random.default_rng(seed))[0].position
        for seed in range(3000)
    )
    assert all(abs(wins[each] - 1000) < 100 for each in range(3))
    again = [
        run_auction("gsp", [5] * 9, [1] * 9, floor=0, slots=9, generator=np.random.default_rng(3)) for _ in range(2)
    ]
    assert again[0] == again[1]


@given(
    kind=st.sampled_from(["first_price", "second_price", "gsp"]),
    values=VALUES,
    floor=st.floats(0, 500),
    slots=st.integers(1, 5),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=200)
def test_nobody_pays_more_than_the_value_or_less_than_the_floor(
    kind: str, values: list[float], floor: float, slots: int, seed: int
) -> None:
    qualities = np.random.default_rng(seed).uniform(0.1, 10, len(values)).tolist()
    awards = run_auction(kind, values, qualities, floor=floor, slots=slots, generator=np.random.default_rng(seed))

    assert len(awards) == min(slots, sum(value >= floor for value in values))
    assert len({each.position for each in awards}) == len(awards)
    for award in awards:
        assert floor <= award.price <= values[award.position]
    losers = [each for each in range(len(values)) if each not in {award.position for award in awards}]
    weight = [1.0] * len(values) if kind == "second_price" else qualities
    able = [values[each] * weight[each] for each in losers if values[each] >= floor]
    assert all(values[each.position] * weight[each.position] >= max(able, default=0) for each in awards)


@given(value=st.floats(1, 1000), others=st.lists(st.floats(0, 1000), min_size=1, max_size=6), lie=st.floats(0.1, 3))
@settings(max_examples=200)
def test_in_a_second_price_auction_no_other_bid_gains_more_than_the_truth(
    value: float, others: list[float], lie: float
) -> None:
    def gain(bid: float) -> float:
        awards = run_auction(
            "second_price", [bid, *others], [1] * (len(others) + 1), floor=0, slots=1, generator=generator()
        )
        return value - awards[0].price if awards[0].position == 0 else 0.0

    assert gain(value) >= gain(value * lie) - 1e-9


def test_an_unknown_auction_is_refused() -> None:
    with pytest.raises(ValueError, match="no auction"):
        clearing_price(1, 1, 1, 0, "dutch")


@given(
    scores=st.lists(st.sampled_from([0.0, 1.0, 2.0, 2.5, 7.0]), max_size=40),
    best=st.integers(1, 50),
    seed=st.integers(0, 2**32),
)
def test_the_best_are_ranked_as_among_all(scores: list[float], best: int, seed: int) -> None:
    everything = rank(np.array(scores), np.random.default_rng(seed).random)
    found = rank(np.array(scores), np.random.default_rng(seed).random, best=best)

    assert len(found) >= min(best, len(scores))
    assert found.tolist() == everything[: len(found)].tolist()
