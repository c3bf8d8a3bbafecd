"""A tenant without labels: a model of anomalies sends what is unusual to review, in words."""

import shutil
from pathlib import Path

import pytest
from django.utils import timezone

from ml.data.transactions import TransactionColumns
from ml.simulation.transactions import TransactionWorld, simulate_transactions
from ml.tasks.registry import TASKS
from serving import selectors as serving_selectors
from serving.artifacts import artifact_sha256, relative_path, run_folder
from serving.models import ModelVersion, RunStatus, TrainingRun
from serving.services import promote
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.conftest import ApiClient


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("anomaly") / "artifact"
    columns: TransactionColumns = simulate_transactions(TransactionWorld(customers=200, days=40, seed=1)).columns
    TASKS["anomaly"].fit(columns, {"days": 40, "epochs": 1, "trees": 20, "threads": 1}, out, progress=lambda _: None)
    return out


@pytest.fixture
def live_anomalies(tenant: Tenant, artifact: Path) -> ModelVersion:
    with tenant_scope(tenant.id):
        run = TrainingRun.objects.create(
            model="anomaly", task="anomaly", status=RunStatus.SUCCEEDED, finished_at=timezone.now()
        )
        place = run_folder(tenant.id, "anomaly", run.id) / "1"
        shutil.copytree(artifact, place)
        version = ModelVersion.objects.create(
            model="anomaly",
            number=1,
            task="anomaly",
            run=run,
            artifact=relative_path(place),
            artifact_sha256=artifact_sha256(place),
        )
        promote(version=version, actor="test")
    serving_selectors._lines.clear()
    return version


def test_what_is_unusual_goes_to_review_with_what_is_unusual_about_it(
    api: ApiClient, live_anomalies: ModelVersion
) -> None:
    def pay(number: int, amount: float) -> dict:
        answer = api.post(
            "risk/assessments",
            {
                "transaction_id": f"t-{number}",
                "subject": {"user_id": "anna"},
                "amount": amount,
                "currency": "EUR",
                "counterparty": "shop-1",
            },
        )
        assert answer.status_code == 201, answer.content
        return answer.json()

    usual = [pay(number, 20.0 + number) for number in range(4)]
    large = pay(9, 9_000.0)

    assert {answer["verdict"] for answer in usual} == {"approve"}
    assert all(0 <= answer["anomaly"] < large["anomaly"] for answer in usual)
    assert (large["verdict"], large["degraded"]) == ("review", None)
    assert large["model_version"] == str(live_anomalies.id)
    assert "amount" in large["reasons"][0]["text"]
