"""The desk's rules and lists take part in verdicts, and a batch asks the lists once."""

from typing import Any

from tests.conftest import ApiClient
from tests.queries import CapturedQueries


def transaction(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "transaction_id": f"t-{number}",
        "subject": {"user_id": "anna"},
        "amount": 20.0,
        "currency": "EUR",
        "counterparty": "shop-1",
        "card": f"card-{number}",
    } | changes


def publish(api: ApiClient, **rule: Any) -> None:
    made = api.post("risk/rules", rule)
    assert made.status_code == 201, made.content
    assert api.post(f"risk/rules/{made.json()['id']}/publish", {}).status_code == 200


def put_on_list(api: ApiClient, kind: str, field: str, value: str) -> None:
    made = api.post("risk/lists", {"name": f"{kind} {field}", "kind": kind, "field": field}).json()
    assert api.post(f"risk/lists/{made['id']}/entries", {"entries": [{"value": value}]}).status_code in (200, 201)


def test_a_rule_sends_a_transaction_to_review_and_is_named(api: ApiClient) -> None:
    publish(api, name="Large", expression="amount > 500 and country not in ['DE']", action="review")

    plain = api.post("risk/assessments", transaction(1)).json()
    large = api.post("risk/assessments", transaction(2, amount=900.0, country="FR")).json()

    assert (plain["verdict"], plain["rules"]) == ("approve", [])
    assert large["verdict"] == "review"
    assert [rule["key"] for rule in large["rules"]] == ["large"]


def test_a_denied_card_is_declined_whatever_the_score(api: ApiClient) -> None:
    put_on_list(api, "deny", "card", "card-7")

    answer = api.post("risk/assessments", transaction(7)).json()

    assert answer["verdict"] == "decline"
    assert [rule["key"] for rule in answer["rules"]] == ["list:deny card"]


def test_a_batch_asks_the_lists_once(api: ApiClient) -> None:
    put_on_list(api, "watch", "country", "FR")
    api.post("risk/assessments", transaction(0))

    def statements(first: int, count: int) -> int:
        batch = [transaction(first + number, country="FR") for number in range(count)]
        with CapturedQueries() as queries:
            answer = api.post("risk/assessments/batch", {"transactions": batch})
        assert answer.status_code == 200, answer.content
        assert all(each["assessment"]["rules"] for each in answer.json()["results"])
        return len(queries)

    few, many = statements(100, 3), statements(200, 30)
    # The rules and the live versions are read once a second besides.
    assert many <= few + 5
