"""Reading a decision over the API."""

from typing import Any

from django.utils import timezone
from uuid_utils.compat import uuid7

from behavior.models import Event
from decisions.services import record_decision
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.conftest import ApiClient


def record(tenant: Tenant) -> str:
    decision_id = uuid7()
    with tenant_scope(tenant.id):
        record_decision(
            decision_id=decision_id,
            application="recommendation",
            scenario="home",
            policy="greedy",
            request={"count": 1},
            items=[{"id": "tent", "rank": 1, "score": 0.5, "propensity": 1.0, "reasons": [], "rules": []}],
            latency_ms=4.0,
            subject_key=b"s" * 32,
        )
        Event.objects.create(
            received_at=timezone.now(),
            occurred_at=timezone.now(),
            time_quality="server",
            subject_key=b"s" * 32,
            type="click",
            item_id="tent",
            decision_id=decision_id,
            source="test",
        )
    return str(decision_id)


def test_a_decision_comes_with_its_outcomes(tenant: Tenant, api: ApiClient) -> None:
    decision = api.get(f"decisions/{record(tenant)}").json()
    assert decision["scenario"] == "home"
    assert decision["items"] == [
        {"id": "tent", "rank": 1, "score": 0.5, "propensity": 1.0, "reasons": [], "rules": [], "outcomes": ["click"]}
    ]
    assert [outcome["type"] for outcome in decision["outcomes"]] == ["click"]


def test_unknown_and_foreign_decisions_are_not_there(tenant: Tenant, api: ApiClient, other_api: ApiClient) -> None:
    decision_id = record(tenant)
    assert other_api.get(f"decisions/{decision_id}").status_code == 404
    assert api.get(f"decisions/{uuid7()}").status_code == 404
    assert api.get("decisions/ffffffff-ffff-ffff-ffff-ffffffffffff").status_code == 404


def test_reading_decisions_needs_their_scope(tenant: Tenant, client_with_scopes: Any) -> None:
    assert client_with_scopes("models:read").get(f"decisions/{record(tenant)}").status_code == 403
