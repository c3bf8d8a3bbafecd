"""A merchandiser's walk: make a scenario beside its preview, then a rule, publish it, and see the KPI move."""

import json
import os
import urllib.request
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from apps.recommendation.demonstrations.visits import subject_of
from apps.recommendation.engine import simulated_shop
from apps.recommendation.rules.book import BOOK_SECONDS
from behavior.popularity import refresh_item_popularity
from behavior.services import store_events
from catalog.services import upsert_items
from decisions.counting import refresh_kpi
from ml.simulation import World
from tenancy.api_scopes import API_SCOPES
from tenancy.models import Role, Tenant
from tenancy.scope import tenant_scope
from tenancy.services import create_api_key
from tests.browser.conftest import slow_hash
from tests.conftest import make_tenant
from tests.platform.console.furnishing import make_operator

pytestmark = pytest.mark.browser
VISITORS = 25
COUNT = 12  # items of a list


@pytest.fixture
def tenant() -> Tenant:
    return make_tenant("Outdoor shop")


@pytest.fixture
def world() -> World:
    return simulated_shop("outdoor", subjects=60)


@pytest.fixture
def past(tenant: Tenant, world: World) -> list[dict[str, Any]]:
    """What the visitors of the shop did so far."""
    events = list(islice(world.events(), 2_000))
    with tenant_scope(tenant.id):
        upsert_items(world.catalogue())
    with tenant_scope(tenant.id):
        store_events(events=events, source="test", historical=True)
    with tenant_scope(tenant.id):
        refresh_item_popularity()
    return events


def somebody_who_saw(items: Collection[str], past: Sequence[dict[str, Any]]) -> str:
    """A user who viewed one of the items, bought none of them, and agreed to personalisation."""
    by_user: dict[str, list[dict[str, Any]]] = {}
    for event in past:
        if user_id := (event.get("subject") or {}).get("user_id"):
            by_user.setdefault(user_id, []).append(event)
    return next(
        user_id
        for user_id, events in by_user.items()
        if all(event["consent"]["personalisation"] for event in events)
        and "view" in (done := {event["type"] for event in events if event.get("item_id") in items})
        and "purchase" not in done
    )


@pytest.fixture
def operator(tenant: Tenant) -> str:
    email = "merchandiser@outdoor.example"
    with slow_hash():
        make_operator(tenant, Role.OPERATOR, email)
    return email


class Visitors:
    """Visitors of the simulated shop who ask the real API for lists, and tell it how they react."""

    def __init__(self, address: str, tenant: Tenant, world: World) -> None:
        self.address, self.tenant, self.world = address, tenant, world
        with tenant_scope(tenant.id):
            _, self.key = create_api_key(name="shop", scopes=list(API_SCOPES))

    def come(self, count: int) -> list[list[dict[str, Any]]]:
        """The items of the list that each was shown. The first visitor clicks; what others do is a matter of luck."""
        lists = []
        for visitor in self.world.subject_ids[:count]:
            ask = {"scenario": "front", "subject": subject_of(visitor), "count": COUNT}
            answer = self._post("recommendations", ask)
            lists.append(answer["items"])
            shown = [item["id"] for item in answer["items"]]
            now = datetime.now(UTC) - timedelta(seconds=1)
            reaction = self.world.respond(visitor, shown, now, decision_id=answer["decision_id"])
            if visitor == self.world.subject_ids[0]:
                click = {"type": "click", "subject": ask["subject"], "item_id": shown[0]}
                made = answer["decision_id"]
                reaction.append(click | {"message_id": f"click-{made}", "decision_id": made})
            sent = self._post("events", {"events": reaction})
            assert sent["counts"]["ok"] == len(reaction)
        with tenant_scope(self.tenant.id):
            refresh_kpi(committed_after=timedelta(0))
        return lists

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.address}/api/v1/{path}", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


def brand_seldom_shown(lists: Sequence[Sequence[dict[str, Any]]], brands: dict[str, str]) -> str:
    shown = Counter(brands[item_id] for item_id in {item["id"] for items in lists for item in items})
    return min(sorted(set(brands.values())), key=lambda brand: shown[brand])


