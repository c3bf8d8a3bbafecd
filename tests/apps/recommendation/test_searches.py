"""Searching over the API: what is found, in which order and why, page by page, and what stands in for nothing."""

from collections.abc import Callable
from typing import Any

import pytest

from apps.recommendation.services import create_default_scenarios
from catalog.services import patch_item, upsert_items
from catalog.vector_index import store_vectors, waiting_texts
from decisions.models import Decision
from serving import engine, text_vectors
from tenancy.models import Role, Tenant
from tenancy.scope import tenant_scope
from tests.apps.recommendation.conftest import ids
from tests.conftest import ApiClient
from tests.database import connected_as
from tests.platform.console.furnishing import logged_in, make_operator
from tests.queries import CapturedQueries

PostEvents = Callable[..., None]
Search = Callable[..., dict[str, Any]]

OUTDOOR = [
    {"id": "boots", "title": "Leather hiking boots", "brand": "Acme", "categories": ["shoes"], "price": 120},
    {"id": "sandals", "title": "Sandals", "brand": "Acme", "categories": ["shoes"], "price": 35},
    {"id": "runners", "title": "男士防水跑鞋", "brand": "Bivy", "categories": ["shoes"], "price": 80},
    {"id": "tent", "title": "Waterproof tent", "brand": "Bivy", "categories": ["tents", "camping"], "price": 300},
    {"id": "tarp", "title": "Tarp", "description": "waterproof", "brand": "Bivy", "categories": ["camping"]},
]
NO_MEANING = {"meaning": 0}


@pytest.fixture
def outdoor(tenant: Tenant) -> Tenant:
    """A small catalogue without a model, whose texts no encoder has read."""
    with tenant_scope(tenant.id):
        upsert_items(OUTDOOR)
    return tenant


@pytest.fixture
def search(api: ApiClient) -> Search:
    """search("tent", count=3) posts the request and gives the answer's body; by words alone unless params say else."""

    def post(query: str | None = None, *, user_id: str = "somebody", **request: Any) -> dict[str, Any]:
        body = {"subject": {"user_id": user_id}} | request
        if query is not None:
            body |= {"query": query, "params": NO_MEANING | request.get("params", {})}
        answer = api.post("searches", body)
        assert answer.status_code == 200, answer.content
        return answer.json()

    return post


@pytest.mark.usefixtures("outdoor")
def test_words_are_found_in_any_form_and_the_answer_says_why(search: Search) -> None:
    answer = search("Hike boot")

    assert ids(answer) == ["boots"]
    assert (answer["kind"], answer["degraded"], answer["notice"], answer["total"]) == ("search", None, None, 1)
    [item] = answer["items"]
    assert (item["rank"], item["propensity"], item["rules"]) == (1, 1.0, [])
    assert item["reasons"] == [
        {"code": "matches", "text": "matches “hike”, “boot”", "weight": 1.0, "words": ["hike", "boot"]}
    ]
    assert search("hike boot", explain=False)["items"][0]["reasons"] == []


@pytest.mark.usefixtures("outdoor")
def test_a_title_counts_more_than_a_description(search: Search) -> None:
    assert ids(search("waterproof")) == ["tent", "tarp"]


@pytest.mark.usefixtures("outdoor")
def test_typos_are_corrected_and_said(search: Search) -> None:
    answer = search("waterprof tnet")

    assert ids(answer) == ["tent"]
    assert answer["degraded"] == "corrected"
    assert answer["corrected_query"] == "waterproof tent"
    assert answer["notice"] == "no item has “waterprof”, shown is “waterproof”; no item has “tnet”, shown is “tent”"
    assert answer["items"][0]["reasons"][0]["text"] == "matches “waterproof” (for “waterprof”), “tent” (for “tnet”)"


@pytest.mark.usefixtures("outdoor")
def test_chinese_is_found(search: Search) -> None:
    assert ids(search("防水跑鞋")) == ["runners"]
    assert ids(search("鞋")) == ["runners"]


@pytest.mark.usefixtures("outdoor")
def test_filters_and_facets(search: Search) -> None:
    answer = search("shoes")
    assert sorted(ids(answer)) == ["boots", "runners", "sandals"]
    assert answer["facets"] == {
        "categories": [{"value": "shoes", "count": 3}],
        "brands": [{"value": "Acme", "count": 2}, {"value": "Bivy", "count": 1}],
        "prices": [
            {"gte": 20.0, "lt": 50.0, "count": 1},
            {"gte": 50.0, "lt": 100.0, "count": 1},
            {"gte": 100.0, "lt": 200.0, "count": 1},
        ],
    }

    acme = search("shoes", filter={"eq": {"field": "brand", "value": "Acme"}}, exclude=["sandals"], facets=False)
    assert (ids(acme), acme["total"], acme["facets"]) == (["boots"], 2, None)


