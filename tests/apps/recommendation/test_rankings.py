"""POST /api/v1/rankings: the client's candidates, re-ranked as far as anything is known."""

import itertools
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from apps.recommendation import selectors
from behavior.popularity import refresh_item_popularity
from catalog.services import upsert_items
from decisions.models import Scenario
from decisions.selectors import get_decision
from serving.models import ModelVersion
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.recommendation.conftest import ids
from tests.conftest import ApiClient
from tests.queries import CapturedQueries

Post = Callable[..., None]
Rank = Callable[..., dict[str, Any]]


@pytest.fixture
def rank(api: ApiClient) -> Rank:
    """rank("item-01", "item-02", query="tent") posts the candidates in this order and gives the answer's body."""

    def rank(*items: str | dict[str, Any], user_id: str = "somebody", **request: Any) -> dict[str, Any]:
        candidates = [{"id": item} if isinstance(item, str) else item for item in items]
        answer = api.post("rankings", {"subject": {"user_id": user_id}, "candidates": candidates} | request)
        assert answer.status_code == 200, answer.content
        return answer.json()

    return rank


def test_without_any_model_the_clients_order_comes_back_and_is_marked(shop: Tenant, rank: Rank) -> None:
    answer = rank("item-05", "item-01", "item-03")

    assert ids(answer) == ["item-05", "item-01", "item-03"]
    assert (answer["scenario"], answer["kind"]) == ("search-rerank", "ranking")
    assert (answer["degraded"], answer["model_version"]) == ("client_order", None)
    assert [item["rank"] for item in answer["items"]] == [1, 2, 3]


def test_the_clients_scores_decide_about_its_order(shop: Tenant, rank: Rank) -> None:
    answer = rank({"id": "item-01", "score": 1.5}, {"id": "item-02"}, {"id": "item-03", "score": 7}, {"id": "item-00"})
    assert ids(answer) == ["item-03", "item-01", "item-02", "item-00"]


def test_before_a_re_ranker_is_trained_the_next_item_model_has_its_say(
    live_model: ModelVersion, post_events: Post, rank: Rank
) -> None:
    post_events("item-02", "item-03", "item-04", user_id="walker")

    answer = rank("item-10", "item-05", "item-06", "item-07", user_id="walker", explain=True)

    assert ids(answer)[0] == "item-05"
    assert (answer["degraded"], answer["model_version"]) == ("fused", str(live_model.id))
    assert answer["items"][0]["parts"] == {
        "client_rank": pytest.approx(1 / 62, abs=1e-6),
        "sequence": pytest.approx(1 / 61, abs=1e-6),
    }


def test_the_re_ranker_orders_and_its_parts_add_up(live_ranker: ModelVersion, rank: Rank) -> None:
    answer = rank("item-01", "item-03", "item-02", "item-05", query="tents", explain=True)

    assert ids(answer)[0] == "item-02"
    assert sorted(ids(answer)) == ["item-01", "item-02", "item-03", "item-05"]
    assert (answer["degraded"], answer["model_version"]) == (None, str(live_ranker.id))
    for item in answer["items"]:
        assert sum(item["parts"].values()) == pytest.approx(item["score"], abs=1e-4)
    best = answer["items"][0]
    assert best["parts"]["title_match"] > 0
    assert best["reasons"] == [{"code": "matches", "text": "matches tents", "weight": 1.0}]


def test_a_reason_names_the_event_that_speaks_for_the_item(
    live_model: ModelVersion, live_ranker: ModelVersion, post_events: Post, rank: Rank
) -> None:
    post_events("item-03", "item-04", user_id="walker")

    [item] = rank("item-05", user_id="walker", explain=True)["items"]

    assert [reason["text"] for reason in item["reasons"]] == ["because you viewed Tent 4"]


def test_without_explain_scores_stand_alone(live_ranker: ModelVersion, rank: Rank) -> None:
    [item] = rank("item-05", query="boot")["items"]
    assert (item["reasons"], "parts" in item) == ([], False)


def test_what_nothing_is_known_of_keeps_its_place(live_ranker: ModelVersion, rank: Rank) -> None:
    answer = rank("item-01", "not-in-catalogue", "item-03", "item-02", query="tent")
    assert ids(answer)[:2] == ["item-02", "not-in-catalogue"]


