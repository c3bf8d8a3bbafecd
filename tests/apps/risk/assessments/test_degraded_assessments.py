"""Without a model that answers, velocity, points and rules still do."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from apps.risk.assessments.points import TABLE, points_score
from apps.risk.assessments.settings import RiskSettings
from apps.risk.assessments.verdicts import decide
from ml.data.velocity import FEATURES
from serving import gateway
from serving import selectors as serving_selectors
from serving.breaker import CircuitBreaker
from serving.models import ModelVersion, RunStatus, TrainingRun
from serving.services import promote
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.conftest import ApiClient

PAYMENT = {"transaction_id": "t-1", "subject": {"user_id": "u-1"}, "amount": 20.0, "currency": "EUR"}


@pytest.fixture
def dead_workers(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Questions go to a queue that nobody reads."""
    settings.GATEWAY_TRANSPORT = "queue"
    settings.GATEWAY_DEADLINE = 0.1
    monkeypatch.setattr(gateway, "_workers", CircuitBreaker(misses=3, probe_seconds=1.0))
    serving_selectors._lines.clear()
    yield
    serving_selectors._lines.clear()


def make_live_version(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        run = TrainingRun.objects.create(
            model="risk", task="risk", status=RunStatus.SUCCEEDED, finished_at=timezone.now()
        )
        version = ModelVersion.objects.create(
            model="risk", number=1, task="risk", run=run, artifact=f"{tenant.id}/risk/1", artifact_sha256="0" * 64
        )
        promote(version=version, actor="test")


def test_with_every_worker_dead_points_and_velocity_answer(api: ApiClient, tenant: Tenant, dead_workers: None) -> None:
    make_live_version(tenant)
    for number in range(6):
        answer = api.post("risk/assessments", PAYMENT | {"transaction_id": f"t-{number}"})
        assert answer.status_code == 201
    body = answer.json()
    assert (body["degraded"], body["model_version"]) == ("rules", None)
    # The sixth within an hour.
    assert body["verdict"] == "review"
    assert [reason["code"] for reason in body["reasons"]][:1] == ["many_within_an_hour"]


def test_a_version_that_cannot_be_read_costs_no_answer(api: ApiClient, tenant: Tenant) -> None:
    make_live_version(tenant)
    answer = api.post("risk/assessments", PAYMENT)
    assert (answer.status_code, answer.json()["degraded"]) == (201, "rules")


def test_points_rest_on_features_that_exist_and_add_up() -> None:
    assert {row.feature for row in TABLE} <= set(FEATURES)
    score, reasons = points_score({"card_known_frauds_28d": 1.0, "is_night": 1.0, "new_counterparty": None})
    assert score == pytest.approx(0.63)
    assert [reason.code for reason in reasons] == ["card_fraud", "night"]
    everything = dict.fromkeys(FEATURES, 100.0) | {"is_night": 1.0, "new_counterparty": 1.0}
    assert points_score(everything)[0] == 1.0


@pytest.mark.parametrize(
    ("score", "actions", "verdict"),
    [
        (0.05, [], "approve"),
        (0.1, [], "review"),
        (0.8, [], "decline"),
        (0.0, ["review"], "review"),
        (0.0, ["decline", "approve"], "decline"),
        (0.5, ["approve"], "approve"),
        (0.5, ["approve", "review"], "approve"),
        (0.9, ["approve"], "decline"),
        (0.0, ["alert"], "approve"),
    ],
)
def test_verdicts(score: float, actions: list[str], verdict: str) -> None:
    assert decide(score, actions, RiskSettings()) == verdict
