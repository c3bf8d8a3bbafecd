"""From labelled examples to a live model that answers: through the gate, and again when there is more to learn."""

from pathlib import Path
from typing import Any

import pytest

from apps.service.engine import open_snapshot, sample_requests
from apps.service.models import Intent, IntentExample
from apps.service.understanding import selectors
from apps.service.understanding.examples import NewExample
from apps.service.understanding.selectors import understand
from apps.service.understanding.services import add_examples, remove_intent
from apps.service.understanding.snapshots import take_snapshot
from serving.models import ModelVersion, RunStatus, TrainingRun
from serving.services import request_training
from serving.tasks import train_model
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.tasks import TENANT_HEADER
from tests.conftest import ApiClient

QUICK = {"least_steps": 8, "epochs": 1}


@pytest.fixture
def bank(tenant: Tenant, bank_examples: list[dict[str, str]], hard_examples: list[dict[str, str]]) -> Tenant:
    given = [NewExample(**each) for each in bank_examples + hard_examples]
    with tenant_scope(tenant.id):
        add_examples(examples=given, actor="test", create_intents=True)
    return tenant


def train(tenant: Tenant, **config: Any) -> tuple[TrainingRun, ModelVersion | None]:
    with tenant_scope(tenant.id):
        run = request_training(model="intents", task="intents", config=QUICK | config, requested_by="test")
    train_model.apply(kwargs={"run_id": str(run.id)}, headers={TENANT_HEADER: tenant.id}).get()
    with tenant_scope(tenant.id):
        return TrainingRun.objects.get(id=run.id), ModelVersion.objects.filter(run=run).first()


@pytest.mark.slow
def test_a_tenants_examples_become_a_model_that_answers(bank: Tenant, settings: Any, other_api: ApiClient) -> None:
    settings.GATEWAY_TRANSPORT = "inline"
    # How fast one prediction is on a busy machine is the gate's own test's matter.
    settings.GATEWAY_DEADLINE = 10.0
    run, version = train(bank)
    assert (run.status, run.error) == (RunStatus.SUCCEEDED, "")
    assert version is not None
    assert version.status == "live", version.reasons
    with tenant_scope(bank.id):
        said = understand("<b>my silver card was stolen!!</b>")
        assert (said.intent, said.degraded, said.model_version) == ("card_lost", None, version.id)
        assert 0.5 < said.confidence <= 1.0
        assert understand("").out_of_scope
    assert other_api.post("understandings", {"text": "my card was stolen"}).json()["model_version"] is None

    # The next version is compared with this one on the held-out examples, which neither has seen.
    _, second = train(bank)
    assert second is not None
    assert any("on the held-out examples" in reason for reason in second.reasons)
    assert set(second.metrics["newest_holdout"]) == {"candidate", "incumbent"}

    # An intent that was removed is not answered, though the model still knows it.
    with tenant_scope(bank.id):
        remove_intent(intent_id=Intent.objects.get(name="card_lost").id)
    selectors._intents.clear()
    with tenant_scope(bank.id):
        gone = understand("my silver card was stolen")
    assert (gone.intent, gone.confidence, gone.out_of_scope) == (None, 0.0, True)


def test_too_few_examples_are_refused_with_what_to_do(api: ApiClient, tenant: Tenant) -> None:
    answer = api.post("training-runs", {"model": "intents", "task": "intents"})
    assert answer.status_code in (400, 409, 422)
    assert "training needs 150 examples of 2 intents" in answer.content.decode()
    with tenant_scope(tenant.id):
        assert not TrainingRun.objects.exists()


def test_what_is_held_out_stays_so_and_every_intent_trains(bank: Tenant, tmp_path: Path) -> None:
    with tenant_scope(bank.id):
        first = open_snapshot(take_snapshot({}, tmp_path))
        more = [NewExample(f"one more text {number}", "rates") for number in range(50)]
        add_examples(examples=[*more, NewExample("will it rain", None)], actor="test")
        IntentExample.objects.filter(text="i lost my card").delete()
        second = open_snapshot(take_snapshot({}, tmp_path))
    assert first.held_out is not None
    assert second.held_out is not None
    held = dict(zip(second.texts, second.held_out, strict=True))
    for text, was_held in zip(first.texts, first.held_out, strict=True):
        assert held.get(text, was_held) == was_held
    assert 0.1 < sum(second.held_out) / len(second) < 0.3
    trained = {label for label, is_held in zip(second.labels, second.held_out, strict=True) if not is_held}
    assert trained == {"card_lost", "card_late", "rates", None}


def test_sample_requests_are_spread_over_the_examples(bank: Tenant, tmp_path: Path) -> None:
    with tenant_scope(bank.id):
        data = open_snapshot(take_snapshot({}, tmp_path))
    requests = sample_requests(data, 10)
    assert len(requests) == 10
    assert len({request["text"] for request in sample_requests(data, 1_000)}) == len(data)
