"""What a language model is told fits its window, whatever a customer or an article sends."""

from collections.abc import Callable
from typing import Any

import pytest

from apps.service.replies.backends.base import MOST_TOKENS, RULES, reckoned_tokens
from apps.service.replies.backends.fitting import SOURCE_TOKENS, TURN_TOKENS, fit_sources, fit_turns
from apps.service.replies.generating import LONGEST_TITLE
from decisions.models import Decision
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.service.conftest import Desk
from tests.apps.service.replies.stub_server import StubServer


def test_of_a_conversation_the_newest_stays() -> None:
    turns = [("customer", "old " * 2_000), ("bot", "Hello."), ("customer", "我要退货" * 150)]

    first, *rest = fit_turns(turns)

    assert rest == turns[1:]
    assert turns[0][1].endswith(first[1])
    assert reckoned_tokens(first[1]) == TURN_TOKENS - 600 - 2
    assert fit_turns([("customer", "a" * 10_000)]) == [("customer", "a" * 4 * TURN_TOKENS)]


def test_short_sources_stay_whole_and_long_ones_share_the_rest() -> None:
    fitted = fit_sources(["a" * 100_000, "Returns take 30 days.", "退" * 100_000])

    assert fitted[1] == "Returns take 30 days."
    assert sum(map(reckoned_tokens, fitted)) <= SOURCE_TOKENS
    assert min(reckoned_tokens(fitted[0]), reckoned_tokens(fitted[2])) > 0.49 * SOURCE_TOKENS
    assert fit_sources([]) == []


@pytest.mark.usefixtures("shop")
def test_a_customer_who_writes_much_pushes_no_rule_out(
    desk: Desk, model: StubServer, write: Callable[[dict[str, Any]], None], publish: Any, tenant: Tenant
) -> None:
    publish(f"Returning an item late {'退' * 250}", "An item can be returned after delivery, late. " * 500)
    model.answer = lambda body: ["You can return an item within 30 days of delivery [1]."]
    for _ in range(5):
        desk.say("How many days do I have to return an item after delivery? " * 170)
    asked = desk.reply().json()
    write(asked)

    told = model.asked[0][1]["messages"]

    assert told[0]["content"] == RULES
    assert sum(reckoned_tokens(each["content"]) for each in told) + MOST_TOKENS < 0.85 * 4_096
    assert model.data()["conversation"][-1]["text"].endswith("after delivery?")
    assert LONGEST_TITLE in [len(each["title"]) for each in model.data()["sources"]], model.data()["sources"]
    reply = desk.api.get(f"replies/{asked['id']}").json()
    assert "the customer wrote more than the model was told" in [reason["text"] for reason in reply["reasons"]]
    with tenant_scope(tenant.id):
        assert {"question", "turns"} <= set(Decision.objects.get(decision_id=asked["decision_id"]).request["cut"])
