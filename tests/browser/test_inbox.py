"""The agent's day: a message comes in, its draft is edited with the keys and sent, and who comes second is refused."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from apps.service.knowledge.services import create_source
from tenancy.models import Role, Tenant
from tenancy.scope import tenant_scope
from tests.browser.conftest import slow_hash
from tests.conftest import ApiClient
from tests.platform.console.furnishing import make_operator

pytestmark = pytest.mark.browser
MACRO = "You can return an item within 30 days."
BY_POST = "Send the item back by post with the label in its box."


def ask(api: ApiClient, user: str, text: str) -> str:
    conversation = api.post("conversations", {"subject": {"user_id": user}, "channel": "web"}).json()["id"]
    body = {"id": "m-1", "role": "customer", "text": text}
    assert api.post(f"conversations/{conversation}/messages", body).status_code == 201
    assert api.post("replies", {"conversation_id": conversation}).status_code == 201
    return str(conversation)


def test_edit_accept_take_and_the_next(
    page: Page, log_in: Callable[[str], None], tenant: Tenant, api: ApiClient
) -> None:
    email = f"desk@{tenant.slug}.example"
    with slow_hash():
        make_operator(tenant, Role.OPERATOR, email)
    with tenant_scope(tenant.id):
        create_source(kind="macro", actor="somebody", publish=True, title="Can I return an item?", body=MACRO)
        create_source(kind="macro", actor="somebody", publish=True, title="How can I return an item?", body=BY_POST)
    first = ask(api, "anna", "Can I return an item?")
    second = ask(api, "ben", "Can I return an item?")

    log_in(email)
    page.goto("/console/service/conversation/")
    expect(page.locator("#workload")).to_contain_text("Waiting for an answer")
    # A laptop shows every column without scrolling.
    assert page.locator("#result_list").evaluate("table => table.parentElement.scrollWidth <= innerWidth - 288")
    page.locator(f'a[href*="{first}"]').first.click()
    expect(page.locator("#draft blockquote")).to_contain_text("within 30 days")
    # Keys are heard once the page's script has run.
    page.wait_for_load_state()

    page.keyboard.press("m")
    expect(page.get_by_text("The conversation is yours.")).to_be_visible()
    page.keyboard.press("e")
    expect(page.locator("#draft-text")).to_be_focused()
    page.keyboard.press("Control+End")
    page.keyboard.type(" Write again at any time.")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#thread .service-agent")).to_contain_text("Write again at any time.")

    # What the customer writes next shows without a reload.
    body = {"id": "m-2", "role": "customer", "text": "Thank you very much"}
    assert api.post(f"conversations/{first}/messages", body).status_code == 201
    expect(page.locator("#thread")).to_contain_text("Thank you very much", timeout=10_000)

    page.keyboard.press("n")
    page.wait_for_url(f"**/{second}/change/")
    page.wait_for_load_state()
    page.keyboard.press("a")
    expect(page.get_by_text("The draft is sent.")).to_be_visible()
    expect(page.locator("#thread .service-agent")).to_contain_text(MACRO)

    # A key puts another suggestion in the draft's place.
    third = ask(api, "cleo", "Can I return an item?")
    page.goto(f"/console/service/conversation/{third}/change/")
    page.wait_for_load_state()
    page.keyboard.press("1")
    expect(page.locator("#draft-text")).to_have_value(BY_POST)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#thread .service-agent")).to_contain_text(BY_POST)
