"""The earlier transactions behind an alert's score, on the page of its case and by the API."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from apps.risk.cases.models import Alert, Case
from apps.risk.cases.page import case_context
from apps.risk.cases.raising import NewAlert, raise_alerts
from apps.risk.transactions.projection import project_transactions
from behavior.services import store_events
from decisions.services import record_decision
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.secrets import subject_key
from tests.conftest import ApiClient

NOON = datetime(2026, 11, 20, 12, 0, 0, 123_457, tzinfo=UTC)
REASONS = [{"code": "amount", "text": "a large amount", "feature": "amount", "value": 900.0, "part": 1}]


def pay(message_id: str, user: str, amount: float, at: datetime) -> None:
    event = {
        "message_id": message_id,
        "type": "payment",
        "subject": {"user_id": user},
        "item_id": "mule",
        "value": amount,
        "currency": "EUR",
        "created_at": at.isoformat(),
        "properties": {"transaction_id": message_id},
    }
    stored = store_events(events=[event], source="api", historical=True)
    assert stored.counts["ok"] == 1, stored


def share(side: str, at: datetime, part: float) -> dict[str, Any]:
    return {"side": side, "index": 0, "time": at.timestamp(), "part": part, "attention": 0.25}


def raise_alert(transaction_id: str, at: datetime, *events: dict[str, Any]) -> None:
    """On a payment of Anna's to the mule, of which the network weighed these events."""
    decision_id = uuid7()
    record_decision(
        decision_id=decision_id,
        application="risk",
        scenario="payments",
        policy="thresholds",
        request={"counterparty": "mule", "events": list(events)},
        items=[],
        latency_ms=1.0,
    )
    key = subject_key("user_id", "anna")
    alert = NewAlert(transaction_id, decision_id, key, "review", 0.5, 900.0, "EUR", REASONS, rules=[], occurred_at=at)
    raise_alerts([alert])


@pytest.fixture
def case(tenant: Tenant) -> Case:
    """Anna paid a mule whom Ben had paid before; the network took both from what came before."""
    with tenant_scope(tenant.id):
        pay("t-1", "anna", 950.0, NOON - timedelta(hours=2))
        pay("t-2", "ben", 20.0, NOON - timedelta(hours=1))
        pay("t-3", "anna", 900.0, NOON)
        project_transactions(wait=True)
        raise_alert(
            "t-3",
            NOON,
            share("counterparty", NOON - timedelta(hours=1), 0.8),
            share("customer", NOON - timedelta(hours=2), 0.5),
            share("customer", NOON - timedelta(hours=9), 0.4),
            share("customer", NOON - timedelta(hours=2), -0.3),
        )
        return Case.objects.get()


def test_the_page_names_the_earlier_transactions_and_marks_them(case: Case, tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        context = case_context(case)

    ((_, _, weighed, _),) = context["alerts"]
    assert [each.words for each in weighed] == [
        "somebody else's payment of 20.00 EUR to mule, 2026-11-20 11:00",
        "payment of 950.00 EUR to mule, 2026-11-20 10:00",
        "a transaction of the customer, 2026-11-20 03:00",
    ]
    kinds = {mark.words.rpartition("(")[2]: mark.kind for mark in context["timeline"].marks}
    assert kinds == {"t-1)": "weighed", "t-3)": "alert"}


def test_what_the_customer_paid_the_counterparty_before_is_told_once_and_as_the_customers(
    case: Case, tenant: Tenant
) -> None:
    before = [NOON - timedelta(hours=hours) for hours in (0, 1, 2)]
    with tenant_scope(tenant.id):
        pay("t-4", "anna", 990.0, NOON + timedelta(hours=1))
        project_transactions(wait=True)
        sides = ("counterparty", "customer")
        raise_alert("t-4", NOON + timedelta(hours=1), *(share(side, at, 0.5) for at in before for side in sides))
        (_, _, weighed, _), _ = case_context(case)["alerts"]

    assert [each.words for each in weighed] == [
        "payment of 900.00 EUR to mule, 2026-11-20 12:00",
        "somebody else's payment of 20.00 EUR to mule, 2026-11-20 11:00",
        "a transaction of the customer, 2026-11-20 11:00",
    ]


def test_the_picture_of_a_busy_subject_has_what_led_to_the_alert(
    case: Case, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.risk.cases.selectors.MOST_SHOWN", 2)
    with tenant_scope(tenant.id):
        for hour in (1, 2, 3):
            pay(f"t-{3 + hour}", "anna", 9.0, NOON + timedelta(hours=hour))
        project_transactions(wait=True)
        marks = case_context(case)["timeline"].marks

    assert {mark.words.rpartition("(")[2]: mark.kind for mark in marks} == {"t-1)": "weighed", "t-3)": "alert"}


def test_one_alert_by_the_api_has_them_too(case: Case, api: ApiClient, tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        alert = Alert.objects.get(case=case)

    events = api.get(f"risk/alerts/{alert.id}").json()["events"]

    assert [(each["side"], each["transaction_id"], each["part"]) for each in events] == [
        ("counterparty", "t-2", 0.8),
        ("customer", "t-1", 0.5),
        ("customer", None, 0.4),
    ]
