"""What rules leave of each choice: properties of whole lists, without a database."""

import math

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.recommendation.lists.arranging import Placed, adjust, arrange
from apps.recommendation.lists.candidates import Candidate, Cause, Pooled
from apps.recommendation.lists.settings import ScenarioSettings
from apps.recommendation.rules.active import RELAXED, ActiveRules, Cap, Pin, Promotion
from catalog.selectors import ItemFacts
from decisions.policies import Policy

GREEDY = Policy("greedy", 0.0)
SOFTMAX = Policy("softmax", 1.0)
MARKS = ("a", "b", "c")

facts = st.builds(
    ItemFacts,
    categories=st.lists(st.sampled_from(["tents", "boots", "lamps"]), max_size=2, unique=True),
    brand=st.sampled_from(["", "Acme", "Bolt"]),
    marks=st.frozensets(st.sampled_from(MARKS)),
)
pools = st.lists(facts, min_size=1, max_size=14)
pins = st.lists(st.builds(Pin, st.sampled_from(MARKS), st.integers(1, 12)), max_size=3, unique_by=lambda pin: pin.key)
caps = st.builds(
    Cap,
    st.sampled_from(["cap-1", "cap-2"]),
    st.sampled_from(["category", "brand"]),
    st.integers(1, 3),
    st.none() | st.integers(4, 6),
)
promotions = st.builds(Promotion, st.sampled_from(MARKS), st.integers(1, 100))
shapings = st.lists(caps | promotions, max_size=3, unique_by=lambda rule: rule.key)
policies = st.sampled_from([GREEDY, SOFTMAX])
patient = settings(suppress_health_check=[HealthCheck.too_slow])


def listed(pool: list[ItemFacts], rules: ActiveRules, count: int, policy: Policy = GREEDY) -> list[Placed]:
    """The pool in falling order of score, arranged; ids are positions in it."""
    candidates = [
        Pooled(Candidate(str(number), 1.0 / (number + 1), Cause("popular", 1.0)), each, source=0)
        for number, each in enumerate(pool)
    ]
    adjusted = adjust(candidates, rules, [{} for _ in candidates])
    return arrange(adjusted, count, policy, rules, np.random.default_rng(1), ScenarioSettings())


def facts_of(placed: list[Placed]) -> list[ItemFacts]:
    return [each.adjusted.pooled.facts for each in placed]


@patient
@given(pool=pools, pins=pins, shaping=shapings, count=st.integers(1, 12), policy=policies)
def test_a_list_is_full_as_long_as_there_are_candidates_and_repeats_none(
    pool: list[ItemFacts], pins: list[Pin], shaping: list, count: int, policy: Policy
) -> None:
    rules = ActiveRules(pins=pins, shaping=shaping, multipliers={"a": 3.0, "b": 0.2}, count=count)
    placed = listed(pool, rules, count, policy)
    assert len({each.candidate.item_id for each in placed}) == len(placed) == min(count, len(pool))
    assert all(0 < each.propensity <= 1 for each in placed)


@patient
@given(pool=pools, cap=caps, count=st.integers(1, 12), policy=policies)
def test_a_cap_holds_or_says_where_it_gave_way(pool: list[ItemFacts], cap: Cap, count: int, policy: Policy) -> None:
    placed = listed(pool, ActiveRules(shaping=[cap], count=count), count, policy)
    names = [set(f.categories) if cap.attribute == "category" else {f.brand} - {""} for f in facts_of(placed)]
    for place, each in enumerate(placed):
        near = names[max(0, place - (cap.window or count) + 1) : place]
        breaks = any(sum(name in other for other in near) >= cap.limit for name in names[place])
        assert breaks == (cap.key + RELAXED in each.rules)


@patient
@given(pool=pools, promotion=promotions, count=st.integers(1, 12), policy=policies)
def test_a_promotion_gets_its_share_of_the_places_if_there_are_enough_items(
    pool: list[ItemFacts], promotion: Promotion, count: int, policy: Policy
) -> None:
    placed = listed(pool, ActiveRules(shaping=[promotion], count=count), count, policy)
    if len(placed) < count:
        return
    available = sum(promotion.key in each.marks for each in pool)
    got = sum(promotion.key in each.marks for each in facts_of(placed))
    assert got >= min(available, math.ceil(count * promotion.share / 100))


