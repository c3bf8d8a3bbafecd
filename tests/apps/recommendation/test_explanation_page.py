"""The decision's page in the console takes the scores apart when an operator asks for it."""

from collections.abc import Callable
from typing import Any

import pytest

from serving.models import ModelVersion
from tenancy.models import Role, Tenant
from tests.database import connected_as
from tests.platform.console.furnishing import logged_in, make_operator

Recommend = Callable[..., dict[str, Any]]
Post = Callable[..., None]


@pytest.fixture
def page_of(shop: Tenant, settings: Any) -> Callable[..., str]:
    """page_of(answer, explain="content") as a viewer sees it, in the console's database role."""
    viewer = make_operator(shop, Role.VIEWER)

    def read(answer: dict[str, Any], **query: str) -> str:
        settings.MIDDLEWARE = settings.MIDDLEWARE_BY_PROCESS["console"]
        settings.ROOT_URLCONF = "config.urls_console"
        with connected_as("console"):
            found = logged_in(viewer).get(f"/console/decisions/decision/{answer['decision_id']}/change/", query)
        assert found.status_code == 200
        text: str = found.content.decode()
        return text

    return read


def test_a_viewer_sees_members_and_events_of_each_item(
    live_model: ModelVersion, post_events: Post, recommend: Recommend, page_of: Callable[..., str]
) -> None:
    post_events("item-03", "item-04", user_id="u1")
    answer = recommend("home", user_id="u1", count=3)
    page = page_of(answer, explain="integrated_gradients")
    assert "Where the scores come from" in page
    assert page.count('class="console-parts"') == 3
    assert "view Tent 4" in page
    assert 'title="Rules: ' in page
    event_id = answer["items"][0]["reasons"][0]["event_id"]
    assert f"/console/behavior/event/{event_id}/change/" in page


def test_nothing_is_computed_before_it_is_asked_for(
    live_model: ModelVersion, post_events: Post, recommend: Recommend, page_of: Callable[..., str]
) -> None:
    post_events("item-03", user_id="u1")
    page = page_of(recommend("home", user_id="u1", count=3))
    assert "Take the scores apart" in page
    assert "Where the scores come from" not in page


def test_what_cannot_be_taken_apart_says_why(
    live_model: ModelVersion, post_events: Post, recommend: Recommend, page_of: Callable[..., str]
) -> None:
    post_events("item-03", user_id="u1")
    page = page_of(recommend("popular", user_id="u1", count=3), explain="magic")
    assert "This list was counted and not predicted" in page
    assert 'class="console-parts"' not in page
