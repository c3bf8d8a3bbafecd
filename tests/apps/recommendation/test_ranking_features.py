"""What a ranker is told of the items of a list: worked examples, and limits that no input breaks."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.recommendation.rankings.facts import ItemCounts, ItemFacts
from apps.recommendation.rankings.features import Known, RankingCandidate, client_order, ranking_features
from apps.recommendation.rankings.words import words

TENT = ItemFacts("Light tent, 2 persons", "Nordlicht", ["tents", "outdoor"], 200.0, True, True)
BOOT = ItemFacts("Trail boots", "Fels", ["boots"], 100.0, True, True)
CANDIDATES = [RankingCandidate("tent", 3.0), RankingCandidate("boot", 1.0), RankingCandidate("unknown")]


def known(**changes: Any) -> Known:
    return Known(**({"facts": {"tent": TENT, "boot": BOOT}, "counts": {}, "sequence": {}, "history": []} | changes))


def test_the_clients_score_and_rank() -> None:
    columns = ranking_features("", CANDIDATES, known())
    assert columns["client_score"] == [1.0, -1.0, 0.0]
    assert columns["client_rank"] == [0.0, -1.0, pytest.approx(-math.log2(3), abs=1e-4)]


def test_equal_scores_say_nothing() -> None:
    columns = ranking_features("", [RankingCandidate("a", 7.3), RankingCandidate("b", 7.3)], known())
    assert columns["client_score"] == [0.0, 0.0]


def test_shares_of_the_querys_words() -> None:
    columns = ranking_features("TENTS nordlicht boot", CANDIDATES, known())
    assert columns["title_match"] == [pytest.approx(1 / 3, abs=1e-4), pytest.approx(1 / 3, abs=1e-4), 0.0]
    assert columns["brand_match"] == [pytest.approx(1 / 3, abs=1e-4), 0.0, 0.0]
    assert columns["category_match"] == [pytest.approx(1 / 3, abs=1e-4), pytest.approx(1 / 3, abs=1e-4), 0.0]
    assert ranking_features("", CANDIDATES, known())["title_match"] == [0.0, 0.0, 0.0]


def test_the_next_item_models_scores_count_from_their_mean_and_unheard_items_are_neutral() -> None:
    columns = ranking_features("", CANDIDATES, known(sequence={"tent": 0.4, "boot": 0.1, "unknown": 0.0}))
    assert columns["sequence"] == [pytest.approx(math.log(2), abs=1e-4), pytest.approx(-math.log(2), abs=1e-4), 0.0]


def test_popularity_and_the_rate_of_reactions() -> None:
    counts = {"tent": ItemCounts(20.0, shown=100, reactions=20), "boot": ItemCounts(5.0, shown=100, reactions=0)}
    columns = ranking_features("", CANDIDATES, known(counts=counts))
    assert columns["popularity"] == [pytest.approx(math.log(21), abs=1e-4), pytest.approx(math.log(6), abs=1e-4), 0.0]
    # The list's rate is 20 of 200; 20 showings at that rate are added to each item.
    assert columns["click_rate"] == pytest.approx([math.log(22 / 120 / 0.1), math.log(2 / 120 / 0.1), 0.0], abs=1e-4)


def test_without_showings_there_is_no_rate() -> None:
    counts = {"tent": ItemCounts(20.0, shown=0, reactions=20)}
    assert ranking_features("", CANDIDATES, known(counts=counts))["click_rate"] == [0.0, 0.0, 0.0]


def test_the_price_counts_from_the_lists_median() -> None:
    third = {"tent": TENT, "boot": BOOT, "unknown": ItemFacts("", "", [], 100.0, True, True)}
    columns = ranking_features("", CANDIDATES, known(facts=third))
    assert columns["price"] == [pytest.approx(math.log(2), abs=1e-4), 0.0, 0.0]


def test_affinity_is_the_share_of_the_subjects_events() -> None:
    columns = ranking_features("", CANDIDATES, known(history=["tent", "tent", "boot", "gone"]))
    assert columns["brand_affinity"] == [0.5, 0.25, 0.0]
    assert columns["category_affinity"] == [0.5, 0.25, 0.0]


def test_the_clients_own_features_have_names_of_their_own() -> None:
    candidates = [RankingCandidate("tent", features={"price": 3.0}), RankingCandidate("boot", features={"margin": 0.5})]
    columns = ranking_features("", candidates, known())
    assert (columns["client.price"], columns["client.margin"]) == ([3.0, None], [None, 0.5])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Trail-running SHOES", ["trail", "running", "shoe"]),
        ("bus 2 s", ["bus", "2", "s"]),
        ("防水帐篷 tent", ["防水", "水帐", "帐篷", "tent"]),
        ("山", ["山"]),
        ("", []),
        ("under_score", ["under", "score"]),
    ],
)
def test_words(text: str, found: list[str]) -> None:
    assert list(words(text)) == found


numbers = st.floats(-1e12, 1e12)
candidate_lists = st.lists(
    st.builds(
        RankingCandidate,
        item_id=st.sampled_from(["tent", "boot", "a", "b", "c", "d"]),
        score=st.none() | numbers,
        features=st.dictionaries(st.sampled_from(["margin", "stock"]), numbers),
    ),
    min_size=1,
    unique_by=lambda each: each.item_id,
)


@given(
    candidate_lists,
    st.text(max_size=20),
    st.dictionaries(st.sampled_from(["tent", "boot", "a"]), st.floats(0, 1)),
    st.dictionaries(
        st.sampled_from(["tent", "b"]),
        st.builds(ItemCounts, st.floats(0, 1e9), st.integers(0, 10**9), st.integers(0, 10**9)),
    ),
)
def test_features_are_finite_one_for_each_candidate_and_survive_json(
    candidates: list[RankingCandidate], query: str, sequence: dict[str, float], counts: dict[str, ItemCounts]
) -> None:
    columns = ranking_features(query, candidates, known(sequence=sequence, counts=counts))
    assert {len(column) for column in columns.values()} == {len(candidates)}
    assert all(value is None or math.isfinite(value) for column in columns.values() for value in column)
    assert json.loads(json.dumps(columns)) == columns


@given(candidate_lists)
def test_the_clients_order_loses_nobody_and_falls_by_score(candidates: list[RankingCandidate]) -> None:
    ordered = client_order(candidates)
    assert sorted(each.item_id for each in ordered) == sorted(each.item_id for each in candidates)
    scores = [-math.inf if each.score is None else each.score for each in ordered]
    assert scores == sorted(scores, reverse=True)
    without = [each for each in candidates if each.score is None]
    assert ordered[len(ordered) - len(without) :] == without
