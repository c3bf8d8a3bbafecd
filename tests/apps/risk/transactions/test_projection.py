"""Transactions that come through the log: carried over once, with their labels, as a request would store them."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.risk.assessments.settings import change_settings
from apps.risk.tasks import project_much_of_tenant, project_transactions_of_tenant
from apps.risk.transactions.models import Label, Transaction
from apps.risk.transactions.projection import READER, project_past, project_transactions
from apps.risk.transactions.reading import thing_key
from behavior.models import LogPosition
from behavior.services import store_events
from decisions.models import Decision
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.secrets import subject_key
from tenancy.tasks import TENANT_HEADER
from tests.conftest import ApiClient
from tests.messages import take_messages

START = datetime.now(UTC) - timedelta(days=60)
numbers = itertools.count()


def event(**values: Any) -> dict[str, Any]:
    number = next(numbers)
    return {
        "message_id": f"p-{number}",
        "type": "payment",
        "subject": {"user_id": "u-1"},
        "value": 12.5,
        "item_id": "terminal-3",
        "created_at": (START + timedelta(minutes=number)).isoformat(),
        "properties": {"transaction_id": f"t-{number}"},
    } | values


def store(tenant: Tenant, *events: dict[str, Any]) -> None:
    with tenant_scope(tenant.id):
        batch = store_events(events=list(events), source="test", historical=True)
    assert {result.result for result in batch.results} == {"ok"}


def project(tenant: Tenant, **options: Any) -> int:
    with tenant_scope(tenant.id):
        return project_transactions(**options)


def project_added(tenant: Tenant, **options: Any) -> int:
    with tenant_scope(tenant.id):
        return project_past(**options)


def change_types(tenant: Tenant, *types: str, **changes: Any) -> None:
    with tenant_scope(tenant.id):
        change_settings({"event_types": types, **changes}, actor="test")


def stored(tenant: Tenant) -> set[str]:
    with tenant_scope(tenant.id):
        return set(Transaction.objects.values_list("transaction_id", flat=True))


def named(name: str, type: str = "payment") -> dict[str, Any]:
    return event(type=type, properties={"transaction_id": name})


def test_an_event_becomes_a_transaction_with_hashed_things(tenant: Tenant) -> None:
    named = {"transaction_id": "x", "device": "phone", "card": "4711", "country": "DE", "latitude": "52.5", "a": 1}
    store(tenant, event(currency="USD", properties=named | {"longitude": 500}), event(type="view", value=1))
    assert project(tenant) == 1
    with tenant_scope(tenant.id):
        found = Transaction.objects.get()
        assert bytes(found.subject_key) == subject_key("user_id", "u-1")
        assert bytes(found.device_key) == thing_key("device", "phone")
        assert bytes(found.card_key) == thing_key("card", "4711")
        assert found.address_key is None
    assert (found.transaction_id, found.amount, found.currency, found.country) == ("x", 12.5, "USD", "DE")
    assert (found.counterparty, found.latitude, found.longitude) == ("terminal-3", 52.5, None)
    assert found.properties == {"a": 1}
    assert found.decision_id is None


def test_projecting_twice_and_in_slices_gives_what_once_gives(tenant: Tenant) -> None:
    for _ in range(4):
        store(tenant, *[event() for _ in range(5)])
    assert project(tenant, limit=7) == 10
    assert project(tenant, limit=7) == 10
    assert project(tenant) == 0
    with tenant_scope(tenant.id):
        before = list(Transaction.objects.order_by("transaction_id").values())
        LogPosition.objects.update(position=START)
    assert project(tenant) == 20
    with tenant_scope(tenant.id):
        assert list(Transaction.objects.order_by("transaction_id").values()) == before
        assert len(before) == 20


def test_a_type_that_is_added_brings_its_past_and_says_nothing_twice(api: ApiClient, tenant: Tenant) -> None:
    fraud = {"transaction_id": "fraud", "fraud": True}
    store(tenant, event(type="purchase", properties={"transaction_id": "past"}), event(properties=fraud))
    assert project(tenant) == 1
    assert api.post("risk/labels", {"transaction_id": "fraud", "kind": "false_alarm"}).status_code == 200
    # By another delay the fraud would have been known at another time, and so be told anew.
    change_types(tenant, "purchase", "payment", label_delay_days=365)
    assert project(tenant) == 0
    assert project_added(tenant) == 1
    assert project_added(tenant) == 0
    assert stored(tenant) == {"past", "fraud"}
    with tenant_scope(tenant.id):
        assert Transaction.objects.get(transaction_id="fraud").cleared_at is not None
        assert Label.objects.count() == 2


def test_what_comes_in_does_not_wait_for_the_past_of_an_added_type(tenant: Tenant) -> None:
    for number in range(4):
        store(tenant, named(f"past-{number}", "purchase"))
    assert project(tenant) == 0
    change_types(tenant, "purchase", "payment")
    store(tenant, named("now"), named("bought now", "purchase"))
    assert project(tenant) == 2
    assert project_added(tenant, limit=3) == 3
    store(tenant, named("later"))
    assert project(tenant) == 1
    assert stored(tenant) == {"now", "bought now", "later", *(f"past-{number}" for number in range(3))}
    # The one that is left, and the one that came while it waited, once.
    assert project_added(tenant, limit=3) == 2
    assert project_added(tenant) == 0
    store(tenant, named("last", "purchase"))
    assert project(tenant) == 1
    assert project_added(tenant) == 0
    assert len(stored(tenant)) == 8


def test_a_type_that_is_taken_away_and_named_again_goes_on_where_it_was(tenant: Tenant) -> None:
    store(tenant, named("before"), named("moved", "transfer"))
    assert project(tenant) == 2
    change_types(tenant, "transfer")
    assert (project(tenant), project_added(tenant)) == (0, 0)
    store(tenant, named("between"), named("moved between", "transfer"))
    assert project(tenant) == 1
    change_types(tenant, "transfer", "payment")
    store(tenant, named("after"))
    assert project(tenant) == 1
    assert project_added(tenant) == 2
    assert stored(tenant) == {"before", "between", "after", "moved", "moved between"}


def test_the_position_that_all_types_had_in_common_is_gone_on_with(tenant: Tenant) -> None:
    """As those who upgrade have it: the log is not read once more."""
    store(tenant, named("known"))
    project(tenant)
    with tenant_scope(tenant.id):
        LogPosition.objects.exclude(reader=READER).delete()
    store(tenant, named("new"))
    assert project(tenant) == 1
    assert project_added(tenant) == 0
    assert stored(tenant) == {"known", "new"}


def test_much_at_once_and_the_past_of_an_added_type_are_long_work(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    def turn() -> list[str]:
        project_transactions_of_tenant.apply(headers={TENANT_HEADER: tenant.id}, throw=True)
        return [sent.task for sent in take_messages("slow", tenant)]

    store(tenant, named("usual"), named("past", "purchase"))
    assert turn() == []
    change_types(tenant, "payment", "purchase")
    assert turn() == ["risk.project_much_of_tenant"]
    project_much_of_tenant.apply(headers={TENANT_HEADER: tenant.id}, throw=True)
    assert turn() == []
    monkeypatch.setattr("apps.risk.tasks.LITTLE", 2)
    store(tenant, named("one"))
    store(tenant, named("two"))
    assert turn() == ["risk.project_much_of_tenant"]


@pytest.mark.parametrize(
    ("told", "days"), [({}, 7), ({"fraud_known_at": "2000-01-01"}, 0), ({"fraud_known_at": "no time"}, 7)]
)
def test_fraud_in_the_log_is_known_after_the_delay_or_when_it_says(
    tenant: Tenant, told: dict[str, Any], days: int
) -> None:
    frauds = [event(properties={"transaction_id": f"f-{flag!r}", "fraud": flag} | told) for flag in (True, "1", 1)]
    store(tenant, *frauds, event(properties={"transaction_id": "good", "fraud": False}), event())
    project(tenant)
    with tenant_scope(tenant.id):
        known = Transaction.objects.exclude(fraud_known_at=None)
        assert {one.transaction_id for one in known} == {"f-True", "f-'1'", "f-1"}
        assert all(one.fraud_known_at == one.occurred_at + timedelta(days=days) for one in known)
        assert Label.objects.count() == 3


def test_an_event_speaks_of_no_transaction_but_its_own(api: ApiClient, tenant: Tenant) -> None:
    """Whoever may send events may not say by them what an assessed or another payment was."""
    body = {"transaction_id": "assessed", "subject": {"user_id": "u-1"}, "amount": 12.5, "currency": "EUR"}
    api.post("risk/assessments", body)
    store(tenant, event(properties={"transaction_id": "told"}))
    project(tenant)
    store(tenant, *(event(properties={"transaction_id": name, "fraud": True}) for name in ("assessed", "told", "own")))
    project(tenant)
    with tenant_scope(tenant.id):
        assert [label.transaction_id for label in Label.objects.all()] == ["own"]


def test_names_are_read_as_the_api_reads_them(api: ApiClient, tenant: Tenant) -> None:
    padded = {"transaction_id": " t-9\u00a0", "device": "phone ", "card": "\t4711", "counterparty": " shop "}
    store(tenant, event(item_id=None, properties=padded), event(properties={"transaction_id": "x" * 196}))
    project(tenant)
    body = {"transaction_id": "t-10", "subject": {"user_id": "u-1"}, "amount": 12.5, "currency": "EUR"}
    api.post("risk/assessments", body | {name: padded[name] for name in ("device", "card", "counterparty")})
    parties = ("device_key", "card_key", "counterparty")
    with tenant_scope(tenant.id):
        found = {each["transaction_id"]: each for each in Transaction.objects.values("transaction_id", *parties)}
    assert {name for name in found if len(name) < 36} == {"t-9", "t-10"}
    assert all(found["t-9"][party] == found["t-10"][party] is not None for party in parties)
    assert api.post("risk/labels", {"transaction_id": "t-9", "kind": "fraud"}).status_code == 200


def test_a_fraud_is_not_known_before_the_log_was_told(tenant: Tenant) -> None:
    later = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    store(tenant, event(properties={"transaction_id": "f", "fraud": True, "fraud_known_at": later}))
    project(tenant)
    with tenant_scope(tenant.id):
        assert START < Transaction.objects.get().fraud_known_at <= datetime.now(UTC)


def test_bad_values_are_left_out_and_stop_nothing(tenant: Tenant) -> None:
    store(
        tenant,
        event(value=-3),
        event(item_id=None, properties={"counterparty": "c" * 300, "latitude": "north", "country": "Germany"}),
        event(item_id=None, properties={"country": "ZZ"}),
        event(item_id=None, properties={"transaction_id": ["x"], "card": {"number": 1}, "longitude": "1e99"}),
    )
    assert project(tenant) == 3
    with tenant_scope(tenant.id):
        left_out = ("counterparty", "country", "latitude", "longitude")
        assert set(Transaction.objects.values_list(*left_out)) == {(None, None, None, None)}


def test_an_assessed_transaction_is_not_carried_over_again(api: ApiClient, tenant: Tenant) -> None:
    body = {"transaction_id": "t-a", "subject": {"user_id": "u-1"}, "amount": 12.5, "currency": "EUR"}
    decision = api.post("risk/assessments", body).json()["decision_id"]
    store(tenant, event(value=99, properties={"transaction_id": "t-a"}))
    project(tenant)
    with tenant_scope(tenant.id):
        found = Transaction.objects.get()
    assert (str(found.decision_id), found.amount) == (decision, 12.5)


def test_an_imported_transaction_can_be_assessed_as_of_its_time(api: ApiClient, tenant: Tenant) -> None:
    old = (datetime.now(UTC) - timedelta(days=3000)).isoformat()
    store(tenant, event(created_at=old, properties={"transaction_id": "old"}))
    project(tenant)
    body = {"transaction_id": "old", "subject": {"user_id": "u-1"}, "amount": 12.5, "currency": "EUR"}
    assert api.get("risk/assessments/old").status_code == 404
    assert api.post("risk/assessments", body | {"amount": 1}).status_code == 409
    answer = api.post("risk/assessments", body)
    assert answer.status_code == 201
    assert datetime.fromisoformat(answer.json()["occurred_at"]) == datetime.fromisoformat(old)
    again = api.post("risk/assessments", body)
    assert (again.status_code, again.json()) == (200, answer.json())
    with tenant_scope(tenant.id):
        assert Transaction.objects.count() == 1


def test_an_import_and_the_call_that_assesses_it_are_one_transaction(api: ApiClient, tenant: Tenant) -> None:
    """The call need not repeat what was imported, and may say more."""
    blocked = api.post("risk/lists", {"name": "blocked", "kind": "deny", "field": "card"}).json()
    api.post(f"risk/lists/{blocked['id']}/entries", {"entries": [{"value": "4711"}]})
    told = {"transaction_id": "t", "card": "4711", "country": "DE", "channel": "branch", "large": 10**23}
    store(tenant, event(properties=told))
    project(tenant)
    body = {
        "transaction_id": "t",
        "subject": {"user_id": "u-1"},
        "amount": 12.5,
        "currency": "EUR",
        "device": "phone",
        "location": {"latitude": 52.5, "longitude": 13.4},
        "properties": {"channel": "web", "till": 7},
    }
    answer = api.post("risk/assessments", body).json()
    assert (answer["verdict"], [rule["key"] for rule in answer["rules"]]) == ("decline", ["list:blocked"])
    with tenant_scope(tenant.id):
        found = Transaction.objects.get()
        features = Decision.objects.get(decision_id=found.decision_id).request["features"]
    assert features["card_count_30d"] == features["device_count_30d"] == 1.0
    assert (found.country, found.counterparty, found.longitude) == ("DE", "terminal-3", 13.4)
    assert found.properties == {"channel": "branch", "large": 10**23, "till": 7}
    with tenant_scope(tenant.id):
        assert bytes(found.device_key) == thing_key("device", "phone")
    # What the call has said is known from now on.
    assert api.post("risk/assessments", body).json() == answer
    refused = api.post("risk/assessments", body | {"device": "another"})
    assert (refused.status_code, refused.json()["detail"].split()[0]) == (409, "device")
