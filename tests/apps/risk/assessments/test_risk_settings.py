"""Thresholds of the desk: read, changed with a history, and followed at once."""

from typing import Any

import pytest

from decisions.models import ScenarioChange
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.conftest import ApiClient

PAYMENT = {"transaction_id": "t-1", "subject": {"user_id": "u-1"}, "amount": 20.0, "currency": "EUR"}


def test_thresholds_are_changed_and_followed(api: ApiClient, tenant: Tenant) -> None:
    assert api.get("risk/settings").json()["review_above"] == 0.1
    assert api.post("risk/assessments", PAYMENT).json()["verdict"] == "approve"
    changed = api.patch("risk/settings", {"review_above": 0.0, "event_types": ["payment"]})
    assert changed.status_code == 200, changed.content
    assert changed.json() == api.get("risk/settings").json()
    assert api.post("risk/assessments", PAYMENT | {"transaction_id": "t-2"}).json()["verdict"] == "review"
    with tenant_scope(tenant.id):
        assert ScenarioChange.objects.get().after["settings"]["review_above"] == 0.0


@pytest.mark.parametrize(
    "change",
    [{"decline_above": 2.5}, {"review_above": 0.9}, {"currency": "XXX"}, {"event_types": ["A B"]}, {"other": 1}],
)
def test_unusable_settings_are_refused(api: ApiClient, change: dict[str, Any]) -> None:
    answer = api.patch("risk/settings", change)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"].partition("[")[0] == next(iter(change))
