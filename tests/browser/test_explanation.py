"""An operator asks where the scores of a served list come from."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from serving.models import ModelVersion
from tenancy.models import Role, Tenant
from tests.apps.recommendation.conftest import artifact, live_model, post_events, recommend, shop
from tests.browser.conftest import slow_hash
from tests.platform.console.furnishing import make_operator

__all__ = ["artifact", "live_model", "post_events", "recommend", "shop"]

pytestmark = pytest.mark.browser


def test_take_the_scores_of_a_decision_apart(
    page: Page,
    log_in: Callable[[str], None],
    tenant: Tenant,
    live_model: ModelVersion,
    post_events: Callable[..., None],
    recommend: Callable[..., dict[str, Any]],
) -> None:
    post_events("item-03", "item-04", user_id="u1")
    post_events("item-08", user_id="u1", type="purchase")
    answer = recommend("home", user_id="u1", count=5)
    email = f"merchandiser@{tenant.slug}.example"
    with slow_hash():
        make_operator(tenant, Role.VIEWER, email)
    log_in(email)
    page.goto(f"/console/decisions/decision/{answer['decision_id']}/change/")
    page.get_by_role("link", name="Take the scores apart").click()
    explanation = page.locator("#explanation")
    expect(explanation).to_contain_text("Network")
    bars = explanation.get_by_role("img")
    expect(bars).to_have_count(5)
    first = bars.first.bounding_box()
    assert first is not None
    assert first["width"] > 100

    expect(explanation.get_by_role("link", name="By integrated gradients")).to_have_attribute("aria-current", "true")
    explanation.get_by_role("link", name="By attention").click()
    expect(explanation.get_by_role("link", name="By attention")).to_have_attribute("aria-current", "true")
    explanation.get_by_role("link", name="view Tent 4").first.click()
    expect(page.get_by_text("item-04").first).to_be_visible()
