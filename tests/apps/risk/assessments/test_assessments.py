"""Transactions assessed over the API: the answer, and what is stored with it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.risk.assessments.services import assess
from apps.risk.transactions.models import Transaction
from apps.risk.transactions.reading import read_transaction
from behavior.models import Event
from behavior.services import store_events
from decisions.models import Decision
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.conftest import ApiClient
from tests.queries import CapturedQueries

PAYMENT = {
    "transaction_id": "t-1",
    "subject": {"user_id": "u-1"},
    "amount": 20.0,
    "currency": "EUR",
    "counterparty": "terminal-1",
    "device": "phone",
    "card": "4711",
    "country": "DE",
    "location": {"latitude": 52.5, "longitude": 13.4},
    "properties": {"channel": "web"},
}


def test_a_payment_is_answered_and_stored_with_its_event_and_decision(api: ApiClient, tenant: Tenant) -> None:
    answer = api.post("risk/assessments", PAYMENT)
    assert answer.status_code == 201, answer.content
    body = answer.json()
    assert body["transaction_id"] == "t-1"
    assert body["verdict"] == "approve"
    assert body["degraded"] == "no_model"
    assert 0 <= body["score"] <= 1
    with tenant_scope(tenant.id):
        stored = Transaction.objects.get(transaction_id="t-1")
        event = Event.objects.get(event_id=stored.event_id)
        decision = Decision.objects.get(decision_id=body["decision_id"])
    assert (stored.amount, stored.currency, stored.counterparty, stored.country) == (20.0, "EUR", "terminal-1", "DE")
    assert stored.decision_id == decision.decision_id
    assert decision.scenario == "transactions"
    assert (event.type, event.value, event.item_id) == ("payment", 20.0, "terminal-1")
    assert event.properties["channel"] == "web"
    assert "card" not in event.properties
    assert decision.request["features"]["customer_count_1d"] == 1.0
    assert None not in decision.request["features"].values()
    assert decision.items[0]["id"] == "approve"


def test_the_same_call_again_gets_the_stored_answer_and_another_one_is_refused(api: ApiClient, tenant: Tenant) -> None:
    first = api.post("risk/assessments", PAYMENT)
    again = api.post("risk/assessments", PAYMENT)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json() == api.get("risk/assessments/t-1").json()
    for changed in (
        {"amount": 21},
        {"card": "4712"},
        {"subject": {"user_id": "u-2"}},
        {"properties": {}},
        {"location": {"latitude": 1, "longitude": 13.4}},
        {"occurred_at": "2026-01-01T00:00:00Z"},
    ):
        refused = api.post("risk/assessments", PAYMENT | changed)
        assert refused.status_code == 409
        assert refused.json()["detail"].startswith(next(iter(changed)))
    with tenant_scope(tenant.id):
        assert Event.objects.count() == Decision.objects.count() == Transaction.objects.count() == 1


@pytest.mark.parametrize("number", [1e23, 10**23, 0.1, 5e-324, -0.0, 2**53 + 1, [{"deep": 1e300}]])
def test_the_same_numbers_are_the_same_however_they_are_stored(api: ApiClient, number: Any) -> None:
    body = PAYMENT | {"properties": {"n": number}}
    assert [api.post("risk/assessments", body).status_code for _ in range(2)] == [201, 200]
    other = PAYMENT | {"properties": {"n": 2**53}}
    assert api.post("risk/assessments", other).status_code == 409


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"amount": -1}, "amount", "out_of_range"),
        ({"amount": float("nan")}, "amount", "not_finite"),
        ({"amount": float("inf")}, "amount", "not_finite"),
        ({"amount": 1e13}, "amount", "out_of_range"),
        ({"amount": None}, "amount", "required"),
        ({"currency": "EUO"}, "currency", "unknown_currency"),
        ({"currency": "eur"}, "currency", "unknown_currency"),
        ({"country": "UK"}, "country", "unknown_country"),
        ({"country": ["DE"]}, "country", "unknown_country"),
        ({"subject": {}}, "subject", "required"),
        ({"subject": {"user_id": "null"}}, "subject.user_id", "illegal_id"),
        ({"location": {"latitude": 91, "longitude": 0}}, "location.latitude", "out_of_range"),
        ({"location": {"latitude": 1}}, "location", "required"),
        ({"amuont": 1}, "amuont", "unknown_field"),
        ({"transaction_id": ""}, "transaction_id", "length"),
        ({"transaction_id": "x" * 196}, "transaction_id", "length"),
        ({"properties": {"a": float("nan")}}, "properties", "not_finite"),
        ({"properties": '{"channel":"web"}'}, "properties", "wrong_type"),
        ({"device": "\0"}, "device", "nul_byte"),
        ({"occurred_at": "yesterday"}, "occurred_at", "not_a_time"),
        ({"occurred_at": (datetime.now(UTC) + timedelta(days=1)).isoformat()}, "occurred_at", "in_future"),
        ({"occurred_at": (datetime.now(UTC) - timedelta(days=366)).isoformat()}, "occurred_at", "too_old"),
    ],
)
def test_bad_input_is_refused_with_the_field_and_the_cure(
    api: ApiClient, change: dict[str, Any], field: str, code: str
) -> None:
    answer = api.post("risk/assessments", PAYMENT | change)
    assert answer.status_code == 400
    assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [(field, code)]


def test_of_many_unknown_fields_ten_are_named_and_the_rest_counted(api: ApiClient) -> None:
    subject = {"user_id": "ada"} | {f"field{number}": 1 for number in range(30_000)}
    errors = api.post("risk/assessments", PAYMENT | {"subject": subject}).json()["errors"]
    assert [error["field"] for error in errors] == [f"subject.field{number}" for number in range(10)]
    assert errors[-1]["message"].endswith("(29,990 more are unknown)")


def test_a_clock_that_is_a_little_ahead_counts_as_now(api: ApiClient) -> None:
    ahead = (datetime.now(UTC) + timedelta(minutes=3)).isoformat()
    answer = api.post("risk/assessments", PAYMENT | {"occurred_at": ahead})
    assert answer.status_code == 201
    assert datetime.fromisoformat(answer.json()["occurred_at"]) <= datetime.now(UTC)
    assert [notice["code"] for notice in answer.json()["notices"]] == ["clock_ahead"]
    assert api.post("risk/assessments", PAYMENT | {"occurred_at": ahead}).status_code == 200


def test_a_customer_who_paid_next_to_nothing_is_assessed_all_the_same(api: ApiClient) -> None:
    at = (datetime.now(UTC) - timedelta(days=20)).isoformat()
    for name, amount in (("tiny", 1e-320), ("small", 1e-30)):
        early = PAYMENT | {"transaction_id": name, "amount": amount, "occurred_at": at}
        assert api.post("risk/assessments", early).status_code == 201
    assert api.post("risk/assessments", PAYMENT | {"amount": 1e12}).status_code == 201


def test_one_that_comes_late_is_accepted_marked_and_sees_only_what_was_before_it(
    api: ApiClient, tenant: Tenant
) -> None:
    now = datetime.now(UTC)
    for number, days in enumerate((3, 1)):
        at = (now - timedelta(days=days)).isoformat()
        api.post("risk/assessments", PAYMENT | {"transaction_id": f"on-time-{number}", "occurred_at": at})
    late = api.post(
        "risk/assessments",
        PAYMENT | {"transaction_id": "late", "occurred_at": (now - timedelta(days=2)).isoformat()},
    ).json()
    assert [notice["code"] for notice in late["notices"]] == ["out_of_order"]
    with tenant_scope(tenant.id):
        features = Decision.objects.get(decision_id=late["decision_id"]).request["features"]
    assert features["customer_count_7d"] == 2.0


def test_a_batch_answers_each_on_its_own_and_its_items_see_each_other(api: ApiClient, tenant: Tenant) -> None:
    now = datetime.now(UTC)
    batch = [
        PAYMENT | {"transaction_id": f"b-{number}", "occurred_at": (now - timedelta(minutes=9 - number)).isoformat()}
        for number in range(3)
    ]
    sent = [*batch, PAYMENT | {"transaction_id": "bad", "amount": float("nan")}, batch[0], batch[1] | {"amount": 5}, 7]
    started = time.perf_counter()
    answer = api.post("risk/assessments/batch", {"transactions": sent})
    took_ms = 1000 * (time.perf_counter() - started)
    assert answer.status_code == 200, answer.content
    results = answer.json()["results"]
    assert [result["result"] for result in results] == ["ok"] * 3 + ["invalid", "duplicate", "invalid", "invalid"]
    assert results[4]["assessment"] == results[0]["assessment"]
    assert results[3]["errors"][0]["field"] == results[5]["errors"][0]["field"] == "amount"
    again = api.post("risk/assessments/batch", {"transactions": batch}).json()
    assert again["counts"] == {"ok": 0, "duplicate": 3, "invalid": 0}
    assert [each["assessment"] for each in again["results"]] == [each["assessment"] for each in results[:3]]
    with tenant_scope(tenant.id):
        last = Decision.objects.get(decision_id=results[2]["assessment"]["decision_id"])
    assert last.request["features"]["customer_count_1h"] == 3.0
    assert 3 * last.latency_ms < took_ms, "each has its share of the time"


def test_a_transaction_whose_message_id_is_taken_costs_the_others_nothing(api: ApiClient, tenant: Tenant) -> None:
    event = {"message_id": "risk:t-1", "type": "view", "subject": {"user_id": "u-1"}}
    with tenant_scope(tenant.id):
        store_events(events=[event], source="test")
    now = datetime.now(UTC)
    sent = [
        PAYMENT | {"transaction_id": f"t-{number}", "occurred_at": (now - timedelta(minutes=9 - number)).isoformat()}
        for number in range(3)
    ]
    results = api.post("risk/assessments/batch", {"transactions": sent}).json()["results"]
    assert [result["result"] for result in results] == ["ok", "invalid", "ok"]
    (error,) = results[1]["errors"]
    assert (error["field"], error["code"]) == ("transaction_id", "message_id_taken")
    assert "'risk:t-1'" in error["message"]
    with tenant_scope(tenant.id):
        kept = set(Transaction.objects.values_list("transaction_id", flat=True))
        features = Decision.objects.get(decision_id=results[2]["assessment"]["decision_id"]).request["features"]
    assert (kept, features["customer_count_1d"]) == ({"t-0", "t-2"}, 2.0)
    alone = api.post("risk/assessments", sent[1])
    assert (alone.status_code, "'risk:t-1'" in alone.json()["detail"]) == (409, True)


def test_known_frauds_show_in_score_verdict_and_reasons(api: ApiClient) -> None:
    at = (datetime.now(UTC) - timedelta(days=2)).isoformat()
    for number in range(2):
        api.post("risk/assessments", PAYMENT | {"transaction_id": f"f-{number}", "occurred_at": at})
    labels = {"labels": [{"transaction_id": f"f-{number}", "kind": "fraud"} for number in range(2)]}
    assert api.post("risk/labels", labels).json()["counts"]["ok"] == 2
    answer = api.post("risk/assessments", PAYMENT | {"subject": {"user_id": "other"}}).json()
    assert answer["verdict"] == "decline"
    assert answer["reasons"][0]["code"] == "card_fraud"
    assert answer["reasons"][0]["text"] == "this card had 2 known frauds in the last 28 days"


def test_one_tenant_sees_neither_the_transactions_nor_the_histories_of_another(
    api: ApiClient, other_api: ApiClient, other_tenant: Tenant
) -> None:
    assert api.post("risk/assessments", PAYMENT).status_code == 201
    assert other_api.get("risk/assessments/t-1").status_code == 404
    labelled = other_api.post("risk/labels", {"transaction_id": "t-1", "kind": "fraud"}).json()
    assert labelled["results"][0]["errors"][0]["field"] == "transaction_id"
    answer = other_api.post("risk/assessments", PAYMENT)
    assert answer.status_code == 201
    with tenant_scope(other_tenant.id):
        features = Decision.objects.get(decision_id=answer.json()["decision_id"]).request["features"]
    assert features["customer_count_30d"] == features["card_count_30d"] == 1.0


def test_scopes(client_with_scopes: Callable[..., ApiClient]) -> None:
    assert client_with_scopes("risk:read").post("risk/assessments", PAYMENT).status_code == 403
    writer = client_with_scopes("risk:write")
    assert writer.post("risk/assessments", PAYMENT).status_code == 201
    assert writer.get("risk/assessments/t-1").status_code == 403


@pytest.mark.parametrize("count", [1, 40])
def test_the_number_of_statements_does_not_grow(scope: Tenant, count: int) -> None:
    warm = [read_transaction(PAYMENT | {"transaction_id": "warm"}, now=timezone.now())]
    assess(warm)
    own = [{"transaction_id": f"n-{n}", "subject": {"user_id": f"u-{n}"}, "device": f"d-{n}"} for n in range(count)]
    asked = [read_transaction(PAYMENT | each | {"card": f"c-{each['device']}"}, now=timezone.now()) for each in own]
    with CapturedQueries() as queries:
        assess(asked)
    # And the rules, once a second; none of them raises an alert.
    assert len(queries) <= 4, [query["sql"][:90] for query in queries]


def test_device_card_and_address_are_kept_as_hashes_that_differ_between_tenants(
    api: ApiClient, other_api: ApiClient, tenant: Tenant, other_tenant: Tenant
) -> None:
    keys = []
    for client, owner in ((api, tenant), (other_api, other_tenant)):
        client.post("risk/assessments", PAYMENT)
        with tenant_scope(owner.id):
            keys.append(bytes(Transaction.objects.get(transaction_id="t-1").card_key))
    assert keys[0] != keys[1]
    assert b"4711" not in keys[0]
