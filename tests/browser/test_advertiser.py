"""An advertiser's way: a campaign is made and approved, readers come, the operator sees what it did and pauses it."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from apps.ads.budgets.selectors import flight_accounts
from apps.ads.models import Flight, FlightPacing, PacingStep
from apps.ads.tasks import count_creatives_of_tenant, log_deliveries_of_tenant, pace_tenant
from behavior.models import Event
from tenancy.models import Role, Tenant
from tenancy.scope import tenant_scope
from tenancy.tasks import enqueue
from tests.apps.ads.world import BROWSER
from tests.browser.conftest import slow_hash
from tests.conftest import ApiClient
from tests.platform.console.furnishing import make_operator
from tests.processes import Process
from tests.waiting import until

pytestmark = pytest.mark.browser

READERS = 30
CLICKS = 5


@pytest.fixture
def operator(tenant: Tenant) -> str:
    email = f"ads@{tenant.slug}.example"
    with slow_hash():
        make_operator(tenant, Role.OPERATOR, email)
    return email


def make(page: Page, kind: str, fields: dict[str, str], chosen: dict[str, str] | None = None) -> None:
    """Fill the console's form of one object and save it."""
    page.goto(f"/console/ads/{kind}/add/")
    for name, label in (chosen or {}).items():
        page.locator(f"#id_{name}").select_option(label=label)
    for name, value in fields.items():
        page.locator(f"#id_{name}").fill(value)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text(f"The {kind} is made.")).to_be_visible()


def confirm(page: Page, button: str) -> None:
    page.get_by_role("link", name=button).click()
    page.locator("#dialog").get_by_role("button", name=button).click()


def moment(page: Page, name: str, at: datetime) -> None:
    page.locator(f"#id_{name}_0").fill(at.strftime("%Y-%m-%d"))
    page.locator(f"#id_{name}_1").fill(at.strftime("%H:%M:%S"))