@patient
@given(pool=pools, position=st.integers(1, 12), count=st.integers(1, 12), policy=policies)
def test_a_pin_stands_at_its_place_or_last_in_a_shorter_list(
    pool: list[ItemFacts], position: int, count: int, policy: Policy
) -> None:
    placed = listed(pool, ActiveRules(pins=[Pin("a", position)], count=count), count, policy)
    pinned = [place for place, each in enumerate(placed, start=1) if "a" in each.rules]
    if not any("a" in each.marks for each in pool) or count < min(position, len(pool)):
        assert pinned == []
    else:
        assert pinned == [min(position, len(pool))] or "a" in facts_of(placed)[position - 1].marks


def test_a_promotion_is_spread_over_the_list() -> None:
    pool = [ItemFacts()] * 10 + [ItemFacts(marks=frozenset("a"))] * 4
    placed = listed(pool, ActiveRules(shaping=[Promotion("a", 30)], count=10), 10)
    assert [place for place, each in enumerate(placed, start=1) if each.rules] == [4, 7, 10]


def test_of_two_pins_on_one_place_the_first_wins_and_the_other_takes_the_next() -> None:
    pool = [ItemFacts(), ItemFacts(), ItemFacts(marks=frozenset("a")), ItemFacts(marks=frozenset("b"))]
    placed = listed(pool, ActiveRules(pins=[Pin("b", 1), Pin("a", 1)], count=4), 4)
    assert [each.candidate.item_id for each in placed] == ["3", "2", "0", "1"]
    assert [each.rules for each in placed] == [["b"], ["a"], [], []]


def test_a_pin_of_many_items_leaves_the_best_where_they_belong() -> None:
    acme = ItemFacts(marks=frozenset("a"))
    placed = listed([acme, ItemFacts(), acme, ItemFacts()], ActiveRules(pins=[Pin("a", 4)], count=4), 4)
    assert [each.candidate.item_id for each in placed] == ["0", "1", "3", "2"]


def test_a_broad_pin_does_not_take_the_only_item_of_a_narrow_one() -> None:
    both, broad = ItemFacts(marks=frozenset("ab")), ItemFacts(marks=frozenset("a"))
    placed = listed([ItemFacts(), broad, both], ActiveRules(pins=[Pin("a", 1), Pin("b", 2)], count=3), 3)
    assert [each.candidate.item_id for each in placed] == ["1", "2", "0"]


def test_a_pin_that_breaks_a_cap_stays_and_the_cap_says_so() -> None:
    pool = [ItemFacts(brand="Acme"), ItemFacts(brand="Acme", marks=frozenset("a")), ItemFacts(brand="Bolt")]
    rules = ActiveRules(pins=[Pin("a", 2)], shaping=[Cap("one-each", "brand", 1)], count=3)
    placed = listed(pool, rules, 3)
    assert [each.rules for each in placed] == [[], ["a", "one-each" + RELAXED], []]


def test_boosts_and_burials_multiply_scores_and_are_named() -> None:
    pool = [ItemFacts(), ItemFacts(marks=frozenset("a")), ItemFacts(marks=frozenset("ab"))]
    placed = listed(pool, ActiveRules(multipliers={"a": 4.0, "b": 0.5}, count=3), 3)
    assert [(each.candidate.item_id, each.rules) for each in placed] == [("1", ["a"]), ("0", []), ("2", ["a", "b"])]
    assert [each.adjusted.score for each in placed] == [2.0, 1.0, 4 * 0.5 / 3]


def test_what_a_rule_brings_in_is_not_called_explored() -> None:
    pool = [ItemFacts(), ItemFacts(), ItemFacts(marks=frozenset("a"))]
    placed = listed(pool, ActiveRules(pins=[Pin("a", 1)], count=2), 2)
    assert [each.explored for each in placed] == [False, False]


def test_on_a_later_page_the_pins_of_the_first_are_over() -> None:
    rules = ActiveRules(pins=[Pin("a", 1), Pin("b", 5)], count=4)
    left = [ItemFacts(), ItemFacts(marks=frozenset("a")), ItemFacts(marks=frozenset("b"))]
    assert list(rules.choice(5, left, []).positions) == [2]
    assert list(rules.choice(6, left[:2], [ItemFacts(marks=frozenset("b"))]).positions) == [0, 1]