def test_pages_go_on_by_decision_without_repeats(tenant: Tenant, search: Search, api: ApiClient) -> None:
    with tenant_scope(tenant.id):
        upsert_items([{"id": f"tent-{number:02d}", "title": "Tent"} for number in range(25)])

    seen: list[str] = []
    answer = search("tent", count=10)
    while True:
        assert answer["total"] == 25
        assert [item["rank"] for item in answer["items"]] == list(
            range(len(seen) + 1, len(seen) + 1 + len(ids(answer)))
        )
        seen += ids(answer)
        if answer["next_cursor"] is None:
            break
        assert answer["next_cursor"] == answer["decision_id"]
        with tenant_scope(tenant.id):  # what comes between the pages neither repeats nor hides an item
            upsert_items([{"id": seen[0], "title": "Tent tent tent"}])
        answer = search(cursor=answer["next_cursor"], count=10)

    assert len(seen) == 25
    assert sorted(seen) == [f"tent-{number:02d}" for number in range(25)]


@pytest.mark.usefixtures("outdoor")
def test_where_nothing_matches_the_search_loosens_and_says_so(search: Search) -> None:
    some = search("waterproof sandals")
    assert some["degraded"] == "any_word"
    assert "some of them" in some["notice"]
    assert sorted(ids(some)) == ["sandals", "tarp", "tent"]
    assert some["items"][0]["reasons"][0]["weight"] == 0.5

    cheap = {"range": {"field": "price", "lt": 100}}
    none = search("xyzzy", filter=cheap)
    assert none["degraded"] == "newest"
    assert sorted(ids(none)) == ["runners", "sandals"]
    assert (none["total"], none["next_cursor"], none["corrected_query"]) == (0, None, None)
    assert none["notice"] == "nothing matches, shown is what is new"

    nothing = search("xyzzy", filter={"range": {"field": "price", "gt": 1e6}})
    assert (nothing["degraded"], nothing["items"]) == ("empty", [])
    assert search("?!")["degraded"] == "newest"


@pytest.mark.usefixtures("outdoor")
def test_what_is_popular_stands_in_first(search: Search, post_events: PostEvents) -> None:
    post_events("tarp", user_id="u1")

    answer = search("xyzzy", count=2)

    assert answer["degraded"] == "popular"
    assert ids(answer)[0] == "tarp"
    assert answer["items"][0]["reasons"] == [{"code": "popular", "text": "popular with others", "weight": 1.0}]


def test_hidden_and_sold_out_items_are_not_found_from_the_next_call_on(outdoor: Tenant, search: Search) -> None:
    with tenant_scope(outdoor.id):
        patch_item(item_id="tent", changes={"available": False})
        patch_item(item_id="boots", changes={"hidden": True})

    assert ids(search("waterproof")) == ["tarp"]
    assert "boots" not in ids(search("hiking boots", count=100))


@pytest.mark.usefixtures("outdoor")
def test_another_tenants_items_and_searches_are_out_of_reach(
    other_api: ApiClient, other_tenant: Tenant, search: Search
) -> None:
    with tenant_scope(other_tenant.id):
        upsert_items([{"id": "theirs", "title": "Stove"}])
    first = search("shoes", count=1)

    subject = {"subject": {"user_id": "somebody"}}
    answer = other_api.post("searches", subject | {"query": "boots", "count": 100}).json()
    assert ids(answer) == ["theirs"]  # the newest of their own
    refused = other_api.post("searches", subject | {"cursor": first["next_cursor"]})
    assert refused.status_code == 400
    assert "search again" in refused.json()["errors"][0]["message"]


@pytest.mark.usefixtures("live_model")
def test_the_subjects_taste_decides_among_equal_matches(search: Search, post_events: PostEvents) -> None:
    post_events("item-03", "item-04", "item-05", user_id="u1")

    taste = search("tent", user_id="u1", params={"personalisation": 1})
    relevance = search("tent", user_id="u1", params={"personalisation": 0})

    assert sorted(ids(taste)) == sorted(ids(relevance))
    assert ids(taste)[0] == "item-06"  # visitors walk round the catalogue in its order
    assert ids(relevance)[0] != "item-06"
    reasons = {reason["code"]: reason for reason in taste["items"][0]["reasons"]}
    assert reasons["because_of"]["item_id"] in ("item-03", "item-04", "item-05")
    assert taste["model_version"] is not None
    assert relevance["model_version"] is None


def test_every_search_is_a_decision(outdoor: Tenant, search: Search, api: ApiClient) -> None:
    answer = search("tent", context={"page": "header"})

    decision = api.get(f"decisions/{answer['decision_id']}").json()
    assert (decision["application"], decision["scenario"]) == ("recommendation", "search")
    assert decision["request"]["kind"] == "search"
    assert decision["request"]["query"] == "tent"
    assert decision["request"]["context"] == {"page": "header"}
    assert [item["id"] for item in decision["items"]] == ["tent"]


@pytest.mark.usefixtures("live_model")
def test_a_search_costs_the_same_queries_however_much_it_finds(search: Search, post_events: PostEvents) -> None:
    post_events("item-03", user_id="u1")
    search("tent", user_id="u1")

    counts = []
    for count in (1, 6):
        with CapturedQueries() as captured:
            search("tent boot" if count == 6 else "tent", user_id="u1", count=count, params={"meaning": 0})
        counts.append(len(captured))

    # One look more, for any of the words.
    assert counts[1] <= counts[0] + 1
    assert counts[0] <= 16


