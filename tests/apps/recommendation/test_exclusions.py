"""What stays out of a list, always, and that a list is full as long as matching items exist."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.recommendation.lists.asking import Ask
from apps.recommendation.services import create_default_scenarios, preview
from behavior.subjects import read_subject
from catalog.services import upsert_items
from serving.models import ModelVersion
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.recommendation.conftest import ITEMS, catalogue, ids

Post = Callable[..., None]
Recommend = Callable[..., dict[str, Any]]
SCENARIOS = ("home", "product", "also-bought", "cart", "session", "popular", "trending")
BOOTS = {"eq": {"field": "categories", "value": "boots"}}


def test_excluded_items_do_not_appear(live_model: ModelVersion, post_events: Post, recommend: Recommend) -> None:
    post_events("item-03", "item-04", user_id="walker")
    answer = recommend("home", user_id="walker", count=12, exclude=["item-05", "item-06"])
    assert sorted(ids(answer)) == sorted(set(ITEMS) - {"item-05", "item-06"})


def test_what_was_bought_lately_does_not_appear(
    live_model: ModelVersion, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-05", type="purchase", user_id="walker", days_ago=20)
    post_events("item-03", "item-04", user_id="walker")

    assert "item-05" not in ids(recommend("home", user_id="walker", count=12))
    assert "item-05" in ids(recommend("home", user_id="walker", count=12, params={"exclude_bought_days": 10}))
    assert "item-05" in ids(recommend("home", user_id="walker", count=12, params={"exclude_bought_days": 0}))


def test_a_shop_names_the_event_types_that_mean_bought(
    live_model: ModelVersion, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-05", type="transaction", user_id="walker")
    assert "item-05" in ids(recommend("home", user_id="walker", count=12))
    assert "item-05" not in ids(recommend("home", user_id="walker", count=12, params={"bought_types": ["transaction"]}))


def test_what_was_seen_stays_out_where_asked_for(
    live_model: ModelVersion, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-03", "item-04", user_id="walker")
    answer = recommend("home", user_id="walker", count=12, params={"exclude_seen": True})
    assert sorted(ids(answer)) == sorted(set(ITEMS) - {"item-03", "item-04"})


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("change", [{"hidden": True}, {"available": False}])
def test_hidden_and_unavailable_items_appear_nowhere(
    scenario: str,
    change: dict[str, bool],
    shop: Tenant,
    live_model: ModelVersion,
    post_events: Post,
    recommend: Recommend,
) -> None:
    post_events("item-05", "item-05", "item-04", user_id="walker")
    with tenant_scope(shop.id):
        upsert_items([catalogue()[5] | change])

    answer = recommend(scenario, user_id="walker", items=["item-04"], count=12)

    assert "item-05" not in ids(answer)
    assert len(answer["items"]) >= 10


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_filtered_list_is_full(
    scenario: str, live_model: ModelVersion, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-02", "item-03", user_id="walker")

    answer = recommend(scenario, user_id="walker", items=["item-02"], count=6, filter=BOOTS)

    assert sorted(ids(answer)) == ["item-01", "item-03", "item-05", "item-07", "item-09", "item-11"]
    assert answer["notice"] is None


def test_the_filter_of_the_scenario_and_the_one_of_the_request_both_hold(
    live_model: ModelVersion, recommend: Recommend
) -> None:
    cheap = {"range": {"field": "price", "lt": 4}}

    answer = recommend("popular", count=12, filter=BOOTS, params={"filter": cheap})

    assert sorted(ids(answer)) == ["item-01", "item-03"]
    assert answer["notice"] == "only 2 of 12: no other item is available and passes the filter and the exclusions"


def test_items_of_the_log_that_the_catalogue_does_not_know_pass_no_filter(
    live_model: ModelVersion, post_events: Post, recommend: Recommend
) -> None:
    post_events("unlisted", "unlisted", user_id="other")
    assert "unlisted" not in ids(recommend("popular", count=12))
    assert "unlisted" in ids(recommend("popular", count=12, params={"require_known_items": False}))
    assert "unlisted" not in ids(recommend("popular", count=12, params={"require_known_items": False}, filter=BOOTS))


TUNED: list[dict[str, Any]] = [
    {},
    {"temperature": 1.0},
    {"diversity": 0.5, "temperature": 0.5},
    {"category_window": {"size": 4, "limit": 1}},
    {"freshness": 1, "price": -1},
]
subsets = st.sets(st.sampled_from(ITEMS))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scenario=st.sampled_from(SCENARIOS),
    excluded=subsets,
    gone=subsets,
    only_boots=st.booleans(),
    tuned=st.sampled_from(TUNED),
    count=st.integers(1, 12),
)
def test_exclusions_never_leak_and_nothing_else_is_missing(
    shop: Tenant,
    live_model: ModelVersion,
    scenario: str,
    excluded: set[str],
    gone: set[str],
    only_boots: bool,
    tuned: dict[str, Any],
    count: int,
) -> None:
    with tenant_scope(shop.id):
        create_default_scenarios()
        upsert_items([item | {"available": item["id"] not in gone} for item in catalogue()])
        answer = preview(
            Ask(
                scenario=scenario,
                subject=read_subject({"user_id": "walker"}),
                count=count,
                items=["item-04"],
                exclude=sorted(excluded),
                filter=BOOTS if only_boots else None,
                params=tuned,
            )
        )

    shown = [item["id"] for item in answer.items]
    seeds = {"item-04"} if scenario in ("product", "also-bought", "cart") else set()
    allowed = set(ITEMS) - excluded - gone - seeds
    if only_boots:
        allowed = {item for item in allowed if int(item[-2:]) % 2}
    assert len(shown) == len(set(shown)) == min(count, len(allowed))
    assert set(shown) <= allowed


def test_a_saved_filter_that_went_after_the_request_was_checked_is_named(shop: Tenant) -> None:
    with tenant_scope(shop.id):
        create_default_scenarios()
        ask = Ask(scenario="popular", subject=read_subject({"user_id": "u1"}), filter={"saved": "gone"})
        with pytest.raises(ValidationError) as refused:
            preview(ask)
    assert "there is no saved filter 'gone'" in refused.value.message_dict["filter"][0]
