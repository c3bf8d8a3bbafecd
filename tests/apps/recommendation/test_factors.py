"""What tunes a list: freshness, price, rotation and what the subject refused; each a named factor of the score."""

from collections.abc import Callable
from datetime import timedelta
from math import prod
from typing import Any

import pytest
from django.utils import timezone

from catalog.models import Item
from catalog.services import upsert_items
from serving.models import ModelVersion
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.recommendation.conftest import ITEMS, catalogue, ids
from tests.conftest import ApiClient
from tests.queries import CapturedQueries

Post = Callable[..., None]
Recommend = Callable[..., dict[str, Any]]


def parts(answer: dict[str, Any]) -> dict[str, dict[str, float]]:
    return {item["id"]: item["parts"] for item in answer["items"]}


@pytest.fixture
def evenly_popular(shop: Tenant, post_events: Post) -> None:
    """Each item has one view, so that what tunes the list alone decides."""
    post_events(*ITEMS, user_id="crowd")


def test_freshness_prefers_new_items_or_old_ones(evenly_popular: None, shop: Tenant, recommend: Recommend) -> None:
    with tenant_scope(shop.id):
        for number, item in enumerate(ITEMS):
            Item.objects.filter(item_id=item).update(created_at=timezone.now() - timedelta(days=10 * number))

    new = recommend("popular", params={"freshness": 1, "freshness_days": 30}, count=12)
    old = recommend("popular", params={"freshness": -0.5}, count=12)

    assert ids(new) == ITEMS
    assert ids(old) == ITEMS[::-1]
    # Aged one half-life, an item neither wins nor loses; a new one weighs sqrt(10).
    assert parts(new)["item-03"]["freshness"] == pytest.approx(1.0, abs=1e-4)
    assert parts(new)["item-00"]["freshness"] == pytest.approx(10**0.5, abs=1e-3)


