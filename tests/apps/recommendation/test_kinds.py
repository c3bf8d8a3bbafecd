"""Each kind of scenario: where its list comes from, what stands in for it, and what it never shows."""

from collections.abc import Callable
from typing import Any

import pytest

from apps.recommendation.lists.habits import refresh_purchase_habits
from apps.recommendation.scenarios import DEFAULT_SCENARIOS
from apps.recommendation.services import ASKED_ELSEWHERE
from catalog.services import upsert_items
from serving.models import ModelVersion
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.recommendation.conftest import ITEMS, catalogue, ids

Post = Callable[..., None]
Recommend = Callable[..., dict[str, Any]]


@pytest.fixture
def bought(shop: Tenant, post_events: Post) -> None:
    """item-00 goes with item-07 in one basket, and with item-09 over the weeks; item-03 is bought by everybody."""
    for number in range(3):
        post_events("item-00", "item-07", "item-03", type="purchase", user_id=f"a{number}", days_ago=3)
        post_events("item-09", type="purchase", user_id=f"a{number}", days_ago=20)
        post_events("item-03", "item-05", type="purchase", user_id=f"b{number}", days_ago=3)
    with tenant_scope(shop.id):
        refresh_purchase_habits()


def reason(answer: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = answer["items"][0]["reasons"][0]
    return found


def test_the_cart_shows_what_is_bought_at_once_with_its_items(bought: None, recommend: Recommend) -> None:
    answer = recommend("cart", items=["item-00", "item-11"], count=1)

    assert ids(answer) == ["item-07"]
    assert (reason(answer)["code"], reason(answer)["item_id"]) == ("bought_together", "item-00")
    assert reason(answer)["text"] == "often bought together with Tent 0"
    assert answer["degraded"] is None


def test_what_was_also_bought_may_lie_weeks_apart(bought: None, recommend: Recommend) -> None:
    answer = recommend("also-bought", items=["item-00"], count=2)

    assert ids(answer) == ["item-07", "item-09"]
    assert reason(answer)["text"] == "bought by others who bought Tent 0"


def test_seeds_are_never_in_the_list(bought: None, live_model: ModelVersion, recommend: Recommend) -> None:
    for scenario in ("product", "also-bought", "cart"):
        answer = recommend(scenario, items=["item-00", "item-07"], count=12)
        assert sorted(ids(answer)) == sorted(set(ITEMS) - {"item-00", "item-07"})


def test_without_purchases_the_model_stands_in_for_them(live_model: ModelVersion, recommend: Recommend) -> None:
    for scenario in ("also-bought", "cart"):
        answer = recommend(scenario, items=["item-03"], count=1)
        assert ids(answer) == ["item-04"]
        assert (reason(answer)["code"], answer["degraded"]) == ("similar_to", "similar_to")


def test_next_in_session_knows_this_visit_alone(
    live_model: ModelVersion, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-07", "item-08", user_id="walker", session_id="monday")
    post_events("item-02", user_id="walker", session_id="tuesday")

    assert ids(recommend("session", subject={"user_id": "walker", "session_id": "monday"}, count=1)) == ["item-09"]
    assert ids(recommend("session", subject={"user_id": "walker", "session_id": "tuesday"}, count=1)) == ["item-03"]
    fresh = recommend("session", subject={"user_id": "walker", "session_id": "wednesday"}, count=1)
    assert reason(fresh)["code"] == "popular"


def test_a_visit_without_a_session_id_goes_back_to_the_last_pause(
    live_model: ModelVersion, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-07", "item-08", user_id="walker", days_ago=1)
    assert reason(recommend("session", user_id="walker", count=1))["code"] == "popular"
    post_events("item-02", user_id="walker")

    answer = recommend("session", user_id="walker", count=1)

    assert ids(answer) == ["item-03"]


def test_a_category_page_shows_its_category_in_the_subjects_order(
    live_model: ModelVersion, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-03", "item-04", user_id="walker")

    answer = recommend("category", user_id="walker", context={"category": "boots"}, count=12)

    assert sorted(ids(answer)) == [item for item in ITEMS if int(item[-2:]) % 2]
    assert ids(answer)[0] == "item-05"
    by_filter = recommend("category", user_id="walker", filter={"eq": {"field": "categories", "value": "boots"}})
    assert ids(by_filter) == ids(answer)


def test_recently_viewed_are_the_subjects_own_newest_first_and_each_once(
    live_model: ModelVersion, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-05", "item-01", "item-05", "item-02", user_id="walker")
    post_events("item-01", type="purchase", user_id="walker")
    post_events("item-08", type="impression", user_id="walker")
    post_events("item-09", user_id="other")

    answer = recommend("recently-viewed", user_id="walker")

    assert ids(answer) == ["item-02", "item-05", "item-01"]
    assert reason(answer)["text"] == "you viewed this lately"
    assert answer["notice"].startswith("only 3 of 12")
    beside = recommend("recently-viewed", user_id="walker", items=["item-02"], params={"fill": True}, count=12)
    assert ids(beside)[:2] == ["item-05", "item-01"]
    assert sorted(ids(beside)) == sorted(set(ITEMS) - {"item-02"})


def test_a_shop_names_the_event_types_that_mean_viewed(shop: Tenant, post_events: Post, recommend: Recommend) -> None:
    post_events("item-05", type="page", user_id="walker")
    assert ids(recommend("recently-viewed", user_id="walker")) == []
    assert ids(recommend("recently-viewed", user_id="walker", params={"viewed_types": ["page"]})) == ["item-05"]


def test_buy_again_shows_what_is_due_by_the_usual_interval(
    shop: Tenant, post_events: Post, recommend: Recommend
) -> None:
    for number in range(3):
        post_events("item-01", type="purchase", user_id=f"u{number}", days_ago=20)
        post_events("item-01", type="purchase", user_id=f"u{number}", days_ago=10)
    with tenant_scope(shop.id):
        refresh_purchase_habits()
    post_events("item-01", "item-03", "item-02", type="purchase", user_id="walker", days_ago=9)
    post_events("item-01", type="purchase", user_id="early", days_ago=2)

    # item-03 has no interval of its own, but its category has; item-02 has none.
    answer = recommend("buy-again", user_id="walker")

    assert ids(answer) == ["item-01", "item-03"]
    assert reason(answer)["text"] == "you may need this again by now"
    assert answer["items"][0]["score"] == pytest.approx(0.9, abs=0.01)
    assert ids(recommend("buy-again", user_id="early")) == []


def test_buy_again_knows_the_subjects_own_interval_where_the_log_has_none(
    shop: Tenant, post_events: Post, recommend: Recommend
) -> None:
    for days_ago in (28, 19, 10):
        post_events("item-04", type="purchase", user_id="walker", days_ago=days_ago)
    assert ids(recommend("buy-again", user_id="walker")) == ["item-04"]


@pytest.mark.parametrize("scenario", [each.key for each in DEFAULT_SCENARIOS if each.kind not in ASKED_ELSEWHERE])
def test_no_kind_shows_what_is_hidden_sold_out_excluded_or_refused(
    scenario: str, live_model: ModelVersion, shop: Tenant, bought: None, post_events: Post, recommend: Recommend
) -> None:
    """The change is felt by the next request."""
    tents = [item for item in ITEMS if int(item[-2:]) % 2 == 0]
    for days_ago in (28, 20):
        post_events(*tents, type="purchase", user_id="walker", days_ago=days_ago)
    post_events(*tents, user_id="walker", session_id="s")
    subject = {"user_id": "walker", "session_id": "s"}
    asked = {
        "items": ["item-07"],
        "context": {"category": "tents"},
        "count": 12,
        "params": {"exclude_bought_days": 0, "fill": True},
    }
    before = recommend(scenario, subject=subject, **asked)
    assert set(tents) <= set(ids(before))

    with tenant_scope(shop.id):
        upsert_items([catalogue()[0] | {"hidden": True}, catalogue()[2] | {"available": False}])
    post_events("item-04", type="hide", user_id="walker")
    after = recommend(scenario, subject=subject, exclude=["item-06"], **asked)

    assert set(ids(after)) == set(ids(before)) - {"item-00", "item-02", "item-04", "item-06"}
    assert {
        reason["item_id"] for item in after["items"] for reason in item["reasons"] if "item_id" in reason
    }.isdisjoint({"item-04"})
