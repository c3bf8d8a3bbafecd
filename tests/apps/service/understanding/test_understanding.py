"""What a message says, with a model and without one, however odd the message is."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from apps.service.understanding.examples import NewExample
from apps.service.understanding.selectors import understand, understand_all
from apps.service.understanding.services import add_examples, set_order_patterns
from catalog.services import upsert_items
from catalog.text_index import index_items
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.conftest import ApiClient
from tests.queries import CapturedQueries


@pytest.fixture
def bank(scope: Tenant, bank_examples: list[dict[str, str]]) -> Tenant:
    given = [NewExample(**example) for example in bank_examples] + [NewExample("will it rain in paris", None)]
    add_examples(examples=given, actor="test", create_intents=True)
    return scope


def test_without_a_model_the_nearest_example_answers_and_says_so(bank: Tenant) -> None:
    said = understand("someone took my gold card")
    assert (said.intent, said.out_of_scope, said.degraded, said.model_version) == ("card_lost", False, "examples", None)
    assert said.confidence == pytest.approx(1.0)
    assert said.alternatives[0].intent == "card_lost"


@pytest.mark.parametrize(
    "text", ["", "   ", "<p></p>", "who won the match", "will it rain in paris", "😀😀😀", "\ud800"]
)
def test_what_is_like_no_example_is_out_of_scope(bank: Tenant, text: str) -> None:
    assert understand(text).out_of_scope


def test_a_tenant_without_intents_still_has_all_else_understood(scope: Tenant) -> None:
    said = understand("Order #W2890441 from yesterday is broken, I want my $20 back!")
    assert (said.intent, said.out_of_scope, said.degraded) == (None, True, "no_intents")
    assert [entity.kind for entity in said.entities] == ["order", "date", "amount"]
    assert (said.sentiment, said.language) == ("negative", "en")


def test_english_and_chinese_meet_in_one_message(scope: Tenant) -> None:
    (said,) = understand_all(["我上周五买的 iPhone 还没到，订单号 889123456，付了199元 asap"], today=date(2026, 11, 26))
    assert [(entity.kind, entity.text) for entity in said.entities] == [
        ("date", "上周五"),
        ("order", "889123456"),
        ("amount", "199元"),
    ]
    assert (said.language, said.urgency) == ("zh", "high")


def test_products_are_known_by_title_and_id(scope: Tenant) -> None:
    upsert_items([{"id": "SKU-77", "title": "Trail running shoe"}, {"id": "lamp-1", "title": "台灯护眼学习灯"}])
    index_items(["SKU-77", "lamp-1"])
    message = "the Trail  Running Shoe and SKU-77 came, 台灯护眼学习灯坏了"
    found = [(each.text, each.value["id"]) for each in understand(message).entities if each.kind == "product"]
    assert found == [("Trail  Running Shoe", "SKU-77"), ("SKU-77", "SKU-77"), ("台灯护眼学习灯", "lamp-1")]


def test_order_ids_follow_the_tenants_patterns(scope: Tenant) -> None:
    set_order_patterns(patterns=["{digits:3}/{letters:2}"], actor="test")
    (entity,) = understand("it is 123/ab, not ORD-4471").entities
    assert (entity.kind, entity.value) == ("order", {"id": "123/ab"})


def test_ten_thousand_characters_of_markup_are_handled(bank: Tenant) -> None:
    message = "<div>" + "i lost my card <b>again</b>&nbsp;" * 400 + "😀" * 300
    said = understand(message)
    assert len(message) > 10_000
    assert said.intent == "card_lost"
    assert said.language == "en"


def test_many_messages_take_as_many_queries_as_two(bank: Tenant) -> None:
    def queries(count: int) -> int:
        with CapturedQueries() as captured:
            understand_all([f"i lost card {number} of order ORD-{number}77" for number in range(count)])
        return len(captured)

    queries(1)
    assert queries(20) == queries(2)


def test_the_api_answers_with_places_in_the_message(api: ApiClient) -> None:
    text = "<p>Order #W2890441, call +1 (555) 123-4567</p>"
    answer = api.post("understandings", {"text": text})
    assert answer.status_code == 200, answer.content
    said = answer.json()
    assert [(each["kind"], text[each["start"] : each["end"]]) for each in said["entities"]] == [
        ("order", "#W2890441"),
        ("phone", "+1 (555) 123-4567"),
    ]
    assert said["degraded"] == "no_intents"


@pytest.mark.parametrize("body", [{}, {"text": None}, {"text": []}, {"text": "x" * 20_001}, {"text": "x", "more": 1}])
def test_a_body_that_is_wrong_is_refused(api: ApiClient, body: Any) -> None:
    assert api.post("understandings", body).status_code == 400


@pytest.mark.parametrize("text", ["\\ud800 half a pair", "a\\u0000b"])
def test_text_that_no_encoding_holds_is_no_error_of_ours(api: ApiClient, text: str) -> None:
    assert api.post("understandings", f'{{"text": "{text}"}}'.encode()).status_code in (200, 400)


def test_a_key_without_the_scope_is_refused(client_with_scopes: Callable[..., ApiClient]) -> None:
    assert client_with_scopes("knowledge:read").post("understandings", {"text": "hi"}).status_code == 403


def test_another_tenants_examples_answer_nothing(
    tenant: Tenant, other_api: ApiClient, bank_examples: list[dict[str, str]]
) -> None:
    with tenant_scope(tenant.id):
        add_examples(examples=[NewExample(**each) for each in bank_examples], actor="test", create_intents=True)
    said = other_api.post("understandings", {"text": "i lost my card"}).json()
    assert (said["intent"], said["degraded"]) == (None, "no_intents")
