"""Amounts in several currencies count in the desk's own, the same in an answer, in training and in a back-test."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from apps.risk import engine
from apps.risk.back_tests.history import read_history
from apps.risk.cases.models import Alert
from apps.risk.rules.fields import read_expression
from apps.risk.transactions.models import Transaction
from apps.risk.transactions.snapshots import take_snapshot
from behavior.models import Event
from decisions.models import Decision
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.risk.transactions.test_projection import event, project, store
from tests.conftest import ApiClient

RATES = {"JPY": 0.006, "USD": 0.9}


@pytest.fixture
def rates(api: ApiClient) -> None:
    changed = api.patch("risk/settings", {"exchange_rates": RATES})
    assert changed.status_code == 200, changed.content
    assert changed.json()["exchange_rates"] == RATES


def payment(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "transaction_id": f"t-{number}",
        "subject": {"user_id": "u-1"},
        "amount": 50.0,
        "currency": "EUR",
        "counterparty": "shop-1",
    } | changes


def features(tenant: Tenant, answer: dict[str, Any]) -> dict[str, float]:
    with tenant_scope(tenant.id):
        return Decision.objects.get(decision_id=answer["decision_id"]).request["features"]


@pytest.mark.usefixtures("rates")
def test_sums_hold_every_amount_in_the_desks_currency(api: ApiClient, tenant: Tenant) -> None:
    api.post("risk/assessments", payment(1))
    api.post("risk/assessments", payment(2, amount=10_000, currency="JPY"))
    answer = api.post("risk/assessments", payment(3, amount=100, currency="USD")).json()
    found = features(tenant, answer)
    assert answer["notices"] == []
    assert found["amount"] == pytest.approx(90.0)
    assert found["customer_amount_sum_1d"] == pytest.approx(50.0 + 60.0 + 90.0)
    assert found["amount_to_customer_mean_30d"] == pytest.approx(90.0 / 55.0)


@pytest.mark.usefixtures("rates")
def test_what_the_client_said_is_kept_and_shown(api: ApiClient, tenant: Tenant) -> None:
    rule = {"name": "Large", "expression": "amount > 500 and currency == 'USD'", "action": "review", "severity": "low"}
    api.post(f"risk/rules/{api.post('risk/rules', rule).json()['id']}/publish", {})
    answer = api.post("risk/assessments", payment(1, amount=1_000, currency="USD")).json()
    assert (answer["verdict"], api.post("risk/assessments", payment(1, amount=1_000, currency="USD")).status_code) == (
        "review",
        200,
    )
    changed = api.post("risk/assessments", payment(1, amount=900, currency="USD"))
    assert changed.status_code == 409
    assert "amount" in changed.json()["detail"]
    with tenant_scope(tenant.id):
        stored, alert = Transaction.objects.get(), Alert.objects.get()
        assert (stored.amount, stored.given_amount, stored.currency) == (900.0, 1_000.0, "USD")
        assert (alert.amount, alert.currency) == (1_000.0, "USD")
        assert Event.objects.values_list("value", "currency").get() == (1_000.0, "USD")


@pytest.mark.usefixtures("rates")
def test_log_snapshot_and_back_test_have_the_amounts_of_the_answer(
    api: ApiClient, tenant: Tenant, tmp_path: Any
) -> None:
    yesterday = {"created_at": (datetime.now(UTC) - timedelta(days=1)).isoformat()}
    store(
        tenant,
        event(value=10_000, currency="JPY", **yesterday),
        event(value=7, **yesterday),
        event(value=20, currency="CHF", **yesterday),
    )
    project(tenant)
    live = payment(0, transaction_id="live", amount=123.45, currency="USD", counterparty="terminal-3")
    online = features(tenant, api.post("risk/assessments", live).json())
    with tenant_scope(tenant.id):
        log = engine.open_snapshot(take_snapshot({}, tmp_path))
        newest = Transaction.objects.get(transaction_id="live")
        history = read_history([read_expression("customer_amount_sum_30d > 1")], newest.occurred_at, datetime.now(UTC))
    assert sorted(log.amount.tolist()) == [7.0, 20.0, 60.0, 123.45 * 0.9]
    back_test = history.facts(history.tested).numbers
    offline = engine.velocity_features(log, np.array([int(np.argmax(log.time))]))[0]
    for name in ("amount", "counterparty_amount_sum_30d", "amount_to_counterparty_mean_30d", "customer_amount_median"):
        value = np.float32(online[name])
        assert offline[engine.FEATURES.index(name)] == value
        assert np.float32(back_test[name][0]) == value


def test_an_amount_without_a_rate_is_taken_as_it_is_and_says_so(api: ApiClient, tenant: Tenant) -> None:
    answer = api.post("risk/assessments", payment(1, amount=10_000, currency="JPY")).json()
    assert [each["code"] for each in answer["notices"]] == ["no_rate"]
    assert "exchange_rates" in answer["notices"][0]["text"]
    assert features(tenant, answer)["amount"] == 10_000.0


def test_a_later_rate_counts_for_what_comes_then(api: ApiClient, tenant: Tenant) -> None:
    api.patch("risk/settings", {"exchange_rates": {"USD": 0.5}})
    store(tenant, event(value=100, currency="USD", properties={"transaction_id": "t-1"}))
    project(tenant)
    api.patch("risk/settings", {"exchange_rates": RATES})
    imported = payment(1, amount=100, currency="USD", counterparty="terminal-3")
    assert features(tenant, api.post("risk/assessments", imported).json())["amount"] == 50.0
    later = api.post("risk/assessments", payment(2, amount=100, currency="USD")).json()
    assert features(tenant, later)["amount"] == 90.0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"XXX": 1.0}, "not an ISO 4217 code"),
        ({"USD": 0}, "greater than or equal to"),
        ({"USD": "NaN"}, "number"),
        ({"EUR": 1.0}, "own currency"),
        ([1], "dictionary"),
    ],
)
def test_unusable_rates_are_refused(api: ApiClient, given: Any, message: str) -> None:
    answer = api.patch("risk/settings", {"exchange_rates": given})
    assert answer.status_code == 400
    assert message in str(answer.json()["errors"])
    assert api.get("risk/settings").json()["exchange_rates"] == {}