def test_what_can_not_be_had_is_dropped_unless_it_is_to_be_kept(shop: Tenant, rank: Rank) -> None:
    with tenant_scope(shop.id):
        upsert_items([{"id": "item-01", "available": False}, {"id": "item-03", "hidden": True}])

    answer = rank("item-05", "item-01", "item-03", "item-07")

    assert ids(answer) == ["item-05", "item-07"]
    assert answer["dropped_ids"] == ["item-01", "item-03"]
    assert answer["notice"] == "2 of the candidates may not be shown, see dropped_ids"
    assert len(ids(rank("item-05", "item-01", "item-03", "item-07", keep_unavailable=True))) == 4


def test_the_scenarios_filter_holds(shop: Tenant, rank: Rank) -> None:
    rank("item-01")
    with tenant_scope(shop.id):
        Scenario.objects.filter(key="search-rerank").update(
            settings={"filter": {"eq": {"field": "categories", "value": "tents"}}}
        )
    selectors._scenarios.clear()
    assert ids(rank("item-01", "item-02", "not-in-catalogue", keep_unavailable=True)) == ["item-02"]


def test_nothing_left_to_show_is_an_empty_list(shop: Tenant, rank: Rank) -> None:
    with tenant_scope(shop.id):
        upsert_items([{"id": "item-01", "available": False}])
    answer = rank("item-01")
    assert (answer["items"], answer["degraded"]) == ([], "empty")


def test_count_cuts_the_list(shop: Tenant, rank: Rank) -> None:
    assert ids(rank("item-05", "item-01", "item-03", count=2)) == ["item-05", "item-01"]


def test_without_a_catalogue_candidates_are_ranked_as_well(
    tenant: Tenant, live_ranker: ModelVersion, post_events: Post, rank: Rank
) -> None:
    assert ids(rank("x", "y")) == ["x", "y"]


def test_exploration_moves_items_with_known_propensities(live_ranker: ModelVersion, rank: Rank, shop: Tenant) -> None:
    rank("item-01")
    with tenant_scope(shop.id):
        Scenario.objects.filter(key="search-rerank").update(settings={"temperature": 1.0})
    selectors._scenarios.clear()
    answers = [rank("item-01", "item-03", "item-05", "item-07") for _ in range(12)]

    assert len({tuple(ids(answer)) for answer in answers}) > 1
    assert answers[0]["policy"] == "softmax(1)"
    assert all(0 < item["propensity"] <= 1 for answer in answers for item in answer["items"])


def test_the_decision_keeps_what_the_ranker_was_told(
    live_ranker: ModelVersion, post_events: Post, rank: Rank, shop: Tenant
) -> None:
    post_events("item-02", "item-02", user_id="walker")
    with tenant_scope(shop.id):
        refresh_item_popularity()

    answer = rank(
        {"id": "item-01", "score": 2.0, "features": {"margin": 0.3}},
        {"id": "item-02", "score": 1.0},
        query="tent",
        user_id="walker",
        context={"page": "search"},
    )

    with tenant_scope(shop.id):
        decision = get_decision(UUID(answer["decision_id"]))
    assert decision.items == answer["items"]
    assert ids(answer) == ["item-02", "item-01"]
    request = decision.request
    assert (request["query"], request["candidates"], request["context"]) == ("tent", 2, {"page": "search"})
    features = request["features"]
    assert features["client_rank"] == [-1.0, 0.0]
    assert features["client_score"] == [-1.0, 1.0]
    assert features["title_match"] == [1.0, 0.0]
    assert features["popularity"] == [1.0986, 0.0]
    assert features["category_affinity"] == [1.0, 0.0]
    assert features["client.margin"] == [None, 0.3]


def test_without_consent_the_subjects_events_are_not_used(
    live_model: ModelVersion, post_events: Post, rank: Rank
) -> None:
    post_events("item-03", "item-04", user_id="private", consent={"personalisation": False})
    assert rank("item-09", "item-05", user_id="private")["degraded"] == "client_order"


def count_queries(api: ApiClient, request: dict[str, Any]) -> int:
    with CapturedQueries() as queries:
        assert api.post("rankings", request).status_code == 200
    return sum(
        not query["sql"].startswith(("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")) for query in queries.captured_queries
    )


