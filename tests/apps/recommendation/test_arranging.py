"""Arranging: variety, windows of categories, and propensities that stay exact."""

from itertools import product
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.recommendation.lists.arranging import RELAXED, Adjusted, Placed, arrange
from apps.recommendation.lists.candidates import Candidate, Cause, Pooled
from apps.recommendation.lists.diversity import likeness
from apps.recommendation.lists.settings import ScenarioSettings
from apps.recommendation.rules.active import NO_RULES
from catalog.selectors import ItemFacts
from decisions.policies import Policy

GREEDY = Policy("greedy", 0.0)
facts = st.builds(
    ItemFacts, st.lists(st.sampled_from("abc"), unique=True, max_size=2).map(tuple), st.sampled_from(["", "x", "y"])
)
windows = st.none() | st.integers(2, 5).flatmap(
    lambda size: st.builds(lambda limit: {"size": size, "limit": limit}, st.integers(1, size - 1))
)


@st.composite
def pools(draw: st.DrawFn, largest: int = 12) -> list[Adjusted]:
    shape = st.tuples(facts, st.integers(0, 50), st.integers(0, 1))
    found = draw(st.lists(shape, min_size=1, max_size=largest))
    return [candidate(f"item-{number}", *each) for number, each in enumerate(found)]


def candidate(item_id: str, of: ItemFacts, score: float, source: int = 0) -> Adjusted:
    return Adjusted(Pooled(Candidate(item_id, score / 50, Cause("popular", 1.0)), of, source), {})


def place(
    pool: list[Adjusted], count: int, policy: Policy = GREEDY, generator: Any = None, **values: Any
) -> list[Placed]:
    chosen = ScenarioSettings.from_dict(values)
    return arrange(pool, count, policy, NO_RULES, generator or np.random.default_rng(1), chosen)


def shown(placed: list[Placed]) -> list[str]:
    return [each.candidate.item_id for each in placed]


@given(pools(), st.integers(1, 12))
def test_without_settings_the_order_is_that_of_sources_and_scores(pool: list[Adjusted], count: int) -> None:
    placed = place(pool, count)

    expected = sorted(pool, key=lambda each: (each.pooled.source, -each.score))[:count]
    assert shown(placed) == [each.pooled.candidate.item_id for each in expected]
    assert all(each.propensity == 1.0 and not each.rules and not each.explored for each in placed)


@given(pools(), st.integers(1, 12), st.sampled_from([0.0, 0.4, 1.0]), windows, st.sampled_from([0.0, 1.0]))
def test_a_list_is_full_without_repeats_and_windows_hold_or_are_said_to_be_relaxed(
    pool: list[Adjusted], count: int, diversity: float, window: dict[str, int] | None, temperature: float
) -> None:
    policy = Policy("softmax", temperature) if temperature else GREEDY

    placed = place(pool, count, policy, diversity=diversity, category_window=window)

    assert len(set(shown(placed))) == len(placed) == min(count, len(pool))
    everywhere = set.intersection(*(set(each.pooled.facts.categories) for each in pool))
    for number, each in enumerate(placed):
        if window is None:
            assert RELAXED not in each.rules
            continue
        before = placed[max(0, number - window["size"] + 1) : number]
        left = [one for one in pool if one not in [other.adjusted for other in placed[:number]]]
        if RELAXED in each.rules:
            assert not any(fits(one, before, window, everywhere) for one in left)
        else:
            assert fits(each.adjusted, before, window, everywhere)


def fits(one: Adjusted, before: list[Placed], window: dict[str, int], everywhere: set[str]) -> bool:
    return all(
        sum(category in each.adjusted.pooled.facts.categories for each in before) < window["limit"]
        for category in set(one.pooled.facts.categories) - everywhere
    )


class Chosen:
    """Stands for a random generator, and makes each draw fall on the wanted one of those that are left."""

    def __init__(self, wanted: tuple[int, ...]) -> None:
        self.wanted = iter(wanted)

    def gumbel(self, size: int) -> np.ndarray:
        noise = np.zeros(size)
        noise[next(self.wanted)] = 1e9  # raises IndexError where fewer are left
        return noise


@settings(max_examples=25)
@given(pools(largest=4), st.integers(1, 3), st.sampled_from([0.0, 0.5]), windows)
def test_the_propensities_of_all_possible_lists_sum_to_1(
    pool: list[Adjusted], count: int, diversity: float, window: dict[str, int] | None
) -> None:
    lists: dict[tuple[str, ...], float] = {}
    for wanted in product(range(len(pool)), repeat=min(count, len(pool))):
        try:
            placed = place(
                pool, count, Policy("softmax", 1.0), Chosen(wanted), diversity=diversity, category_window=window
            )
        except IndexError:
            continue
        lists[tuple(shown(placed))] = prod(each.propensity for each in placed)

    assert sum(lists.values()) == pytest.approx(1.0, abs=1e-6)


@given(pools(), st.floats(0.05, 0.95))
def test_each_place_goes_to_the_greatest_marginal_relevance(pool: list[Adjusted], diversity: float) -> None:
    """Written anew from Carbonell and Goldstein 1998, with sets."""

    def features(one: Adjusted) -> set[str]:
        of = one.pooled.facts
        return {f"c{each}" for each in of.categories} | ({f"b{of.brand}"} if of.brand else set())

    def alike(one: Adjusted, other: Adjusted) -> float:
        united = features(one) | features(other)
        return len(features(one) & features(other)) / len(united) if united else 0.0

    def marginal(one: Adjusted, before: list[Adjusted]) -> float:
        best = max(each.score for each in pool if each.pooled.source == one.pooled.source)
        relevance = one.score / best if best else 0.0
        return (1 - diversity) * relevance - diversity * max((alike(one, each) for each in before), default=0.0)

    placed = [each.adjusted for each in place(pool, len(pool), diversity=diversity)]

    for number, each in enumerate(placed):
        left = [one for one in placed[number:] if one.pooled.source == min(o.pooled.source for o in placed[number:])]
        assert marginal(each, placed[:number]) == pytest.approx(max(marginal(one, placed[:number]) for one in left))


def test_diversity_brings_another_kind_of_item_forward() -> None:
    tent, boot = ItemFacts(("tents",), "Acme"), ItemFacts(("boots",), "Bolt")
    pool = [candidate("tent-1", tent, 50), candidate("tent-2", tent, 48), candidate("boot", boot, 30)]

    placed = place(pool, 3, diversity=0.5)

    assert shown(placed) == ["tent-1", "boot", "tent-2"]
    assert [each.parts for each in placed] == [
        {"source": 1.0, "likeness": 0.0},
        {"source": 0.6, "likeness": 0.0},
        {"source": 0.96, "likeness": 1.0},
    ]


def test_likeness_is_jaccards() -> None:
    both, one, none = ItemFacts(("a", "b"), "x"), ItemFacts(("a",), "x"), ItemFacts()
    assert likeness([both, none], [both, one, none]) == pytest.approx(np.array([[1, 2 / 3, 0], [0, 0, 0]]))
