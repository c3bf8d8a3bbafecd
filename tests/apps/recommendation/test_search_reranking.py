"""Searches and the re-ranker: clicks on searches train it, and once it is live it orders them."""

from collections.abc import Callable
from itertools import pairwise
from math import log
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from catalog.services import upsert_items
from decisions.selectors import get_decision
from decisions.shown_lists import count_lists, take_shown_lists
from serving import selectors as serving_selectors
from serving.artifacts import resolve_artifact
from serving.models import ModelVersion
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.recommendation.conftest import ids
from tests.conftest import ApiClient
from tests.queries import CapturedQueries

PostEvents = Callable[..., None]
Search = Callable[..., dict[str, Any]]


@pytest.fixture
def search(api: ApiClient) -> Search:
    """search("tent", user_id="u1") by words alone."""

    def post(query: str, *, user_id: str = "somebody", **request: Any) -> dict[str, Any]:
        params = {"meaning": 0} | request.pop("params", {})
        answer = api.post("searches", {"query": query, "subject": {"user_id": user_id}, "params": params} | request)
        assert answer.status_code == 200, answer.content
        return answer.json()

    return post


@pytest.fixture
def hikers(shop: Tenant) -> Tenant:
    """An item that matches by the stem of the word three times, and one that has the word itself in a longer title."""
    with tenant_scope(shop.id):
        upsert_items(
            [
                {"id": "stem", "title": "Hike, hiked, hikes"},
                {"id": "word", "title": "A very light umbrella for hiking in heavy rain"},
            ]
        )
    return shop


@pytest.mark.usefixtures("hikers")
def test_a_trained_re_ranker_changes_the_order_of_a_search(
    search: Search, request: pytest.FixtureRequest, api: ApiClient
) -> None:
    before = search("hiking")
    assert ids(before) == ["stem", "word"]
    assert (before["model_version"], before["degraded"]) == (None, None)

    live_ranker = request.getfixturevalue("live_ranker")  # it has learnt that words in the title are chosen
    serving_selectors._lines.clear()
    after = search("hiking")

    assert ids(after) == ["word", "stem"]
    assert (after["model_version"], after["degraded"]) == (str(live_ranker.id), None)
    assert [item["rank"] for item in after["items"]] == [1, 2]
    assert after["items"][0]["score"] == 1.0 > after["items"][1]["score"] > 0
    assert after["items"][0]["reasons"][0]["code"] == "matches"


@pytest.mark.usefixtures("live_model", "live_ranker")
def test_reasons_name_the_event_whoever_orders(search: Search, post_events: PostEvents) -> None:
    post_events("item-03", "item-04", "item-05", user_id="walker")

    items = {item["id"]: item for item in search("tent", user_id="walker")["items"]}

    reasons = {reason["code"]: reason for reason in items["item-06"]["reasons"]}
    assert reasons["because_of"]["item_id"] in ("item-03", "item-04", "item-05")


@pytest.mark.usefixtures("live_model")
def test_without_personalisation_the_re_ranker_is_told_nothing_of_the_subject(
    shop: Tenant, live_ranker: ModelVersion, search: Search, post_events: PostEvents
) -> None:
    post_events("item-03", "item-04", user_id="walker")

    def features_of(answer: dict[str, Any]) -> dict[str, list[float]]:
        assert answer["model_version"] == str(live_ranker.id)
        with tenant_scope(shop.id):
            kept: dict[str, list[float]] = get_decision(UUID(answer["decision_id"])).request["features"]
        return kept

    personal = features_of(search("tent", user_id="walker"))
    impersonal = features_of(search("tent", user_id="walker", params={"personalisation": 0}))

    assert all(any(personal[name]) for name in ("sequence", "category_affinity"))
    assert not any(any(impersonal[name]) for name in ("sequence", "category_affinity"))
    assert impersonal["title_match"] == personal["title_match"] == [1.0] * 6


def test_a_re_ranker_that_can_not_answer_is_stood_in_for_and_said(
    hikers: Tenant, live_ranker: ModelVersion, search: Search
) -> None:
    (resolve_artifact(hikers.id, live_ranker.artifact) / "model.safetensors").unlink()

    answer = search("hiking")

    assert ids(answer) == ["stem", "word"]
    assert (answer["model_version"], answer["degraded"]) == (None, "fused")


def test_clicks_on_searches_train_the_re_ranker_before_there_is_one(
    shop: Tenant, search: Search, api: ApiClient, tmp_path: Path
) -> None:
    answer = search("tents", count=4)
    chosen = ids(answer)[2]
    click = {
        "message_id": "click",
        "type": "click",
        "item_id": chosen,
        "subject": {"user_id": "somebody"},
        "decision_id": answer["decision_id"],
    }
    assert api.post("events", click).status_code == 200
    nothing = search("xyzzy")  # what only stands in says nothing of a search
    api.post("events", click | {"message_id": "2", "decision_id": nothing["decision_id"], "item_id": ids(nothing)[0]})

    with tenant_scope(shop.id):
        assert count_lists(10) == 1
        lists = take_shown_lists(tmp_path / "lists", grades={"click": 1.0}, days=1)

    assert (lists.rank.tolist(), lists.grade.tolist()) == ([1, 2, 3, 4], [0, 0, 1, 0])
    assert lists.column("title_match").tolist() == [1.0] * 4
    assert lists.column("client_rank").tolist() == pytest.approx([0, -1, -1.585, -2], abs=1e-3)


def test_a_page_keeps_the_features_of_its_own_items_in_their_order(
    shop: Tenant, live_ranker: ModelVersion, api: ApiClient
) -> None:
    with tenant_scope(shop.id):
        upsert_items([{"id": f"lamp-{number}", "title": "Lamp", "price": 2**number} for number in range(8)])
    subject = {"subject": {"user_id": "somebody"}, "count": 3}
    page = api.post("searches", subject | {"query": "lamp", "params": {"meaning": 0}}).json()

    kept = []
    for _ in range(2):
        with tenant_scope(shop.id):
            kept.append(get_decision(UUID(page["decision_id"])).request["features"])
        dear = [2 ** int(item["id"][-1]) for item in page["items"]]
        steps = [later - earlier for earlier, later in pairwise(kept[-1]["price"])]
        assert steps == pytest.approx([log(later / earlier) for earlier, later in pairwise(dear)], abs=1e-3)
        page = api.post("searches", subject | {"cursor": page["next_cursor"]}).json()
    assert [len(each["price"]) for each in kept] == [3, 3]


@pytest.mark.usefixtures("live_model", "live_ranker")
def test_a_search_by_the_re_ranker_costs_the_same_queries_however_much_it_finds(
    api: ApiClient, shop: Tenant, search: Search, post_events: PostEvents
) -> None:
    with tenant_scope(shop.id):
        upsert_items(
            [{"id": f"lamp-{number}", "title": "Lamp"} for number in range(60)] + [{"id": "a", "title": "Axe"}]
        )
    post_events("item-03", user_id="walker")
    search("tent", user_id="walker")
    counts = []
    for query in ("axe", "lamp"):
        with CapturedQueries() as captured:
            assert search(query, user_id="walker", count=60)["items"]
        counts.append(len(captured))
    assert counts[0] == counts[1] <= 18
