"""POST /api/v1/recommendations/pages: several lists, one subject, no repeats."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from decisions.models import Decision
from decisions.selectors import get_decision
from serving.models import ModelVersion
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.recommendation.conftest import ids
from tests.conftest import ApiClient
from tests.queries import CapturedQueries

Post = Callable[..., None]
WALKER = {"user_id": "walker"}


def ask(api: ApiClient, *slots: Any, **request: Any) -> dict[str, Any]:
    answer = api.post("recommendations/pages", {"subject": WALKER, "slots": list(slots)} | request)
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


def test_no_item_appears_in_two_slots(live_model: ModelVersion, post_events: Post, api: ApiClient) -> None:
    post_events("item-03", "item-04", user_id="walker")

    page = ask(api, {"scenario": "home", "count": 4}, {"scenario": "popular", "count": 4, "slot": "below"})

    home, popular = page["slots"]
    assert (home["slot"], popular["slot"]) == ("home", "below")
    assert ids(home["recommendation"])[0] == "item-05"
    assert len({*ids(home["recommendation"]), *ids(popular["recommendation"])}) == 8


def test_slots_may_share_items_where_asked_for(live_model: ModelVersion, api: ApiClient) -> None:
    slot = {"scenario": "popular", "count": 4}
    one, two = ask(api, slot, slot, distinct=False)["slots"]
    assert ids(one["recommendation"]) == ids(two["recommendation"])


def test_each_slot_is_a_decision_that_names_the_page(live_model: ModelVersion, api: ApiClient, tenant: Tenant) -> None:
    page = ask(api, {"scenario": "popular", "count": 2}, {"scenario": "home", "count": 2})

    with tenant_scope(tenant.id):
        stored = [get_decision(UUID(slot["recommendation"]["decision_id"])) for slot in page["slots"]]
    assert [each.scenario for each in stored] == ["popular", "home"]
    assert {each.request["page_id"] for each in stored} == {page["page_id"]}


def test_the_next_page_of_a_slot_stays_apart_from_the_other_slots(live_model: ModelVersion, api: ApiClient) -> None:
    first, second = ask(api, {"scenario": "popular", "count": 3}, {"scenario": "home", "count": 3})["slots"]
    cursor = second["recommendation"]["next_cursor"]

    more = api.post("recommendations", {"scenario": "home", "subject": WALKER, "count": 12, "cursor": cursor}).json()

    shown = {*ids(first["recommendation"]), *ids(second["recommendation"])}
    assert len(shown) == 6
    assert len(ids(more)) == 6
    assert shown.isdisjoint(ids(more))


def test_a_wrong_slot_costs_the_others_nothing(live_model: ModelVersion, api: ApiClient, tenant: Tenant) -> None:
    page = ask(
        api,
        {"scenario": "nowhere"},
        {"scenario": "home", "count": 0},
        {"count": 3},
        {"scenario": "category", "slot": "shelf"},
        {"scenario": "popular", "count": 3},
    )

    unknown, bad, nameless, shelf, good = page["slots"]
    assert (unknown["problem"]["status"], unknown["recommendation"]) == (404, None)
    assert bad["problem"]["errors"][0]["pointer"] == "#/count"
    assert (nameless["slot"], nameless["problem"]["errors"][0]["pointer"]) == ("3", "#/scenario")
    assert (shelf["slot"], shelf["problem"]["errors"][0]["pointer"]) == ("shelf", "#/context")
    assert (len(good["recommendation"]["items"]), good["problem"]) == (3, None)
    with tenant_scope(tenant.id):
        assert Decision.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"slots": []}, "/slots"),
        ({"slots": ["home"]}, "/slots/0"),
        ({"slots": [{"scenario": "home"}] * 21}, "/slots"),
        ({"subject": {}}, "/subject"),
        ({"distinct": "perhaps"}, "/distinct"),
        ({"count": 3}, "/count"),
    ],
)
def test_a_bad_page_is_refused(change: dict[str, Any], pointer: str, api: ApiClient) -> None:
    request = {"subject": WALKER, "slots": [{"scenario": "home"}]} | change

    answer = api.post("recommendations/pages", request)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == f"#{pointer}"


def test_a_slot_is_explained_as_it_asks(live_model: ModelVersion, post_events: Post, api: ApiClient) -> None:
    post_events("item-03", "item-04", user_id="walker")

    full, plain = ask(
        api, {"scenario": "home", "count": 2, "explain": "full"}, {"scenario": "home", "count": 2, "explain": False}
    )["slots"]

    assert all(item["members"] for item in full["recommendation"]["items"])
    assert full["recommendation"]["explanation"]["available"]
    assert not any(item["reasons"] or "members" in item for item in plain["recommendation"]["items"])


def test_the_subject_is_read_once_for_all_slots(live_model: ModelVersion, post_events: Post, api: ApiClient) -> None:
    post_events("item-03", "item-04", user_id="walker")
    slots = [{"scenario": "home", "count": 2}, {"scenario": "session", "count": 2}, {"scenario": "home", "count": 2}]
    ask(api, *slots)

    with CapturedQueries() as queries:
        ask(api, *slots)

    reads = [query["sql"] for query in queries if "behavior_person(" in query["sql"]]
    assert len(reads) == 2, reads
