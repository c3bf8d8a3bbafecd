"""What an operator does in a day, with a real browser, a real console process and the real database."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tenancy.models import Role, Tenant
from tests.browser.conftest import slow_hash
from tests.platform.console.furnishing import Furnished, make_operator

pytestmark = pytest.mark.browser


@pytest.fixture
def furnished(tenant: Tenant) -> Furnished:
    return Furnished(tenant)


@pytest.fixture
def operator(tenant: Tenant) -> str:
    email = f"day@{tenant.slug}.example"
    with slow_hash():
        make_operator(tenant, Role.OPERATOR, email)
    return email


def test_log_in_and_switch_between_tenants(
    page: Page, log_in: Callable[[str], None], tenant: Tenant, other_tenant: Tenant, operator: str
) -> None:
    with slow_hash():
        make_operator(other_tenant, Role.VIEWER, operator)
    log_in(operator)
    sidebar = page.locator("#nav-sidebar-inner")
    expect(sidebar).to_contain_text(tenant.name)

    sidebar.get_by_text("unfold_more").first.click()
    sidebar.get_by_role("button", name=other_tenant.name).click()
    expect(page.get_by_role("heading", name="No events yet")).to_be_visible()
    expect(sidebar.get_by_text(other_tenant.name).first).to_be_visible()
    expect(sidebar).to_contain_text("viewer")


def test_charts_are_drawn(page: Page, log_in: Callable[[str], None], furnished: Furnished, operator: str) -> None:
    log_in(operator)
    page.goto(f"/console/serving/trainingrun/{furnished.live.run_id}/change/")
    drawn = """() => [...document.querySelectorAll("canvas.chart")].map((canvas) =>
        canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value > 0))"""
    page.wait_for_function("() => document.querySelectorAll('canvas.chart').length === 2")
    assert page.evaluate(drawn) == [True, True]


def test_look_for_an_event_by_its_subject(
    page: Page, log_in: Callable[[str], None], furnished: Furnished, operator: str
) -> None:
    log_in(operator)
    page.get_by_role("link", name="Events").click()
    page.get_by_label("Subject id").fill("u1")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#result_list")).to_contain_text("sku-1")
    page.get_by_label("Subject id").fill("somebody else")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("Nothing found")).to_be_visible()


def test_mend_and_replay_a_quarantined_event(
    page: Page, log_in: Callable[[str], None], furnished: Furnished, operator: str
) -> None:
    log_in(operator)
    page.get_by_role("link", name="Quarantine").click()
    page.locator("#result_list tbody a").first.click()
    raw = page.get_by_label("Event")
    raw.fill(raw.input_value().replace('"cheap"', "12.5"))
    page.get_by_role("button", name="Replay this event").click()
    expect(page.get_by_text("The event is in the log now.")).to_be_visible()
    assert furnished.fresh(furnished.quarantined).status == "replayed"


def test_promote_a_version_and_roll_it_back(
    page: Page, log_in: Callable[[str], None], furnished: Furnished, operator: str
) -> None:
    log_in(operator)
    page.get_by_role("link", name="Model versions").click()
    page.get_by_role("link", name="next_item 2").click()
    page.get_by_role("link", name="Promote").click()
    expect(page.get_by_text("Let this version answer?")).to_be_visible()
    page.locator("#dialog").get_by_role("button", name="Promote").click()
    expect(page.get_by_text("next_item 2 is live.")).to_be_visible()
    assert furnished.fresh(furnished.candidate).status == "live"

    page.get_by_role("link", name="Roll back").click()
    page.locator("#dialog").get_by_role("button", name="Roll back").click()
    expect(page.get_by_text("next_item 1 answers again.")).to_be_visible()
    assert furnished.fresh(furnished.live).status == "live"


def test_a_rotated_key_is_shown_in_the_dialog_once(
    page: Page, log_in: Callable[[str], None], furnished: Furnished, tenant: Tenant
) -> None:
    with slow_hash():
        make_operator(tenant, Role.ADMIN, f"key@{tenant.slug}.example")
    log_in(f"key@{tenant.slug}.example")
    page.goto(f"/console/tenancy/apikey/{furnished.key.pk}/change/")
    page.get_by_role("link", name="Rotate").click()
    page.locator("#dialog").get_by_role("button", name="Rotate").click()
    secret = page.locator("#dialog .console-secret")
    expect(secret).to_be_visible()
    assert secret.input_value().startswith("sk_")
    page.get_by_role("link", name="I have copied it").click()
    expect(page.locator("#result_list")).to_contain_text("BEING REPLACED", ignore_case=True)
