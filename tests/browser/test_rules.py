"""A merchandiser writes a rule, sees what it would do, and publishes it."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from apps.recommendation.services import create_default_scenarios
from catalog.services import upsert_items
from tenancy.models import Role, Tenant
from tenancy.scope import tenant_scope
from tests.browser.conftest import slow_hash
from tests.platform.console.furnishing import make_operator

pytestmark = pytest.mark.browser


@pytest.fixture
def operator(tenant: Tenant) -> str:
    email = f"shop@{tenant.slug}.example"
    with slow_hash():
        make_operator(tenant, Role.OPERATOR, email)
    with tenant_scope(tenant.id):
        create_default_scenarios()
        upsert_items([{"id": f"sku-{number}", "title": f"Lamp {number}", "brand": "Acme"} for number in range(1, 9)])
    return email


def test_write_preview_and_publish_a_rule(page: Page, log_in: Callable[[str], None], operator: str) -> None:
    log_in(operator)
    page.locator("a[href$='/recommendation/rule/']").first.click()
    page.locator("a[href$='/rule/add/']").first.click()
    page.get_by_label("Name").fill("Lamp eight first")

    # Each kind asks for its own values alone.
    page.get_by_label("Kind").select_option("cap")
    expect(page.locator("#id_limit")).to_be_visible()
    expect(page.locator("#id_position")).to_be_hidden()
    page.get_by_label("Kind").select_option("pin")
    expect(page.locator("#id_limit")).to_be_hidden()
    page.locator("#id_position").fill("1")
    page.locator("#id_target_ids").fill("sku-8")
    page.get_by_role("button", name="Save as draft").click()
    expect(page.get_by_text("The rule is a draft.")).to_be_visible()

    page.locator("#preview").get_by_label("Scenario").select_option("popular")
    page.get_by_role("button", name="Show lists").click()
    after = page.locator("#preview .half").nth(1)
    expect(after.locator("tr").first).to_contain_text("Lamp 8")
    expect(after.locator("tr.console-moved.up")).to_have_count(1)

    page.get_by_role("link", name="Publish").click()
    page.locator("#dialog").get_by_role("button", name="Publish").click()
    expect(page.get_by_text("The rule is published.")).to_be_visible()
    expect(page.locator("#history")).to_contain_text("Published")