def test_price_leans_to_what_is_dearer_or_cheaper_than_usual(
    evenly_popular: None, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-02", user_id="walker")

    dear = recommend("popular", user_id="walker", params={"price": 1}, count=12)
    cheap = recommend("popular", user_id="walker", params={"price": -1}, count=12)

    # The subject's usual price is 2: eight and more is four times that, the end of the scale.
    assert parts(dear)["item-02"]["price"] == pytest.approx(1.0)
    assert parts(dear)["item-04"]["price"] == pytest.approx(10**0.25)
    assert parts(dear)["item-08"]["price"] == parts(dear)["item-11"]["price"] == pytest.approx(10**0.5)
    assert parts(cheap)["item-08"]["price"] == pytest.approx(10**-0.5)
    assert ids(cheap)[0] == "item-00"


def test_without_a_usual_price_the_candidates_own_median_counts(evenly_popular: None, recommend: Recommend) -> None:
    answer = recommend("popular", user_id="stranger", params={"price": 1}, count=12)
    assert parts(answer)["item-05"]["price"] < 1.0 < parts(answer)["item-06"]["price"]


def test_the_score_is_the_product_of_its_parts(evenly_popular: None, recommend: Recommend) -> None:
    answer = recommend("popular", params={"price": 0.5, "freshness": 0.5, "rotation_rate": 0.1}, count=5)
    for item in answer["items"]:
        assert item["score"] == pytest.approx(prod(item["parts"].values()))
    assert "parts" not in recommend("popular", explain=False, count=1)["items"][0]


def test_rotation_brings_others_forward_on_the_next_visit(evenly_popular: None, recommend: Recommend) -> None:
    rotating = {"params": {"rotation_rate": 0.3}, "user_id": "walker", "count": 4}
    lists = [recommend("popular", **rotating) for _ in range(4)]

    assert len({item for each in lists[:3] for item in ids(each)}) == 12
    assert parts(lists[3])[ids(lists[3])[0]]["rotation"] == pytest.approx(0.7)
    stranger = recommend("popular", **rotating | {"user_id": "stranger"})
    assert ids(stranger) == ids(lists[0])


def test_rotation_counts_impressions_of_other_places_too(
    evenly_popular: None, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-00", "item-01", type="impression", user_id="walker")
    post_events("item-02", type="impression", user_id="walker", days_ago=2)

    answer = recommend("popular", user_id="walker", params={"rotation_rate": 0.3, "rotation_hours": 24}, count=12)

    assert ids(answer)[0] == "item-02"
    assert ids(answer)[-2:] == ["item-00", "item-01"]


def test_what_was_hidden_is_gone_at_once_and_back_when_taken_back(
    live_model: ModelVersion, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-03", "item-04", user_id="walker")
    assert ids(recommend("home", user_id="walker"))[0] == "item-05"

    post_events("item-05", type="hide", user_id="walker")
    hidden = recommend("home", user_id="walker")
    assert sorted(ids(hidden)) == sorted(set(ITEMS) - {"item-05"})
    assert "item-05" in ids(recommend("home", user_id="other"))

    post_events("item-05", type="unhide", user_id="walker")
    assert ids(recommend("home", user_id="walker"))[0] == "item-05"


def test_items_like_a_refused_one_lose_score_for_a_while(
    evenly_popular: None, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-01", type="dislike", user_id="walker")
    post_events("item-01", type="dislike", user_id="long-ago", days_ago=20)

    answer = recommend("popular", user_id="walker", count=11)
    faded = recommend("popular", user_id="long-ago", params={"negative_days": 10}, count=11)
    off = recommend("popular", user_id="walker", params={"negative_damping": 0}, count=11)

    boots = [item for item in ITEMS if int(item[-2:]) % 2]
    assert set(ids(answer)[:6]).isdisjoint(boots)
    assert parts(answer)["item-03"]["negative_feedback"] == pytest.approx(0.5, abs=0.001)
    assert parts(answer)["item-02"]["negative_feedback"] == 1.0
    assert parts(faded)["item-03"]["negative_feedback"] == pytest.approx(1 - 0.5 / 4, abs=0.001)
    assert "item-01" not in ids(off)
    assert "negative_feedback" not in parts(off)["item-03"]


def test_a_refused_item_speaks_for_nothing_and_is_not_popular(
    live_model: ModelVersion, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-03", "item-08", user_id="walker")
    post_events("item-08", type="not_interested", user_id="walker")
    for _ in range(3):
        post_events("item-11", type="dislike", user_id="other")

    answer = recommend("home", user_id="walker", count=12)
    assert ids(answer)[0] == "item-04"
    assert {reason.get("item_id") for item in answer["items"] for reason in item["reasons"]} <= {None, "item-03"}
    assert ids(recommend("popular", params={"fill": False}, count=12)) == ["item-03", "item-08"]


def test_taken_off_a_wish_list_is_no_refusal(live_model: ModelVersion, post_events: Post, recommend: Recommend) -> None:
    post_events("item-05", type="remove_from_wishlist", user_id="walker")
    assert "item-05" in ids(recommend("home", user_id="walker"))


def test_a_shop_names_its_own_refusals(live_model: ModelVersion, post_events: Post, recommend: Recommend) -> None:
    post_events("item-05", type="thumbs_down", user_id="walker")
    own = {"negative_types": ["thumbs_down"], "undo_types": ["thumbs_up"]}
    assert "item-05" not in ids(recommend("home", user_id="walker", params=own))
    assert "item-05" in ids(recommend("home", user_id="walker"))


def test_categories_do_not_crowd_a_window(evenly_popular: None, shop: Tenant, recommend: Recommend) -> None:
    with tenant_scope(shop.id):
        upsert_items([item | {"categories": ["boots"]} for item in catalogue() if item["id"] != "item-10"])

    answer = recommend("popular", params={"category_window": {"size": 3, "limit": 2}}, count=4)

    assert ids(answer)[2] == "item-10"
    assert [item["rules"] for item in answer["items"]] == [[], [], [], []]
    relaxed = recommend("popular", params={"category_window": {"size": 4, "limit": 1}}, count=4)
    assert [item["rules"] for item in relaxed["items"]] == [[], [], *[["category_window_relaxed"]] * 2]


def test_refusals_and_tuning_cost_no_more_queries_than_they_must(
    live_model: ModelVersion, post_events: Post, api: ApiClient
) -> None:
    post_events("item-03", "item-04", user_id="walker")
    post_events("item-08", type="hide", user_id="walker")
    request = {"scenario": "home", "subject": {"user_id": "walker"}, "count": 2}
    tuned = request | {"params": {"diversity": 0.3, "freshness": 0.3, "category_window": {"size": 3, "limit": 2}}}
    rotated = request | {"params": {"rotation_rate": 0.5, "price": 0.5}}

    def queries_of(asked: dict[str, Any]) -> int:
        api.post("recommendations", asked)
        with CapturedQueries() as queries:
            assert api.post("recommendations", asked).status_code == 200
        return sum(not each["sql"].startswith(("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")) for each in queries)

    assert queries_of(request) <= 7
    assert queries_of(tuned) <= 7
    # One for what was shown, one for the subject's prices.
    assert queries_of(rotated) <= 9
