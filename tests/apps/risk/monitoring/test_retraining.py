"""Training on schedule: when it is due, when labels have matured, and never twice."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from apps.risk.assessments.settings import change_settings, current_settings
from apps.risk.monitoring.retraining import newly_matured_labels, retrain_if_due
from serving.models import RunStatus, TrainingRun
from serving.services import cancel_training, request_training
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.conftest import ApiClient

DAY = timedelta(days=1)


def payment(number: int, days_ago: float) -> dict[str, Any]:
    return {
        "transaction_id": f"t-{number}",
        "subject": {"user_id": f"u-{number % 30}"},
        "amount": 10.0 + number,
        "currency": "EUR",
        "counterparty": f"shop-{number % 5}",
        "occurred_at": (timezone.now() - timedelta(days=days_ago)).isoformat(),
    }


@pytest.fixture
def desk(tenant: Tenant, api: ApiClient) -> Tenant:
    """Ten labels of which six belong to transactions older than the delay of seven days."""
    payments = [payment(number, 20 if number < 6 else 2) for number in range(220)]
    assert api.post("risk/assessments/batch", {"transactions": payments}).json()["counts"]["ok"] == 220
    labels = [{"transaction_id": f"t-{number}", "kind": "fraud"} for number in range(10)]
    assert api.post("risk/labels", {"labels": labels}).json()["counts"]["ok"] == 10
    with tenant_scope(tenant.id):
        change_settings({"retrain": "daily", "retrain_least_labels": 5}, actor="test")
    return tenant


def run_once(tenant: Tenant) -> TrainingRun | None:
    with tenant_scope(tenant.id):
        return retrain_if_due()


def end_run(tenant: Tenant, days_ago: float) -> TrainingRun:
    """The line's run has ended, and was asked for so long ago."""
    with tenant_scope(tenant.id):
        TrainingRun.objects.update(status=RunStatus.SUCCEEDED, created_at=timezone.now() - timedelta(days=days_ago))
        return TrainingRun.objects.get()


def test_a_due_run_starts_once(desk: Tenant) -> None:
    run = run_once(desk)
    assert run is not None
    assert (run.model, run.requested_by, run.status) == ("risk", "retraining schedule", "queued")
    # Neither while it works nor on the same day.
    assert run_once(desk) is None
    end_run(desk, days_ago=0.5)
    assert run_once(desk) is None


def test_a_run_learns_with_the_delay_of_the_desk(desk: Tenant) -> None:
    with tenant_scope(desk.id):
        change_settings({"label_delay_days": 3.5}, actor="test")
        run = request_training(model="risk", task="risk", config={"encoder": "none"})
        assert run.config == {"encoder": "none", "label_delay_days": 3.5}
        cancel_training(run_id=run.id)
        assert request_training(model="risk", task="risk", config={"label_delay_days": 9}).config == {
            "label_delay_days": 9
        }


def test_two_beats_at_once_start_one_run(desk: Tenant) -> None:
    def beat(_: int) -> TrainingRun | None:
        try:
            return run_once(desk)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        started = [run for run in pool.map(beat, range(4)) if run is not None]
    assert len(started) == 1
    with tenant_scope(desk.id):
        assert TrainingRun.objects.count() == 1


def test_only_labels_that_have_matured_since_the_last_run_count(desk: Tenant) -> None:
    with tenant_scope(desk.id):
        assert newly_matured_labels(current_settings(), None, now=timezone.now()) == 5  # counted up to what is needed
        everything = change_settings({"retrain_least_labels": 50}, actor="test")
        assert newly_matured_labels(everything, None, now=timezone.now()) == 6
        # Six days on the others are older than the delay too.
        assert newly_matured_labels(everything, None, now=timezone.now() + 6 * DAY) == 10
    assert run_once(desk) is None
    with tenant_scope(desk.id):
        change_settings({"retrain_least_labels": 1}, actor="test")
    assert run_once(desk) is not None
    last = end_run(desk, days_ago=-0.001)
    with tenant_scope(desk.id):
        assert newly_matured_labels(everything, last, now=timezone.now() + DAY) == 0
        assert newly_matured_labels(everything, last, now=timezone.now() + 6 * DAY) == 4


def test_old_labels_count_when_they_come(desk: Tenant, api: ApiClient) -> None:
    """Chargebacks that were known long before the last run, in a file that comes after it."""
    assert run_once(desk) is not None
    last = end_run(desk, days_ago=0)
    with tenant_scope(desk.id):
        everything = change_settings({"retrain_least_labels": 50}, actor="test")
        assert newly_matured_labels(everything, last, now=timezone.now()) == 0
    api.post("risk/assessments", payment(300, 30))
    told = {"transaction_id": "t-300", "kind": "chargeback", "known_at": (timezone.now() - 25 * DAY).isoformat()}
    assert api.post("risk/labels", told).json()["counts"]["ok"] == 1
    with tenant_scope(desk.id):
        assert newly_matured_labels(everything, last, now=timezone.now()) == 1


def test_a_run_that_failed_has_used_up_no_labels_and_is_made_up_for(desk: Tenant) -> None:
    with tenant_scope(desk.id):
        change_settings({"retrain": "weekly"}, actor="test")
    assert run_once(desk) is not None
    end_run(desk, days_ago=2)
    assert run_once(desk) is None
    with tenant_scope(desk.id):
        TrainingRun.objects.update(status=RunStatus.FAILED)
    assert run_once(desk) is not None


def test_off_is_off(desk: Tenant) -> None:
    with tenant_scope(desk.id):
        change_settings({"retrain": "off"}, actor="test")
    assert run_once(desk) is None


def test_a_line_that_cannot_be_trained_starts_nothing_and_breaks_nothing(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        change_settings({"retrain": "weekly", "retrain_least_labels": 0}, actor="test")
    assert run_once(tenant) is None
