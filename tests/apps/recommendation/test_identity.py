"""Lists follow the person: across a login, a second device and a merge, and back again."""

from collections.abc import Callable
from typing import Any

import pytest

from behavior import logins
from serving.models import ModelVersion
from tests.apps.recommendation.conftest import ids
from tests.conftest import ApiClient
from tests.queries import CapturedQueries

Post = Callable[..., None]
Recommend = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def no_login_remembered() -> None:
    logins._remembered.clear()


def test_what_was_done_before_the_login_personalises_the_user(
    live_model: ModelVersion, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-09", type="purchase", anonymous_id="phone", days_ago=3)
    post_events("item-03", "item-04", anonymous_id="phone")
    before = recommend(subject={"anonymous_id": "phone"}, count=3)
    strangers = recommend(user_id="walker", count=3)
    assert "item-09" in ids(recommend(user_id="walker", count=12))

    recommend(subject={"user_id": "walker", "anonymous_id": "phone"})  # the request is the login

    after = recommend(user_id="walker", count=3)
    assert ids(after) == ids(before) != ids(strangers)
    assert after["items"][0]["reasons"][0]["code"] == "because_of"
    assert "item-09" not in ids(recommend(user_id="walker", count=12))


def test_a_second_device_shows_the_same_list(live_model: ModelVersion, post_events: Post, recommend: Recommend) -> None:
    post_events("item-03", "item-04", anonymous_id="phone")
    post_events("item-04", user_id="walker", anonymous_id="phone")
    post_events("item-07", type="purchase", user_id="walker", anonymous_id="laptop")

    everywhere = [
        ids(recommend(subject=subject, count=12))
        for subject in ({"user_id": "walker"}, {"anonymous_id": "phone"}, {"anonymous_id": "laptop"})
    ]

    assert everywhere[0] == everywhere[1] == everywhere[2]
    assert "item-07" not in everywhere[0]


def test_an_unmerge_restores_both_lists_exactly(
    live_model: ModelVersion, post_events: Post, recommend: Recommend, api: ApiClient
) -> None:
    post_events("item-02", "item-03", user_id="walker")
    post_events("item-08", type="purchase", user_id="wanderer", days_ago=1)
    post_events("item-06", "item-07", user_id="wanderer")

    def lists() -> list[list[str]]:
        return [ids(recommend(user_id=user, count=12)) for user in ("walker", "wanderer")]

    before = lists()
    merge = api.post("identities/merges", {"from_user_id": "wanderer", "to_user_id": "walker"}).json()
    merged = lists()
    assert merged[0] == merged[1]
    assert merged[0] != before[0]
    assert "item-08" not in merged[0]

    api.delete(f"identities/merges/{merge['id']}")
    assert lists() == before


def test_a_family_tablet_keeps_its_people_apart(
    live_model: ModelVersion, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-03", type="purchase", anonymous_id="tablet", days_ago=3)
    post_events("item-04", user_id="ada", anonymous_id="tablet", days_ago=2)
    post_events("item-08", type="purchase", anonymous_id="tablet", days_ago=1)
    post_events("item-09", user_id="bob", anonymous_id="tablet")

    bought_by_ada = {"item-03", "item-08"} - set(ids(recommend(user_id="ada", count=12)))
    bought_by_bob = {"item-03", "item-08"} - set(ids(recommend(user_id="bob", count=12)))

    assert (bought_by_ada, bought_by_bob) == ({"item-03"}, {"item-08"})
    assert {"item-03", "item-08"} <= set(ids(recommend(subject={"anonymous_id": "tablet"}, count=12)))


def test_a_list_costs_as_many_queries_for_a_person_with_many_keys(
    live_model: ModelVersion, post_events: Post, api: ApiClient
) -> None:
    def queries(**subject: str) -> int:
        request = {"scenario": "home", "subject": subject, "count": 3}
        api.post("recommendations", request)
        with CapturedQueries() as captured:
            assert api.post("recommendations", request).status_code == 200
        return sum("behavior_" in query["sql"] for query in captured.captured_queries)

    post_events("item-03", "item-04", user_id="alone")
    for device in ("phone", "laptop", "tablet"):
        post_events("item-03", anonymous_id=device)
        post_events("item-04", user_id="walker", anonymous_id=device)

    assert queries(user_id="alone") == 2  # the last events, and what was bought
    assert queries(user_id="walker") == queries(user_id="walker", anonymous_id="phone") == 2
