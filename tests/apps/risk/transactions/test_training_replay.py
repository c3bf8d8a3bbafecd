"""Online and offline are one: a history that is assessed one by one has the features that training reads."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import settings

from apps.risk.engine import named
from apps.risk.transactions.projection import project_transactions
from behavior.services import store_events
from decisions.models import Decision
from ml.data.transactions import TransactionColumns
from ml.data.velocity import FEATURES, velocity_features
from serving import training_data
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.conftest import ApiClient

DAYS = 50
TRANSACTIONS = 120


def history(seed: int) -> list[dict[str, Any]]:
    """Few customers, terminals, devices and cards, so that their histories meet; some without a device or a card."""
    generator = np.random.default_rng(seed)
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=DAYS + 17)
    seconds = np.sort(generator.integers(0, DAYS * 86_400, TRANSACTIONS))
    seconds[5::20] = seconds[4::20][: len(seconds[5::20])]  # some at the very same moment
    transactions = []
    for number, second in enumerate(seconds.tolist()):
        things = {"device": f"d-{generator.integers(4)}", "card": f"c-{generator.integers(8)}"}
        transactions.append(
            {
                "transaction_id": f"t-{number:03d}",
                "subject": {"user_id": f"u-{generator.integers(6)}"},
                "amount": round(float(generator.lognormal(3, 1)), 2),
                "currency": "EUR",
                "type": "transfer" if generator.random() < 0.2 else "payment",
                "occurred_at": (start + timedelta(seconds=second, microseconds=number)).isoformat(),
                **{name: thing for name, thing in things.items() if generator.random() < 0.8},
                **({"counterparty": f"shop-{generator.integers(5)}"} if generator.random() < 0.9 else {}),
            }
        )
    return transactions


def label_after(api: ApiClient, transaction: dict[str, Any], days: int, kind: str = "fraud") -> None:
    known_at = datetime.fromisoformat(transaction["occurred_at"]) + timedelta(days=days)
    body = {"transaction_id": transaction["transaction_id"], "kind": kind, "known_at": known_at.isoformat()}
    assert api.post("risk/labels", body).json()["counts"]["ok"] == 1


def snapshot(tenant: Tenant) -> TransactionColumns:
    """What a training run would read, in order of time and id."""
    with tenant_scope(tenant.id):
        path = training_data.take("risk", {}, Path(settings.SNAPSHOTS) / str(tenant.id))
    return training_data.open_data("risk", path)


def offline(tenant: Tenant) -> list[dict[str, float | None]]:
    return named(velocity_features(snapshot(tenant)))


def online(tenant: Tenant, transactions: list[dict[str, Any]]) -> list[dict[str, float | None]]:
    with tenant_scope(tenant.id):
        requests = {
            request["transaction_id"]: request["features"]
            for request in Decision.objects.values_list("request", flat=True)
        }
    return [requests[transaction["transaction_id"]] for transaction in transactions]


def same(first: list[dict[str, float | None]], second: list[dict[str, float | None]]) -> None:
    def table(rows: list[dict[str, float | None]]) -> np.ndarray:
        return np.array([[np.nan if row.get(name) is None else row[name] for name in FEATURES] for row in rows])

    np.testing.assert_allclose(table(first), table(second), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batch", [1, 10])
def test_a_history_that_is_assessed_has_the_features_of_training(api: ApiClient, tenant: Tenant, batch: int) -> None:
    transactions = history(seed=batch)
    for place in range(0, TRANSACTIONS, batch):
        part = transactions[place : place + batch]
        if batch == 1:
            assert api.post("risk/assessments", part[0]).status_code == 201
        else:
            assert api.post("risk/assessments/batch", {"transactions": part}).json()["counts"]["ok"] == batch
        # A label comes after its transaction, and has its effect from when it was known.
        for transaction in part:
            if int(transaction["transaction_id"][2:]) % 9 == 0:
                label_after(api, transaction, days=9)
            if int(transaction["transaction_id"][2:]) % 27 == 0:
                label_after(api, transaction, days=15, kind="false_alarm")
    ours = online(tenant, transactions)
    assert any(row["customer_known_frauds_28d"] for row in ours)
    same(ours, offline(tenant))


def test_a_history_that_was_imported_and_is_replayed_has_them_too(api: ApiClient, tenant: Tenant) -> None:
    transactions = history(seed=7)
    events = [
        {
            "message_id": transaction["transaction_id"],
            "type": transaction["type"],
            "subject": transaction["subject"],
            "value": transaction["amount"],
            "currency": "EUR",
            "created_at": transaction["occurred_at"],
            "item_id": transaction.get("counterparty"),
            "properties": {
                name: transaction[name] for name in ("transaction_id", "device", "card") if name in transaction
            }
            | {"fraud": number % 9 == 0},
        }
        for number, transaction in enumerate(transactions)
    ]
    with tenant_scope(tenant.id):
        store_events(events=events, source="test", historical=True)
    with tenant_scope(tenant.id):
        assert project_transactions() == TRANSACTIONS
    # Not in the order of time: what is later is there already, and must not show.
    for transaction in transactions[::-1]:
        assert api.post("risk/assessments", transaction).status_code == 201
    same(online(tenant, transactions), offline(tenant))


def test_those_who_do_not_agree_to_training_are_left_out(api: ApiClient, tenant: Tenant) -> None:
    first, second, *_ = history(seed=1)
    api.post("risk/assessments", first)
    api.post("risk/assessments", second | {"consent": {"training": False}})
    assert len(offline(tenant)) == 1


def test_training_knows_what_is_known_when_it_begins(api: ApiClient, tenant: Tenant) -> None:
    """Not only what was known when the newest transaction was made."""
    first, second, *_ = history(seed=1)
    for each in (first, second):
        api.post("risk/assessments", each)
    assert api.post("risk/labels", {"transaction_id": first["transaction_id"], "kind": "fraud"}).status_code == 200
    label_after(api, second, days=1)
    label_after(api, second, days=12, kind="genuine")
    assert snapshot(tenant).labelled_fraud().tolist() == [True, False]
