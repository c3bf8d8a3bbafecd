"""Intents and their examples by API: made, imported, judged one by one, and never another tenant's."""

from collections.abc import Callable

import pytest

from apps.service.models import Intent, IntentExample
from apps.service.understanding.services import create_intent
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.conftest import ApiClient
from tests.queries import CapturedQueries


def make(api: ApiClient, name: str = "refund", **values: object) -> dict:
    answer = api.post("intents", {"name": name} | values)
    assert answer.status_code == 201, answer.content
    return answer.json()


def add(api: ApiClient, *pairs: tuple[str, str], query: str = "") -> dict:
    answer = api.post(f"intent-examples{query}", {"examples": [{"text": text, "intent": name} for text, name in pairs]})
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_an_intent_is_made_changed_and_removed_with_its_examples(api: ApiClient, tenant: Tenant) -> None:
    made = make(api, description="money back")
    assert (made["auto_send"], made["examples"]) == (False, 0)
    add(api, ("where is my money", "refund"))
    changed = api.patch(f"intents/{made['id']}", {"auto_send": True}).json()
    assert (changed["auto_send"], changed["description"], changed["examples"]) == (True, "money back", 1)
    assert api.delete(f"intents/{made['id']}").status_code == 204
    with tenant_scope(tenant.id):
        assert not Intent.objects.exists()
        assert not IntentExample.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "out_of_scope"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "refund", "autosend": True}, "autosend"),
        ({"name": "refund", "auto_send": "perhaps"}, "auto_send"),
    ],
)
def test_an_intent_that_is_wrong_names_the_field(api: ApiClient, body: dict, field: str) -> None:
    answer = api.post("intents", body)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_name_is_taken_once(api: ApiClient) -> None:
    make(api)
    answer = api.post("intents", {"name": "refund"})
    assert answer.status_code == 400
    assert "already" in answer.json()["errors"][0]["message"]


def test_examples_are_judged_one_by_one(api: ApiClient) -> None:
    make(api)
    make(api, "delivery")
    answer = add(
        api,
        ("Where is my money?", "refund"),
        ("where  is my MONEY?", "refund"),
        ("where is my money?", "delivery"),
        ("where is my parcel", "delivery"),
        ("hello", "greeting"),
        ("", "refund"),
        ("will it rain", "out_of_scope"),
    )
    assert [result["result"] for result in answer["results"]] == [
        *("added", "duplicate", "rejected", "added", "rejected", "rejected", "added"),
    ]
    assert answer["counts"] == {"added": 3, "duplicate": 1, "rejected": 3}
    codes = [result["errors"][0]["code"] for result in answer["results"] if "errors" in result]
    assert codes == ["conflict", "unknown_intent", "length"]
    listed = api.get("intent-examples?intent=out_of_scope").json()["results"]
    assert [(each["text"], each["intent"]) for each in listed] == [("will it rain", "out_of_scope")]


@pytest.mark.parametrize("raw", [None, [], 5, {"text": 1, "intent": "refund"}, {"text": "a\0", "intent": "refund"}])
def test_an_example_of_any_shape_costs_the_others_nothing(api: ApiClient, raw: object) -> None:
    make(api)
    answer = api.post("intent-examples", {"examples": [raw, {"text": "fine", "intent": "refund"}]}).json()
    assert [result["result"] for result in answer["results"]] == ["rejected", "added"]