class Readers:
    """Browsers that show what the API gives them."""

    def __init__(self, address: str, key: str) -> None:
        self.place = urlsplit(address).netloc
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def ask(self, number: int) -> dict[str, Any]:
        body = {
            "placements": ["top"],
            "subject": {"user_id": f"reader-{number}"},
            "context": {"country": "DE"},
            "user_agent": BROWSER,
            "consent": {"personalisation": True},
        }
        status, answer = self._request("POST", "/api/v1/ads/decisions", json.dumps(body), self.headers)
        assert status == 200, answer
        return json.loads(answer)["decisions"][0]

    def get(self, url: str) -> int:
        """As a browser loads a picture; redirects would lead to the advertiser, and are not followed."""
        return self._request("GET", urlsplit(url).path, None, {"User-Agent": BROWSER})[0]

    def _request(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> tuple[int, bytes]:
        connection = HTTPConnection(self.place, timeout=30)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found


def test_campaign_approval_traffic_pacing_report_and_pause(
    page: Page,
    log_in: Callable[[str], None],
    operator: str,
    tenant: Tenant,
    api: ApiClient,
    start_worker: Callable[..., Process],
    start_server: Callable[..., str],
) -> None:
    start_worker(queues="default")
    readers = Readers(start_server("app"), api.raw_key)
    log_in(operator)
    size = {"width": "300", "height": "250"}
    first_price = {"auction": "First price: the winner pays its bid"}
    make(page, "placement", {"key": "top", "name": "Top of the page", "currency": "EUR"} | size, first_price)
    make(page, "advertiser", {"name": "Tents Ltd", "currency": "EUR"})
    make(page, "campaign", {"name": "Autumn"}, {"advertiser": "Tents Ltd"})

    now = datetime.now(UTC)
    page.goto("/console/ads/flight/add/")
    page.locator("#id_campaign").select_option(label="Autumn")
    page.locator("#id_name").fill("Readers in Germany")
    moment(page, "starts_at", now - timedelta(hours=1))
    moment(page, "ends_at", now + timedelta(hours=2))
    page.locator("#id_bid_kind").select_option("cpc")
    page.locator("#id_bid_micros").fill("0.45")
    page.locator("#id_budget_micros").fill("30")
    page.locator("#id_pacing").select_option("pid")
    page.locator("#id_goal_kind").select_option("clicks")
    page.locator("#id_goal").fill("12")
    page.locator("#id_targeting").fill('{"include": {"countries": ["DE"]}}')
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("The flight is made.")).to_be_visible()
    flight_page = page.url

    make(
        page,
        "creative",
        {
            "name": "Banner",
            "width": "300",
            "height": "250",
            "text": "Sleep outside",
            "click_url": "https://tents.example/",
        },
        {"flight": "Readers in Germany"},
    )
    creative_page = page.url
    # Not before it was approved.
    page.goto(flight_page)
    confirm(page, "Start")
    expect(page.get_by_text("no creative of the flight is approved")).to_be_visible()
    page.goto(creative_page)
    confirm(page, "Approve")
    expect(page.get_by_text("The creative is approved.")).to_be_visible()
    page.goto(flight_page)
    confirm(page, "Start")
    expect(page.get_by_text("The flight is live.")).to_be_visible()
    expect(page.locator("#pacing")).to_contain_text("No step yet")

    # Readers: everybody sees the ad, some click it, one of them twice.
    until(lambda: readers.ask(0)["creative"] is not None)
    with tenant_scope(tenant.id):
        enqueue(pace_tenant)
        flight_id = Flight.objects.get().id
    shown = [each for each in map(readers.ask, range(READERS)) if each["creative"]]
    assert len(shown) == READERS
    for each in shown:
        assert readers.get(each["impression_url"]) == 200
    time.sleep(0.6)  # sooner than that no reader clicks
    for each in [*shown[:CLICKS], shown[0]]:
        assert readers.get(each["click_url"]) == 302

    time.sleep(5.0)  # the controller's shortest step
    with tenant_scope(tenant.id):
        for task in (pace_tenant, count_creatives_of_tenant, log_deliveries_of_tenant):
            enqueue(task)

    def has_stepped() -> bool:
        with tenant_scope(tenant.id):
            return FlightPacing.objects.filter(flight_id=flight_id, spent_micros__gt=0).exists()

    def is_logged() -> bool:
        with tenant_scope(tenant.id):
            return Event.objects.filter(type="ad_click").count() == CLICKS

    until(is_logged)
    until(has_stepped)
    with tenant_scope(tenant.id):
        assert PacingStep.objects.filter(flight_id=flight_id).exists()
        (account,) = flight_accounts()
        assert (account.problems, account.spent_micros) == ([], CLICKS * 450_000)

    page.goto(flight_page)
    expect(page.locator("#pacing canvas")).to_be_visible()
    expect(page.locator("#goal")).to_contain_text("5 of 12 clicks: on track")
    expect(page.get_by_text("2.25 EUR").first).to_be_visible()

    page.goto("/console/ads/adreport/?by=flight")
    row = page.locator("#report tbody tr")
    cells = row.locator("td").all_inner_texts()
    assert cells[0] == "Readers in Germany"
    assert cells[2] == str(READERS)
    assert cells[4:6] == [str(CLICKS), f"{100 * CLICKS / READERS:.2f} %"]
    assert cells[9] == "2.25 EUR"
    expect(page.locator("#goals")).to_contain_text("5 of 12 clicks")
    expect(page.locator("#filtered")).to_contain_text("replayed")
    page.goto("/console/ads/reconciliation/")
    expect(page.get_by_text("Readers in Germany")).to_be_visible()
    expect(page.locator(".console-problem")).to_have_count(0)

    page.goto(flight_page)
    page.get_by_role("link", name="Forecast").click()
    expect(page.locator("#forecast")).to_contain_text("It may compete for")
    expect(page.locator("canvas")).to_be_visible()

    page.goto(flight_page)
    confirm(page, "Pause")
    expect(page.get_by_text("The flight is paused.")).to_be_visible()
    expect(page.locator("#history")).to_contain_text("Paused")
    until(lambda: readers.ask(999)["no_fill"] is not None)
    assert readers.ask(999)["no_fill"]["reason"] == "no_ads"


def test_settings_are_edited_beside_what_they_come_to_and_undone(
    page: Page, log_in: Callable[[str], None], operator: str, api: ApiClient
) -> None:
    log_in(operator)
    page.locator("a[href$='/adreport/settings/']").first.click()
    expect(page.locator("#settings-come-to")).to_contain_text("of a new creative")
    page.get_by_label("Clicks of an impression").fill("0.02")
    page.locator("#id_setting_policy").select_option("softmax")
    expect(page.locator("#settings-come-to")).to_contain_text("20.00")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("It answers like this within two seconds.")).to_be_visible()
    until(lambda: api.get("ads/settings").json()["prior_click_rate"] == 0.02)

    page.get_by_label("Clicks of one subject in an hour").fill("0")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("must be a whole number from 1 to 10000", exact=True)).to_be_visible()
    assert api.get("ads/settings").json()["policy"] == "softmax"