def keep_picture(page: Page, name: str, *, top: str | None = None) -> None:
    """A picture for the documentation, where SCREENSHOTS names a folder; with this element at its upper edge."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.wait_for_load_state("networkidle")
        if top:
            page.locator(top).evaluate("element => element.scrollIntoView()")
        page.screenshot(path=f"{folder}/{name}.png")


def figure(page: Page, title: str) -> str:
    return page.locator(f'[data-figure="{title}"] td').nth(1).inner_text()


def share(shown: str) -> float:
    return float(shown.removesuffix("%"))


def test_the_walk_of_a_merchandiser(
    page: Page,
    log_in: Callable[[str], None],
    tenant: Tenant,
    world: World,
    past: list[dict[str, Any]],
    operator: str,
    start_server: Callable[..., str],
) -> None:
    log_in(operator)

    # Make a scenario.
    page.get_by_role("link", name="Scenarios").click()
    page.goto("/console/decisions/scenario/add/")
    page.get_by_label("Name").fill("Front page")
    page.get_by_label("Key").fill("front")
    page.get_by_label("Kind").select_option("recommendation/popular")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Front page is made.")).to_be_visible()

    # Change it, and look at the list of one visitor before and after.
    now, then = page.get_by_label("Now"), page.get_by_label("With your changes")
    expect(now.locator("li")).to_have_count(8)
    shown = now.locator("li").evaluate_all("cards => cards.map(card => card.dataset.item)")
    page.locator("#preview_kind").select_option("user_id")
    page.locator("#preview_id").fill(somebody_who_saw(shown, past))
    page.get_by_label("Leave out what was seen").check()
    expect(now.locator("li.leaves").first).to_be_visible()
    expect(then.locator("li.new").first).to_be_visible()
    keep_picture(page, "scenario")

    # Save: from now on the shop's visitors get it.
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("It answers like this within two seconds.")).to_be_visible()
    expect(page.get_by_text("settings.exclude_seen: default → true")).to_be_visible()

    # Its KPI, before anybody came.
    page.get_by_role("link", name="KPI").click()
    expect(page.get_by_text("No list of this time has been counted")).to_be_visible()

    # Visitors come, and the KPI move.
    visitors = Visitors(start_server(), tenant, world)
    lists = visitors.come(VISITORS)
    kpi_page = page.url
    page.reload()
    assert figure(page, "Lists served") == str(VISITORS)
    assert figure(page, "Items seen") == str(COUNT * VISITORS)
    assert share(figure(page, "Lists with a click")) > 0
    coverage = share(figure(page, "Coverage"))

    # A brand that is seldom shown is to get a quarter of the places: a rule.
    brands = {item["id"]: item["brand"] for item in world.catalogue()}
    brand = brand_seldom_shown(lists, brands)
    page.locator("a[href$='/recommendation/rule/']").first.click()
    page.locator("a[href$='/rule/add/']").first.click()
    page.get_by_label("Name").fill(f"A quarter for {brand}")
    page.get_by_label("Kind").select_option("promote")
    page.locator("#id_share").fill("25")
    page.get_by_label("Front page").check()
    page.get_by_label("Brands").fill(brand)
    keep_picture(page, "rule")
    page.get_by_role("button", name="Save as draft").click()
    expect(page.get_by_text("The rule is a draft.")).to_be_visible()

    # What it would do to a visitor's list.
    preview = page.locator("#preview")
    expect(preview.get_by_label("Scenario")).to_have_value("front")
    preview.get_by_label("Places").fill(str(COUNT))
    preview.get_by_role("button", name="Show lists").click()
    without, with_rule = preview.locator(".half").nth(0), preview.locator(".half").nth(1)
    expect(without.get_by_text("a-quarter-for-")).to_have_count(0)
    expect(with_rule.locator("tr.console-moved.new")).not_to_have_count(0)
    keep_picture(page, "rule-preview", top="#preview")

    # Publish it; a second later it stands in the list of everybody.
    page.get_by_role("link", name="Publish").click()
    page.locator("#dialog").get_by_role("button", name="Publish").click()
    expect(page.get_by_text("The rule is published.")).to_be_visible()
    page.wait_for_timeout(1_000 * BOOK_SECONDS)
    for items in visitors.come(2 * VISITORS):
        promoted = [item for item in items if brands[item["id"]] == brand]
        assert len(promoted) >= COUNT / 4
        assert any(item["rules"] for item in promoted)
    page.goto(kpi_page)
    assert figure(page, "Lists served") == str(3 * VISITORS)
    assert share(figure(page, "Coverage")) > coverage
    keep_picture(page, "scenario-kpi")

    # A change of mind: back to the state before.
    page.get_by_role("link", name="Edit the scenario").click()
    page.get_by_role("button", name="Back to before").click()
    expect(page.get_by_text("as it was before this change")).to_be_visible()
    expect(page.get_by_label("Leave out what was seen")).not_to_be_checked()