def test_a_csv_file_is_imported_with_the_intents_that_it_names(api: ApiClient) -> None:
    file = '\ufeffutterance;Label\n"where; is it";delivery\n;\n我的钱呢;refund\n'
    answer = api.request("POST", "intent-examples?create_intents=true", file, **{"Content-Type": "text/csv"})
    assert answer.status_code == 200, answer.content
    assert answer.json()["counts"] == {"added": 2, "duplicate": 0, "rejected": 0}
    assert answer.json()["created_intents"] == ["delivery", "refund"]
    assert [intent["examples"] for intent in api.get("intents").json()["results"]] == [1, 1]


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("a,b\n1,2\n", "no column for text"),
        ("text,kind\n1,2\n", "no column for intent"),
        ("", "or a CSV file"),
        (b"text,intent\n\xff,refund\n", "UTF-8"),
    ],
)
def test_a_file_that_can_not_be_read_says_what_to_change(api: ApiClient, file: str | bytes, words: str) -> None:
    answer = api.request("POST", "intent-examples", file, **{"Content-Type": "text/csv"})
    assert answer.status_code == 400
    assert words in answer.content.decode()


def test_examples_that_are_nearly_the_same_are_flagged(api: ApiClient) -> None:
    refund = make(api)
    make(api, "delivery")
    add(
        api,
        ("where is my refund please", "refund"),
        ("please where is my refund", "delivery"),
        ("cancel the order of yesterday", "refund"),
        ("cancel the order of yesterday!", "refund"),
        ("the money has not come", "refund"),
    )
    problems = api.get(f"intents/{refund['id']}/problems").json()["problems"]
    assert [(each["kind"], each["text"], each["other_intent"]) for each in problems] == [
        ("conflict", "where is my refund please", "delivery"),
        ("similar", "cancel the order of yesterday!", "refund"),
    ]


def test_adding_many_takes_as_many_queries_as_adding_few(api: ApiClient) -> None:
    make(api)

    def queries(count: int, word: str) -> int:
        with CapturedQueries() as captured:
            add(api, *((f"{word} {number}", "refund") for number in range(count)))
        return len(captured)

    queries(1, "warm")
    assert queries(200, "many") == queries(2, "few")


def test_another_tenants_intents_are_out_of_reach(api: ApiClient, other_api: ApiClient, tenant: Tenant) -> None:
    made = make(other_api)
    add(other_api, ("where is my money", "refund"))
    (example,) = other_api.get("intent-examples").json()["results"]
    assert api.get(f"intents/{made['id']}").status_code == 404
    assert api.patch(f"intents/{made['id']}", {"auto_send": True}).status_code == 404
    assert api.delete(f"intents/{made['id']}").status_code == 404
    assert api.get(f"intents/{made['id']}/problems").status_code == 404
    assert api.delete(f"intent-examples/{example['id']}").status_code == 404
    assert api.get("intent-examples").json()["results"] == []
    assert add(api, ("x", "refund"))["counts"]["rejected"] == 1
    assert other_api.get(f"intents/{made['id']}").json()["examples"] == 1


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "intents"), ("POST", "intent-examples"), ("PUT", "understanding-settings")]
)
def test_reading_keys_write_nothing(
    client_with_scopes: Callable[..., ApiClient], tenant: Tenant, method: str, path: str
) -> None:
    client = client_with_scopes("knowledge:read", "conversations:read")
    body = {"name": "refund", "examples": [], "order_patterns": []}
    assert client.request(method, path, body).status_code == 403
    with tenant_scope(tenant.id):
        assert not Intent.objects.exists()


def test_order_patterns_are_set_and_wrong_ones_change_nothing(api: ApiClient) -> None:
    assert api.get("understanding-settings").json() == {"order_patterns": []}
    stored = {"order_patterns": ["ORD-{digits:6}"]}
    assert api.put("understanding-settings", stored).json() == stored
    answer = api.put("understanding-settings", {"order_patterns": ["ORD-{digits:6}", "(a+)+"]})
    assert answer.status_code == 400
    assert "[1]" in answer.json()["errors"][0]["message"]
    assert api.get("understanding-settings").json() == stored


def test_the_tenant_has_at_most_so_many_intents(scope: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.core.exceptions import ValidationError

    monkeypatch.setattr("apps.service.understanding.services.MOST_INTENTS", 1)
    create_intent(name="one", actor="test")
    with pytest.raises(ValidationError, match="already; remove some"):
        create_intent(name="two", actor="test")
