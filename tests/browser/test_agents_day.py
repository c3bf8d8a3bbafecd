"""The agent's day: a message with a draft, edited and sent, becomes a label; the operator trains on it in the console;
and the next customer in the same situation is suggested what the agent wrote."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from apps.service.learning.models import LearnedReply
from apps.service.replies import evidence
from apps.service.replies.models import Reply, ReplyStatus
from behavior.services import store_events
from ml.simulation.replies import SITUATIONS
from serving.selectors import live_version
from tenancy.models import Role, Tenant
from tenancy.scope import tenant_scope
from tests.apps.service.learning.simulated_desk import fill_desk
from tests.browser.conftest import slow_hash
from tests.browser.test_inbox import ask
from tests.conftest import ApiClient
from tests.platform.console.furnishing import make_operator
from tests.processes import Process

pytestmark = pytest.mark.browser

TRAINING = '{"pretrained": false, "batch_pairs": 64, "epochs": 6, "least_steps": 100}'
MESSAGE = "what about my money?"
# The only macro with a word of the message, and the one that fits who was refused by the bank.
BY_WORDS, RIGHT = SITUATIONS["returned"][1], SITUATIONS["payment_failed"][1]


def refused_by_the_bank(tenant: Tenant, user: str) -> None:
    events = [
        {"message_id": f"{user}-{number}", "type": type, "item_id": "article-3", "subject": {"user_id": user}}
        for number, type in enumerate(("page_view", "cart_add", "payment_failed"))
    ]
    with tenant_scope(tenant.id):
        assert store_events(events=events, source="test").counts["ok"] == 3


def test_an_edit_is_learned_and_the_next_suggestion_is_better(
    page: Page,
    log_in: Callable[[str], None],
    tenant: Tenant,
    api: ApiClient,
    start_worker: Callable[..., Process],
    settings: Any,
) -> None:
    settings.GATEWAY_TRANSPORT = "inline"
    settings.GATEWAY_DEADLINE = 10.0
    email = f"desk@{tenant.slug}.example"
    with slow_hash():
        make_operator(tenant, Role.OPERATOR, email)
    with tenant_scope(tenant.id):
        fill_desk(400)
    # How fast one prediction is on a busy machine is the gate's own test's matter.
    start_worker(queues="train,encode,default", environment={"GATEWAY_DEADLINE": "10"})
    refused_by_the_bank(tenant, "anna")
    first = ask(api, "anna", MESSAGE)

    # The draft goes by words; the agent sees what happened to the customer and writes what is right.
    log_in(email)
    page.goto(f"/console/service/conversation/{first}/change/")
    expect(page.locator("#draft .service-sentence").first).to_contain_text(BY_WORDS[:30])
    expect(page.locator("#timeline")).to_contain_text("payment_failed")
    page.keyboard.press("e")
    expect(page.locator("#draft-text")).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type(RIGHT)
    page.get_by_role("button", name="Send as edited").click()
    expect(page.locator("#thread .service-agent")).to_contain_text(RIGHT)
    with tenant_scope(tenant.id):
        label = Reply.objects.get(conversation_id=first)
        assert (label.status, label.final_text, label.model_version) == (ReplyStatus.EDITED, RIGHT, None)

    page.goto("/console/serving/trainingrun/add/")
    page.get_by_label("Model").fill("replies")
    page.locator("[name=task]").fill("replies")
    page.get_by_label("Settings").fill(TRAINING)
    page.locator("[name=_save]").click()
    expect(page.get_by_text("The run is queued; this page follows it.")).to_be_visible()
    expect(page.get_by_text("Succeeded").first).to_be_visible(timeout=480_000)
    with tenant_scope(tenant.id):
        live = live_version("replies")
        learned = LearnedReply.objects.select_related("source").get(reply=label)
    assert live is not None
    assert any("passed: mrr" in reason for reason in live.reasons)
    # What the agent wrote is a macro's text, so knowledge needs no copy of it.
    assert learned.source is not None
    assert (learned.source.kind, learned.source.body) == ("macro", RIGHT)

    evidence._usual.clear()
    refused_by_the_bank(tenant, "ben")
    second = ask(api, "ben", MESSAGE)
    page.goto(f"/console/service/conversation/{second}/change/")
    expect(page.locator("#draft .service-sentence").first).to_contain_text(RIGHT[:30])
    expect(page.locator("#draft")).to_contain_text("because of payment_failed")
    page.keyboard.press("a")
    expect(page.get_by_text("The draft is sent.")).to_be_visible()

    page.goto("/console/service/servicereport/")
    expect(page.locator("#report")).to_contain_text("402")
