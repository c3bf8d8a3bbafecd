"""Pages of one list: no repeats, ranks that count on, the same parameters, and an end."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from apps.recommendation.lists.paging import MOST_PAGES, read_cursor, write_cursor
from apps.recommendation.scenarios import DEFAULT_SCENARIOS
from decisions.selectors import get_decision
from serving.models import ModelVersion
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.recommendation.conftest import ITEMS, ids
from tests.conftest import ApiClient
from tests.queries import CapturedQueries

Post = Callable[..., None]
Recommend = Callable[..., dict[str, Any]]
BOOTS = {"eq": {"field": "categories", "value": "boots"}}


def pages(recommend: Recommend, scenario: str, **request: Any) -> list[dict[str, Any]]:
    found = [recommend(scenario, **request)]
    while cursor := found[-1]["next_cursor"]:
        found.append(
            recommend(scenario, subject=request.get("subject"), user_id=request.get("user_id"), cursor=cursor, count=5)
        )
    return found


@pytest.mark.parametrize(
    "scenario", [each.key for each in DEFAULT_SCENARIOS if not each.key.startswith(("rec", "buy", "search"))]
)
def test_pages_show_every_item_once_and_end(
    scenario: str, live_model: ModelVersion, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-03", "item-04", user_id="walker")

    found = pages(recommend, scenario, user_id="walker", count=5, filter=BOOTS, params={"exclude_bought_days": 0})

    assert [len(page["items"]) for page in found] == [5, 1]
    shown = [item for page in found for item in page["items"]]
    assert sorted(item["id"] for item in shown) == [item for item in ITEMS if int(item[-2:]) % 2]
    assert [item["rank"] for item in shown] == [1, 2, 3, 4, 5, 6]
    assert len({page["decision_id"] for page in found}) == 2


def test_together_the_pages_are_the_whole_list(
    live_model: ModelVersion, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-03", "item-04", user_id="walker")

    found = pages(recommend, "home", user_id="walker", count=5)

    whole = recommend("home", user_id="walker", count=12)
    assert [item for page in found for item in ids(page)] == ids(whole)
    assert [len(page["items"]) for page in found] == [5, 5, 2]
    assert whole["next_cursor"] is None
    assert found[-1]["notice"] == "only 2 of 5: this is the end of the list"


def test_each_page_is_a_decision_that_names_those_before_it(
    live_model: ModelVersion, recommend: Recommend, tenant: Tenant
) -> None:
    first, second, third = pages(recommend, "popular", user_id="walker", count=5, context={"place": "start"})

    with tenant_scope(tenant.id):
        stored = [get_decision(UUID(page["decision_id"])).request for page in (first, second, third)]
    assert "page" not in stored[0]
    assert stored[1]["page"] == {"number": 2, "first": first["decision_id"], "previous": first["decision_id"]}
    assert stored[2]["page"] == {"number": 3, "first": first["decision_id"], "previous": second["decision_id"]}
    assert stored[2]["context"] == {"place": "start"}


def test_a_cursor_used_twice_gives_the_same_page(live_model: ModelVersion, recommend: Recommend) -> None:
    cursor = recommend("popular", count=5)["next_cursor"]
    assert ids(recommend("popular", count=5, cursor=cursor)) == ids(recommend("popular", count=5, cursor=cursor))


@pytest.mark.parametrize(
    ("change", "pointer", "says"),
    [
        ({"filter": BOOTS}, "/filter", "differs from the list's first page; leave it out"),
        ({"exclude": ["item-01"]}, "/exclude", "differs"),
        ({"params": {"diversity": 1}}, "/params", "differs"),
        ({"scenario": "trending"}, "/cursor", "not a cursor of this scenario's lists; start again"),
        ({"subject": {"user_id": "other"}}, "/cursor", "another subject's list"),
    ],
)
def test_a_list_that_changes_between_pages_is_refused(
    change: dict[str, Any], pointer: str, says: str, live_model: ModelVersion, recommend: Recommend, api: ApiClient
) -> None:
    request = {"scenario": "popular", "subject": {"user_id": "walker"}, "count": 5}
    cursor = recommend("popular", user_id="walker", count=5)["next_cursor"]
    assert api.post("recommendations", request | {"cursor": cursor}).status_code == 200

    answer = api.post("recommendations", request | {"cursor": cursor} | change)

    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert error["pointer"] == f"#{pointer}"
    assert says in error["message"]


def test_another_tenants_cursor_is_none(live_model: ModelVersion, recommend: Recommend, other_api: ApiClient) -> None:
    cursor = recommend("popular", user_id="walker", count=5)["next_cursor"]
    request = {"scenario": "popular", "subject": {"user_id": "walker"}, "cursor": cursor}
    assert other_api.post("recommendations", request).status_code == 400


def test_a_page_costs_one_query_more(live_model: ModelVersion, post_events: Post, api: ApiClient) -> None:
    post_events("item-03", "item-04", user_id="walker")
    request = {"scenario": "home", "subject": {"user_id": "walker"}, "count": 3}
    first = api.post("recommendations", request).json()
    second = api.post("recommendations", request | {"cursor": first["next_cursor"]}).json()

    with CapturedQueries() as queries:
        third = api.post("recommendations", request | {"cursor": second["next_cursor"]})

    assert third.status_code == 200
    data = [each["sql"] for each in queries if not each["sql"].startswith(("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE"))]
    assert len(data) <= 8, data


@given(st.integers(1, MOST_PAGES - 1))
def test_a_cursor_is_read_as_it_was_written(number: int) -> None:
    decision_ids = tuple(uuid7() for _ in range(number))
    assert read_cursor(write_cursor(decision_ids) or "") == decision_ids


def test_a_list_has_at_most_twenty_pages() -> None:
    assert write_cursor([uuid7()] * MOST_PAGES) is None