@pytest.mark.slow
def test_meaning_finds_what_the_words_do_not(outdoor: Tenant, search: Search) -> None:
    params = {"meaning": 1}
    unread = search("footwear for the beach", params=params)
    assert unread["degraded"] in ("newest", "any_word")
    assert "words alone" in unread["notice"]

    text_vectors.load_encoder()
    with tenant_scope(outdoor.id):
        texts = waiting_texts(100)
        store_vectors(texts, engine.text_encoder().encode([text.text for text in texts]), encoder="e")
    answer = search("footwear for the beach", params=params)

    assert ids(answer)[0] == "sandals"
    assert answer["degraded"] == "meaning"
    [reason] = answer["items"][0]["reasons"]
    assert (reason["code"], reason["text"]) == ("meaning", "close in meaning to the search")
    assert 0.35 <= reason["weight"] <= 1.0
    # The encoder knows English alone, so that Chinese goes by its characters.
    assert ids(search("防水跑鞋", params=params)) == ["runners"]


GOOD = {"query": "tent", "subject": {"user_id": "u1"}}


@pytest.mark.parametrize(
    ("change", "pointer", "says"),
    [
        ({"query": ""}, "/query", "blank"),
        ({"query": "a" * 501}, "/query", "500"),
        ({"query": "a\0b"}, "/query", "Null"),
        ({"query": "a\ud800b"}, "/query", "Surrogate"),
        ({"query": None}, "/query", "null"),
        ({"query": ["tent"]}, "/query", "string"),
        ({"cursor": "019ac0de"}, "/cursor", "UUID"),
        ({"cursor": "019ac0de-7a31-7f0a-9d55-2f6c0d4f9b11"}, "/query", "leave it out"),
        ({"params": {"personalisation": 2}}, "/params/personalisation", "from 0 to 1"),
        ({"filter": {"eq": {}}}, "/filter/eq", "field"),
        ({"scenario": "home"}, "/scenario", "kind"),
        ({"items": []}, "/items", "not a field"),
        ({"count": 101}, "/count", "100"),
    ],
)
def test_a_bad_field_is_named_with_the_cure(
    api: ApiClient, tenant: Tenant, change: dict[str, Any], pointer: str, says: str
) -> None:
    answer = api.post("searches", GOOD | change)

    assert answer.status_code == 400, answer.content
    assert [error["pointer"] for error in answer.json()["errors"]] == [f"#{pointer}"]
    assert says in answer.json()["errors"][0]["message"]
    with tenant_scope(tenant.id):
        assert not Decision.objects.exists()


def test_a_query_or_a_cursor_is_needed_and_an_unknown_scenario_named(api: ApiClient) -> None:
    missing = api.post("searches", {"subject": {"user_id": "u1"}})
    assert missing.status_code == 400
    assert missing.json()["errors"][0]["pointer"] == "#/query"

    api.post("searches", GOOD)
    unknown = api.post("searches", GOOD | {"scenario": "nowhere"})
    assert unknown.status_code == 404
    assert "search" in unknown.json()["detail"]


@pytest.mark.usefixtures("outdoor")
def test_a_cursor_serves_its_own_subject(api: ApiClient, search: Search) -> None:
    first = search("shoes", count=1, user_id="u1")

    other = api.post("searches", {"cursor": first["next_cursor"], "subject": {"user_id": "u2"}})
    assert other.status_code == 400
    assert "another subject" in other.json()["errors"][0]["message"]
    unknown = api.post("searches", {"cursor": "019ac0de-7a31-7f0a-9d55-2f6c0d4f9b11", "subject": {"user_id": "u1"}})
    assert unknown.status_code == 400
    list_ = api.post("recommendations", {"scenario": "popular", "subject": {"user_id": "u1"}}).json()
    assert api.post("searches", {"cursor": list_["decision_id"], "subject": {"user_id": "u1"}}).status_code == 400


def test_an_operator_tries_a_search_out_in_the_console(outdoor: Tenant, settings: Any) -> None:
    with tenant_scope(outdoor.id):
        create_default_scenarios()
    settings.MIDDLEWARE, settings.ROOT_URLCONF = settings.MIDDLEWARE_BY_PROCESS["console"], "config.urls_console"
    viewer = make_operator(outdoor, Role.VIEWER)
    with connected_as("console"):
        operator = logged_in(viewer)
        empty = operator.get("/console/catalog/itemtext/").content.decode()
        page = operator.get("/console/catalog/itemtext/", {"q": "waterprof <tent>"}).content.decode()
        unknown = operator.get("/console/catalog/itemtext/", {"q": "tent", "scenario": "home"}).content.decode()

    assert "Try a search" in empty
    assert "Waterproof tent" in page
    assert "matches “waterproof” (for “waterprof”), “tent”" in page
    assert "no item has “waterprof”" in page
    assert "<tent>" not in page
    assert "name one of the kind search" in unknown
    with tenant_scope(outdoor.id):
        assert not Decision.objects.exists()
