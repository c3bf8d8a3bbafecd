"""The desk takes an alerted case, looks at it, decides, and what it decided counts from then on."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tenancy.models import Role, Tenant
from tests.browser.conftest import slow_hash
from tests.conftest import ApiClient
from tests.platform.console.furnishing import make_operator

pytestmark = pytest.mark.browser


def pay(api: ApiClient, number: int, amount: float, **changes: Any) -> dict[str, Any]:
    body = {
        "transaction_id": f"t-{number}",
        "subject": {"user_id": "anna"},
        "amount": amount,
        "currency": "EUR",
        "counterparty": f"shop-{number % 3}",
        "card": "card-1",
    }
    answer = api.post("risk/assessments", body | changes)
    assert answer.status_code == 201, answer.content
    return answer.json()


@pytest.fixture
def operator(tenant: Tenant, api: ApiClient) -> str:
    email = f"desk@{tenant.slug}.example"
    with slow_hash():
        make_operator(tenant, Role.OPERATOR, email)
    now = datetime.now(UTC)
    for number in range(20):
        when = now - timedelta(days=20 - number, hours=3)
        pay(api, number, 15.0 + number % 5, occurred_at=when.isoformat())
    return email


def test_take_look_confirm_and_the_label_counts(
    page: Page, log_in: Callable[[str], None], operator: str, api: ApiClient
) -> None:
    log_in(operator)
    page.goto("/console/risk/case/")
    expect(page.get_by_text("No cases", exact=True)).to_be_visible()

    alerted = pay(api, 90, 900.0)
    assert alerted["verdict"] == "review"
    # An alert is there as soon as the client has its answer.
    page.reload()
    expect(page.locator("#workload")).to_contain_text("Under way")
    page.get_by_role("link", name="Case 1").click()
    expect(page.locator("#alerts")).to_contain_text("times this customer's 30-day mean")
    expect(page.locator("#sequence svg .risk-mark")).to_have_count(21)
    expect(page.locator("#sequence svg .risk-alert")).to_have_count(1)

    page.get_by_role("link", name="Take it").click()
    page.locator("#dialog").get_by_role("button", name="Take it").click()
    expect(page.get_by_text("The case is yours.")).to_be_visible()
    page.get_by_role("link", name="Start review").click()
    page.locator("#dialog").get_by_role("button", name="Start review").click()
    expect(page.get_by_text("The case is in review.")).to_be_visible()
    page.get_by_role("link", name="Note").click()
    page.locator("#dialog").get_by_label("Note").fill("The customer says it was not them.")
    page.locator("#dialog").get_by_role("button", name="Add").click()
    expect(page.locator("#history")).to_contain_text("The customer says it was not them.")

    page.get_by_role("link", name="Confirm fraud").click()
    page.locator("#dialog").get_by_role("button", name="Confirm fraud").click()
    expect(page.get_by_text("its transactions are labelled as fraud")).to_be_visible()
    expect(page.locator("#sequence svg .risk-fraud")).to_have_count(1)

    after = pay(api, 91, 18.0)
    assert after["score"] > pay(api, 92, 18.0, subject={"user_id": "ben"}, card="card-2")["score"]
    assert any("fraud" in reason["text"] for reason in after["reasons"])
