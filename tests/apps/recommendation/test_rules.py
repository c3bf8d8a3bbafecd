"""Operators' rules: how they act on real lists, when, and how soon."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.recommendation.rules.book import BOOK_SECONDS
from apps.recommendation.rules.kinds import holds
from apps.recommendation.rules.services import create_rule, publish_rule
from catalog.services import patch_item
from decisions.selectors import get_decision
from serving.models import ModelVersion
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.recommendation.conftest import ids
from tests.conftest import ApiClient
from tests.queries import CapturedQueries

Post = Callable[..., None]
Recommend = Callable[..., dict[str, Any]]
Rule = Callable[..., str]

BOOTS = {"eq": {"field": "categories", "value": "boots"}}
TENTS = {"eq": {"field": "categories", "value": "tents"}}


def item(item_id: str) -> dict[str, Any]:
    return {"eq": {"field": "id", "value": item_id}}


@pytest.fixture
def rule(shop: Tenant) -> Rule:
    """rule("pin", item("item-07"), position=1) makes and publishes a rule and gives its key."""

    def make(kind: str, target: Any = None, *, settings: dict[str, Any] | None = None, **values: Any) -> str:
        with tenant_scope(shop.id):
            made = create_rule(actor="test", name=kind, kind=kind, target=target, values=values, **(settings or {}))
            return publish_rule(rule_id=made.id, actor="test").key

    return make


def rules_of(answer: dict[str, Any]) -> dict[str, list[str]]:
    return {each["id"]: each["rules"] for each in answer["items"] if each["rules"]}


def test_a_pinned_item_stands_at_its_place_and_the_decision_keeps_why(
    shop: Tenant, rule: Rule, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-01", "item-01", "item-02", user_id="other")
    rule("pin", item("item-07"), position=2)

    answer = recommend("popular", count=3)

    assert ids(answer) == ["item-01", "item-07", "item-02"]
    assert rules_of(answer) == {"item-07": ["pin"]}
    assert answer["items"][1]["reasons"][0]["text"] == "picked by the shop"
    with tenant_scope(shop.id):
        assert get_decision(UUID(answer["decision_id"])).items == answer["items"]


def test_a_personalised_list_has_promoted_items_in_the_models_order(
    live_model: ModelVersion, rule: Rule, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-00", "item-01", user_id="walker")
    late = {"in": {"field": "id", "values": ["item-08", "item-02", "item-09"]}}
    rule("promote", late, share=100)

    answer = recommend("home", user_id="walker", count=3)

    assert answer["items"][0]["id"] == "item-02"
    assert sorted(ids(answer)) == ["item-02", "item-08", "item-09"]
    assert set(map(tuple, rules_of(answer).values())) == {("promote",)}
    scores = [each["score"] for each in answer["items"]]
    assert scores == sorted(scores, reverse=True)


def test_a_promotion_gets_its_share_and_no_more(
    shop: Tenant, rule: Rule, post_events: Post, recommend: Recommend
) -> None:
    post_events(*[f"item-{number:02d}" for number in (1, 3, 5, 7, 9)] * 3, user_id="other")
    rule("promote", TENTS, share=40)
    kinds = [int(item_id[-2:]) % 2 for item_id in ids(recommend("popular", count=5))]
    assert kinds.count(0) == 2


def test_boosts_and_burials_move_items(shop: Tenant, rule: Rule, post_events: Post, recommend: Recommend) -> None:
    post_events("item-01", "item-01", "item-01", "item-02", "item-02", "item-03", user_id="other")
    rule("boost", item("item-03"), factor=5)
    rule("bury", item("item-01"), factor=0.1)
    answer = recommend("popular", count=3)
    assert ids(answer) == ["item-03", "item-02", "item-01"]
    assert rules_of(answer) == {"item-03": ["boost"], "item-01": ["bury"]}


def test_a_boost_reaches_items_beyond_the_end_of_the_list(
    shop: Tenant, rule: Rule, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-01", "item-01", "item-02", "item-02", "item-03", user_id="other")
    rule("boost", item("item-03"), factor=10)
    assert ids(recommend("popular", count=1)) == ["item-03"]


@pytest.mark.parametrize("scenario", ["home", "product", "popular", "trending"])
def test_hide_always_wins(
    scenario: str, live_model: ModelVersion, rule: Rule, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-03", "item-04", user_id="walker")
    rule("pin", item("item-05"), position=1, settings={"priority": 1000})
    rule("promote", BOOTS, share=100, settings={"priority": 1000})
    rule("hide", {"range": {"field": "price", "gte": 5, "lte": 5}})
    rule("hide", item("item-07"), settings={"priority": -1000})

    answer = recommend(scenario, user_id="walker", items=["item-04"], count=12)

    assert not {"item-05", "item-07"} & set(ids(answer))
    assert "pin" not in {key for keys in rules_of(answer).values() for key in keys}


def test_a_filter_rule_leaves_only_its_target_and_the_list_is_full(
    shop: Tenant, rule: Rule, recommend: Recommend
) -> None:
    rule("filter", BOOTS)
    assert sorted(ids(recommend("popular", count=12))) == [f"item-{number:02d}" for number in range(1, 12, 2)]


def test_what_a_subject_excludes_or_a_request_filters_is_not_pinned(
    shop: Tenant, rule: Rule, post_events: Post, recommend: Recommend
) -> None:
    rule("pin", item("item-07"), position=1)
    assert ids(recommend("popular", count=1)) == ["item-07"]
    assert "item-07" not in ids(recommend("popular", count=12, exclude=["item-07"]))
    assert "item-07" not in ids(recommend("popular", count=12, filter=TENTS))
    post_events("item-07", type="purchase", user_id="buyer")
    assert "item-07" not in ids(recommend("popular", user_id="buyer", count=12))


def test_a_cap_holds_back_what_is_alike_and_says_where_it_gave_way(
    shop: Tenant, rule: Rule, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-01", "item-03", "item-05", "item-01", "item-03", "item-02", user_id="other")
    rule("cap", attribute="category", limit=1, window=2)
    answer = recommend("popular", count=4)
    assert [int(item_id[-2:]) % 2 for item_id in ids(answer)] == [1, 0, 1, 0]

    only_boots = recommend("popular", count=3, filter=BOOTS)
    assert [each["rules"] for each in only_boots["items"]] == [[], ["cap:relaxed"], ["cap:relaxed"]]


def test_items_that_only_the_log_knows_can_be_hidden_by_id(
    tenant: Tenant, post_events: Post, recommend: Recommend
) -> None:
    post_events("unlisted-1", "unlisted-2", user_id="walker")
    with tenant_scope(tenant.id):
        made = create_rule(actor="test", name="gone", kind="hide", target=item("unlisted-1"))
        publish_rule(rule_id=made.id, actor="test")
    assert ids(recommend("popular")) == ["unlisted-2"]


def test_a_rule_acts_in_its_scenarios_alone(shop: Tenant, rule: Rule, recommend: Recommend) -> None:
    rule("pin", item("item-07"), position=1, settings={"scenarios": ["trending"]})
    assert ids(recommend("trending", count=1)) == ["item-07"]
    assert rules_of(recommend("popular", count=12)) == {}


def test_a_rule_acts_within_its_schedule_to_the_moment(shop: Tenant, rule: Rule, recommend: Recommend) -> None:
    soon = timezone.now() + timedelta(seconds=2.5)
    rule("pin", item("item-07"), position=1, settings={"starts_at": soon, "ends_at": soon + timedelta(seconds=2)})

    def pinned() -> bool:
        return bool(rules_of(recommend("popular", count=3)))

    seen = [(pinned(), timezone.now())]
    while timezone.now() < soon + timedelta(seconds=3):
        time.sleep(0.2)
        seen.append((pinned(), timezone.now()))
    slack = timedelta(seconds=0.7)
    assert not any(was for was, at in seen if at < soon or at > soon + timedelta(seconds=2) + slack)
    assert all(was for was, at in seen if soon + slack < at < soon + timedelta(seconds=2))


@pytest.mark.parametrize(
    ("condition", "context", "expected"),
    [
        ({}, {}, True),
        ({"context": {"device": "mobile"}}, {"device": "mobile"}, True),
        ({"context": {"device": "mobile"}}, {"device": "desktop"}, False),
        ({"context": {"device": "mobile"}}, {}, False),
        ({"context": {"returning": True}}, {"returning": 1}, False),
        ({"context": {"gone": None}}, {}, False),
        ({"query": ["Trail  shoe"]}, {"query": "red trail SHOE size 42"}, True),
        ({"query": ["shoe"]}, {"query": "shoestring"}, False),
        ({"query": ["shoe", "hat"]}, {"query": "a hat"}, True),
        ({"query": ["跑鞋"]}, {"query": "红色跑鞋"}, True),
        ({"query": ["shoe"]}, {"query": ["shoe"]}, False),
        ({"category": ["boots"]}, {"category": "boots"}, True),
        ({"category": ["boots"]}, {"category": ["tents", "boots"]}, True),
        ({"category": ["boots"]}, {"category": "tents"}, False),
        ({"weekdays": [2]}, {}, True),
        ({"weekdays": [1, 3]}, {}, False),
        ({"hours": {"from": 17, "until": 18}}, {}, True),
        ({"hours": {"from": 18, "until": 20}}, {}, False),
        ({"hours": {"from": 22, "until": 18}}, {}, True),
        ({"hours": {"from": 22, "until": 17}}, {}, False),
        ({"context": {"device": "mobile"}, "hours": {"from": 18, "until": 20}}, {"device": "mobile"}, False),
    ],
)
def test_a_condition_is_asked_of_the_request(
    condition: dict[str, Any], context: dict[str, Any], expected: bool
) -> None:
    tuesday = datetime(2026, 11, 24, 17, 59, tzinfo=UTC)
    assert holds(condition, context, tuesday) == expected


def test_a_rule_waits_for_the_context_that_it_names(shop: Tenant, rule: Rule, recommend: Recommend) -> None:
    rule("filter", BOOTS, settings={"condition": {"category": ["boots"]}})
    assert len(ids(recommend("popular"))) == 12
    assert len(ids(recommend("popular", context={"category": "boots"}))) == 6


def test_a_change_is_felt_within_five_seconds_by_every_process(
    shop: Tenant, api: ApiClient, recommend: Recommend, start_server: Callable[..., str]
) -> None:
    recommend("popular")
    server = start_server()
    made = api.post("rules", {"name": "No boots", "kind": "hide", "target": BOOTS}).json()
    elsewhere = RemoteShop(server, api.raw_key)
    assert len(elsewhere.popular()) == 12

    assert api.post(f"rules/{made['id']}/publish", {}).status_code == 200
    assert seconds_until(lambda: not any(int(each[-2:]) % 2 for each in elsewhere.popular())) < 5
    assert api.post(f"rules/{made['id']}/unpublish", {}).status_code == 200
    assert seconds_until(lambda: len(elsewhere.popular()) == 12) < 5

    with tenant_scope(shop.id):
        patch_item(item_id="item-03", changes={"available": False})
    assert seconds_until(lambda: "item-03" not in elsewhere.popular()) < 5


class RemoteShop:
    """The API of a process of its own."""

    def __init__(self, address: str, raw_key: str) -> None:
        self.address, self.headers = address, {"Authorization": f"Bearer {raw_key}"}

    def popular(self) -> list[str]:
        import json
        from urllib.request import Request, urlopen

        body = json.dumps({"scenario": "popular", "subject": {"user_id": "u1"}}).encode()
        headers = self.headers | {"Content-Type": "application/json"}
        with urlopen(Request(f"{self.address}/api/v1/recommendations", body, headers), timeout=60) as answer:
            return ids(json.load(answer))


def seconds_until(done: Callable[[], bool]) -> float:
    started = time.monotonic()
    while not done():
        assert time.monotonic() - started < 60
        time.sleep(0.1)
    return time.monotonic() - started


def test_rules_cost_one_query_a_second_and_none_between(
    shop: Tenant, rule: Rule, post_events: Post, api: ApiClient
) -> None:
    post_events("item-03", "item-04", user_id="walker")
    rule("boost", TENTS, factor=2)
    rule("hide", item("item-09"))
    rule("cap", attribute="brand", limit=3)
    request = {"scenario": "popular", "subject": {"user_id": "walker"}, "count": 3}
    api.post("recommendations", request)

    def queries_about_rules(captured: CaptureQueriesContext) -> int:
        with captured as queries:
            assert api.post("recommendations", request).status_code == 200
        return sum("recommendation_rule" in query["sql"] for query in queries)

    time.sleep(BOOK_SECONDS)
    assert queries_about_rules(CaptureQueriesContext(connection)) == 1
    assert queries_about_rules(CapturedQueries()) == 0
