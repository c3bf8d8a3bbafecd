"""POST /api/v1/recommendations: each kind of list, what stays out of it, and what is recorded."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from behavior.popularity import refresh_item_popularity
from behavior.services import store_events
from decisions.selectors import get_decision
from serving.models import ModelVersion
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.recommendation.conftest import ITEMS, ids
from tests.conftest import ApiClient
from tests.queries import CapturedQueries

Post = Callable[..., None]
Recommend = Callable[..., dict[str, Any]]


def test_a_known_subject_gets_what_follows_from_its_events(
    live_model: ModelVersion, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-02", "item-03", "item-04", user_id="walker")

    answer = recommend("home", user_id="walker", count=3)

    assert answer["items"][0]["id"] == "item-05"
    assert answer["kind"] == "personalised"
    assert answer["model_version"] == str(live_model.id)
    assert (answer["policy"], answer["degraded"], answer["experiment"]) == ("greedy", None, None)
    assert [item["rank"] for item in answer["items"]] == [1, 2, 3]
    assert {item["propensity"] for item in answer["items"]} == {1.0}


def test_the_reason_names_the_event_that_spoke_for_the_item(
    live_model: ModelVersion, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-02", "item-03", "item-04", user_id="walker")

    [reason] = recommend("home", user_id="walker", count=1)["items"][0]["reasons"]

    assert reason["code"] == "because_of"
    assert reason["text"] == "because you viewed Tent 4"
    assert (reason["item_id"], reason["event_type"]) == ("item-04", "view")
    assert 0 < reason["weight"] <= 1
    assert UUID(reason["event_id"]).version == 7


def test_reasons_can_be_left_out(live_model: ModelVersion, post_events: Post, recommend: Recommend) -> None:
    post_events("item-04", user_id="walker")
    assert recommend("home", user_id="walker", count=1, explain=False)["items"][0]["reasons"] == []


def test_an_anonymous_visitor_is_served_as_well(
    live_model: ModelVersion, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-07", "item-08", anonymous_id="visitor", session_id="s1")

    answer = recommend("home", subject={"anonymous_id": "visitor", "session_id": "s1"}, count=1)

    assert ids(answer) == ["item-09"]


def test_what_a_visitor_did_before_logging_in_counts_with_what_the_user_did(
    live_model: ModelVersion, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-00", "item-01", user_id="walker", days_ago=3)
    post_events("item-07", "item-08", anonymous_id="visitor")

    assert ids(recommend("home", subject={"user_id": "walker"}, count=1)) == ["item-02"]
    assert ids(recommend("home", subject={"user_id": "walker", "anonymous_id": "visitor"}, count=1)) == ["item-09"]


def test_the_next_answer_follows_a_posted_event(
    live_model: ModelVersion, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-02", "item-03", user_id="walker")
    before = recommend("home", user_id="walker", count=3)

    post_events("item-09", user_id="walker")

    assert ids(recommend("home", user_id="walker", count=3)) != ids(before)


def test_a_subject_never_seen_gets_what_is_popular_and_that_is_no_failure(
    live_model: ModelVersion, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-06", "item-06", "item-06", "item-02", user_id="other")

    answer = recommend("home", user_id="stranger", count=2)

    assert ids(answer) == ["item-06", "item-02"]
    assert answer["degraded"] is None
    assert answer["items"][0]["reasons"] == [{"code": "popular", "text": "popular with others", "weight": 0.75}]


def test_without_consent_events_are_not_used(live_model: ModelVersion, post_events: Post, recommend: Recommend) -> None:
    post_events("item-06", "item-06", user_id="other")
    post_events("item-02", "item-03", user_id="private", consent={"personalisation": False})

    answer = recommend("home", user_id="private", count=1)

    assert answer["items"][0]["reasons"][0]["code"] == "popular"


def test_shown_items_do_not_push_what_was_done_out_of_the_sequence(
    live_model: ModelVersion, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-03", "item-04", user_id="walker", days_ago=1)
    post_events(*ITEMS * 5, type="impression", user_id="walker")

    assert ids(recommend("home", user_id="walker", count=1)) == ["item-05"]


def test_without_a_model_the_popular_stand_in(shop: Tenant, post_events: Post, recommend: Recommend) -> None:
    post_events("item-06", "item-06", "item-02", user_id="walker")

    answer = recommend("home", user_id="walker", count=2)

    assert ids(answer) == ["item-06", "item-02"]
    assert (answer["degraded"], answer["model_version"]) == ("popular", None)


def test_without_events_the_newest_items_stand_in(shop: Tenant, recommend: Recommend) -> None:
    answer = recommend("home", count=12)

    assert sorted(ids(answer)) == ITEMS
    assert answer["degraded"] == "newest"
    assert answer["items"][0]["reasons"][0]["text"] == "new in the catalogue"


def test_with_nothing_at_all_the_list_is_empty_and_says_why(tenant: Tenant, recommend: Recommend) -> None:
    answer = recommend("home")

    assert answer["items"] == []
    assert answer["degraded"] == "empty"
    assert answer["notice"] == "nothing to recommend yet: send events, or put items into the catalogue"


def test_without_a_catalogue_items_of_the_log_are_recommended(
    tenant: Tenant, post_events: Post, recommend: Recommend
) -> None:
    post_events("unlisted-1", user_id="walker")
    assert ids(recommend("popular")) == ["unlisted-1"]
    assert ids(recommend("popular", params={"require_known_items": True})) == []


def test_similar_items_go_with_the_seeds(live_model: ModelVersion, recommend: Recommend) -> None:
    answer = recommend("product", items=["item-03"], count=3)

    assert answer["items"][0]["id"] == "item-04"
    assert answer["items"][0]["reasons"][0] | {"weight": 0} == {
        "code": "similar_to",
        "text": "goes with Boot 3",
        "item_id": "item-03",
        "weight": 0,
    }
    assert answer["degraded"] is None
    assert answer["model_version"] == str(live_model.id)


def test_similar_items_start_from_the_last_view_when_no_seed_is_given(
    live_model: ModelVersion, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-01", "item-07", user_id="walker")

    answer = recommend("product", user_id="walker", count=11)

    assert answer["items"][0]["id"] == "item-08"
    assert "item-07" not in ids(answer)


def test_an_unknown_seed_gives_the_popular_instead(
    live_model: ModelVersion, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-06", user_id="other")

    answer = recommend("product", items=["no-such-item"], count=1)

    assert ids(answer) == ["item-06"]
    assert answer["degraded"] == "popular"


def test_popular_weighs_events_by_type(shop: Tenant, post_events: Post, recommend: Recommend) -> None:
    post_events("item-01", "item-01", "item-01", user_id="a")
    post_events("item-02", type="purchase", user_id="b")
    post_events("item-03", "item-03", "item-03", "item-03", "item-03", "item-03", type="impression", user_id="c")

    assert ids(recommend("popular", count=2)) == ["item-02", "item-01"]
    assert ids(recommend("popular", count=1, params={"event_weights": {"purchase": 2}})) == ["item-03"]


def test_popular_reads_the_hourly_counts(shop: Tenant, post_events: Post, recommend: Recommend) -> None:
    post_events("item-01", "item-01", "item-02", user_id="a")
    with tenant_scope(shop.id):
        refresh_item_popularity()

    answer = recommend("popular", count=2)

    assert ids(answer) == ["item-01", "item-02"]
    assert [item["score"] for item in answer["items"]] == pytest.approx([2 / 3, 1 / 3])


def test_trending_shows_what_has_grown_and_not_what_is_big(shop: Tenant, recommend: Recommend) -> None:
    with tenant_scope(shop.id):
        # item-00: 40 views in each week. item-05: 2 a week, then 20.
        events = [
            {
                "message_id": f"{item}-{day}-{number}",
                "type": "view",
                "subject": {"user_id": f"u{number}"},
                "item_id": item,
                "created_at": f"2026-{day}T10:00:00Z",
            }
            for day, views in {"10-05": 2, "10-12": 2, "10-19": 2, "10-26": 2, "11-02": 20}.items()
            for item, count in (("item-00", 40), ("item-05", views))
            for number in range(count)
        ]
        store_events(events=events, source="test", historical=True)
        refresh_item_popularity()

    answer = recommend("trending", count=1)

    assert ids(answer) == ["item-05"]
    assert answer["items"][0]["reasons"][0]["text"] == "wanted more than it used to be"
    assert answer["items"][0]["reasons"][0]["weight"] == pytest.approx(0.9)


def test_exploration_draws_from_the_scores_with_known_propensities(
    live_model: ModelVersion, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-03", "item-04", user_id="walker")

    answers = [recommend("home", user_id="walker", count=2, params={"temperature": 5.0}) for _ in range(12)]

    assert len({tuple(ids(answer)) for answer in answers}) > 1
    assert all(0 < item["propensity"] < 1 for answer in answers for item in answer["items"])
    assert answers[0]["policy"] == "softmax(5)"
    codes = {reason["code"] for answer in answers for item in answer["items"] for reason in item["reasons"]}
    assert "explored" in codes


def test_what_was_answered_is_kept_with_all_that_belongs_to_it(
    live_model: ModelVersion, post_events: Post, recommend: Recommend, tenant: Tenant
) -> None:
    post_events("item-03", "item-04", user_id="walker")

    answer = recommend("home", user_id="walker", count=2, exclude=["item-11"], context={"page": "start"})

    with tenant_scope(tenant.id):
        decision = get_decision(UUID(answer["decision_id"]))
    assert decision.items == answer["items"]
    assert (decision.application, decision.scenario) == ("recommendation", "home")
    assert decision.model_version == live_model.id
    assert decision.request["exclude"] == ["item-11"]
    assert decision.request["context"] == {"page": "start"}
    assert decision.latency_ms > 0


def test_a_list_costs_few_queries(live_model: ModelVersion, post_events: Post, api: ApiClient) -> None:
    post_events("item-03", "item-04", user_id="walker")
    request = {"scenario": "home", "subject": {"user_id": "walker"}, "count": 3}
    api.post("recommendations", request)

    with CapturedQueries() as queries:
        assert api.post("recommendations", request).status_code == 200

    # Scope and key; events, bought items; permitted items, titles of the reasons; the decision.
    data = [
        query["sql"] for query in queries if not query["sql"].startswith(("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE"))
    ]
    assert len(data) <= 6, data
