"""The demonstration's desk has something on each of its pages, and is filled once."""

from typing import Any

import pytest

from apps.risk.cases.models import Case, CaseStatus
from apps.risk.demonstrations.desk import fill_desk, work_at_desk
from apps.risk.transactions.models import Label, Transaction
from decisions.counting import refresh_kpi
from serving.models import RunStatus, TrainingRun
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.conftest import ApiClient

LOGIN = "admin@demo.example"


@pytest.fixture
def doors() -> dict[str, Any]:
    said: list[str] = []
    return {"state": {}, "save": lambda: None, "say": said.append}


def test_the_desk_is_filled_once(tenant: Tenant, api: ApiClient, doors: dict[str, Any]) -> None:
    run = fill_desk(tenant.id, **doors)
    assert run is not None
    assert run.status == RunStatus.QUEUED
    # The world is the same again, and the run is the one that waits.
    assert fill_desk(tenant.id, **doors) == run
    work_at_desk(tenant.id, login=LOGIN, **doors)
    with tenant_scope(tenant.id):
        assert TrainingRun.objects.count() == 1
        assert Transaction.objects.count() == doors["state"]["risk"]["imported"] + doors["state"]["risk"]["assessed"]
        statuses = set(Case.objects.values_list("status", flat=True))
        assert {CaseStatus.OPEN, CaseStatus.CONFIRMED, CaseStatus.IN_REVIEW, CaseStatus.ESCALATED} <= statuses
        assert Case.objects.exclude(release_asked_by="").count() == 1
        assert Label.objects.filter(source="console").exists()
        labels = Label.objects.count()
        refresh_kpi()
    assert api.get("risk/alerts").json()["results"]
    assert {rule["mode"] for rule in api.get("risk/rules").json()["results"]} == {"live", "shadow"}
    weeks = api.get("risk/monitoring").json()["weeks"]
    assert any(week["frauds"] for week in weeks)
    work_at_desk(tenant.id, login=LOGIN, **doors)
    with tenant_scope(tenant.id):
        assert Label.objects.count() == labels