def test_a_ranking_costs_the_same_few_queries_whatever_its_length(
    live_model: ModelVersion, live_ranker: ModelVersion, post_events: Post, api: ApiClient
) -> None:
    post_events("item-03", "item-04", user_id="walker")
    numbers = itertools.count()

    def request(count: int) -> dict[str, Any]:
        candidates = [{"id": f"item-{number:02d}", "score": -next(numbers)} for number in range(count)]
        return {"subject": {"user_id": "walker"}, "query": "tent", "candidates": candidates, "explain": True}

    api.post("rankings", request(2))
    # Scope and key; events, past, items, counts; the decision.
    assert count_queries(api, request(2)) == count_queries(api, request(300)) == 6


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"candidates": []}, "candidates", "has 0 entries; send 1 to 500"),
        ({"candidates": [{"id": str(number)} for number in range(501)]}, "candidates", "has 501 entries"),
        ({"candidates": "all"}, "candidates", "must be a list, not text"),
        ({"candidates": ["item-01"]}, "candidates[0]", "must be an object, not text"),
        ({"candidates": [{"id": "a"}, {"id": "a"}]}, "candidates[1].id", "is there twice; send each candidate once"),
        ({"candidates": [{"score": 1}]}, "candidates[0].id", "is missing"),
        ({"candidates": [{"id": "a", "score": "high"}]}, "candidates[0].score", "must be a number, not text"),
        ({"candidates": [{"id": "a", "rank": 1}]}, "candidates[0].rank", "is not a field"),
        ({"candidates": [{"id": "a", "features": {"Margin": 1}}]}, "candidates[0].features", "a name must start"),
        ({"candidates": [{"id": "a", "features": {"margin": None}}]}, "candidates[0].features", "must be a number"),
        ({"candidates": [{"id": "a", "features": [1]}]}, "candidates[0].features", "must be an object, not a list"),
        ({"query": "x" * 501}, "query", "no more than 500 characters"),
        ({"query": "\ud800"}, "query", "Surrogate characters are not allowed"),
        ({"count": 0}, "count", "greater than or equal to 1"),
        ({"subject": {}}, "subject", "is missing: send user_id or anonymous_id"),
        ({"items": ["a"]}, "items", "is not a field; known are"),
        ({"scenario": "home"}, "scenario", "'home' is personalised; a ranking needs a scenario of kind ranking"),
    ],
)
def test_bad_input_is_named_with_its_cure(
    shop: Tenant, rank: Rank, api: ApiClient, change: dict[str, Any], field: str, message: str
) -> None:
    rank("item-01")
    answer = api.post("rankings", {"subject": {"user_id": "u"}, "candidates": [{"id": "item-01"}]} | change)

    assert answer.status_code == 400, answer.content
    [error] = [each for each in answer.json()["errors"] if each["field"] == field]
    assert message in error["message"]


def test_too_many_names_of_features_are_refused(shop: Tenant, api: ApiClient) -> None:
    features = {f"f{number}": 1.0 for number in range(21)}
    answer = api.post("rankings", {"subject": {"user_id": "u"}, "candidates": [{"id": "a", "features": features}]})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "candidates")


def test_an_unknown_scenario_is_not_found(shop: Tenant, api: ApiClient) -> None:
    request = {"subject": {"user_id": "u"}, "candidates": [{"id": "a"}], "scenario": "nowhere"}
    assert api.post("rankings", request).status_code == 404


def test_a_ranking_scenario_gives_no_recommendations(shop: Tenant, rank: Rank, api: ApiClient) -> None:
    rank("item-01")
    answer = api.post("recommendations", {"scenario": "search-rerank", "subject": {"user_id": "u"}})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "scenario")


def test_a_key_without_the_scope_may_not_rank(client_with_scopes: Callable[..., ApiClient]) -> None:
    request = {"subject": {"user_id": "u"}, "candidates": [{"id": "a"}]}
    assert client_with_scopes("items:read").post("rankings", request).status_code == 403


def test_another_tenants_catalogue_and_models_are_not_used(
    live_ranker: ModelVersion, other_api: ApiClient, shop: Tenant
) -> None:
    with tenant_scope(shop.id):
        upsert_items([{"id": "item-02", "hidden": True}])
    request = {"subject": {"user_id": "u"}, "query": "tent", "candidates": [{"id": "item-01"}, {"id": "item-02"}]}

    answer = other_api.post("rankings", request).json()

    assert ids(answer) == ["item-01", "item-02"]
    assert answer["degraded"] == "client_order"
