"""The desk writes a rule with the check beside it, tries it on the past, and publishes it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect
from uuid_utils.compat import uuid7

from apps.risk.models import Transaction
from tenancy.models import Role, Tenant
from tenancy.scope import tenant_scope
from tenancy.secrets import subject_key
from tests.browser.conftest import slow_hash
from tests.platform.console.furnishing import make_operator
from tests.processes import Process

pytestmark = pytest.mark.browser


@pytest.fixture
def operator(tenant: Tenant) -> str:
    email = f"desk@{tenant.slug}.example"
    with slow_hash():
        make_operator(tenant, Role.OPERATOR, email)
    day = datetime.now(UTC) - timedelta(days=12)
    with tenant_scope(tenant.id):
        Transaction.objects.create(
            transaction_id="t-1",
            event_id=uuid7(),
            occurred_at=day,
            received_at=day,
            subject_key=subject_key("user_id", "u1"),
            amount=900.0,
            currency="EUR",
            fraud_known_at=day + timedelta(days=1),
        )
    return email


def test_write_check_try_and_publish_a_rule(
    page: Page, log_in: Callable[[str], None], operator: str, start_worker: Callable[..., Process]
) -> None:
    start_worker(queues="slow")
    log_in(operator)
    page.locator("a[href$='/risk/riskrule/']").first.click()
    page.locator("a[href$='/riskrule/add/']").first.click()
    page.get_by_label("Name").fill("Large")
    page.locator("#id_expression").press_sequentially("amuont > 500")
    expect(page.locator("#expression_check")).to_contain_text("did you mean 'amount'?")
    page.locator("#id_expression").fill("amount > 500")
    expect(page.locator("#expression_check")).to_contain_text("It reads amount.")
    page.locator("#id_action").select_option("review")
    page.get_by_role("button", name="Save as draft").click()
    expect(page.get_by_text("The rule is a draft.")).to_be_visible()

    page.get_by_role("button", name="Try on these days").click()
    expect(page.locator("#back-test")).to_contain_text("1 of 1", timeout=30_000)
    expect(page.locator("#back-test canvas")).to_be_visible()

    page.get_by_role("link", name="Publish").click()
    page.locator("#dialog").get_by_role("button", name="Publish").click()
    expect(page.get_by_text("The rule is live.")).to_be_visible()
    expect(page.locator("#history")).to_contain_text("Published")
