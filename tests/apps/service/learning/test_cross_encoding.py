"""A cross-encoder learns from what agents accept which passages answer, and re-orders searches once it is live."""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from uuid_utils.compat import uuid7

from apps.service.conversations.models import Conversation, Message, Role
from apps.service.engine import open_passage_lists
from apps.service.knowledge.models import Source
from apps.service.knowledge.searching import search_in_stages
from apps.service.learning import retraining
from apps.service.learning.passages import take_snapshot
from apps.service.replies.models import Reply, ReplyAction, ReplyStatus
from apps.service.replies.settings import put_settings
from serving.models import ModelVersion, RunStatus, TrainingRun
from serving.services import request_training
from serving.tasks import train_model
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.secrets import subject_key
from tenancy.tasks import TENANT_HEADER
from tests.apps.service.conftest import Desk
from tests.conftest import ApiClient
from tests.ml.cross_encoders import SUBJECTS, save_tiny_model

QUICK = {"epochs": 4, "learning_rate": 2e-3, "head_rate": 5e-3, "tokens": 32, "negatives": 1}
POLITE = ["", "please ", "the days ", "see hours ", "working about "]
Publish = Callable[..., Source]


ORDER = {"source": "order:A-1029", "version": 0, "kind": "order", "quote": "status: shipped", "sentences": [2]}


def answered(
    questions: list[str], cited: list[Source], *, status: str = ReplyStatus.ACCEPTED, others: Sequence[Any] = ()
) -> None:
    """Conversations a minute apart, each with a reply that rests on the source, and on `others` beside it."""
    began = timezone.now() - timedelta(minutes=len(questions) + 1)
    for number, (text, source) in enumerate(zip(questions, cited, strict=True)):
        at = began + timedelta(minutes=number)
        conversation = Conversation.objects.create(
            subject_key=subject_key("user_id", f"c-{number}"), channel="web", opened_at=at
        )
        message = Message.objects.create(
            conversation=conversation,
            number=1,
            role=Role.CUSTOMER,
            text=text,
            client_id="m-1",
            event_id=uuid7(),
            created_at=at,
        )
        named = {"source": str(source.id), "version": source.version, "kind": source.kind}
        citation = named | {"quote": source.body, "sentences": [1]}
        Reply.objects.create(
            conversation=conversation,
            message=message,
            decision_id=uuid7(),
            status=status,
            action=ReplyAction.DRAFT,
            text=source.body,
            final_text=source.body,
            edit_distance=0.0,
            citations=[citation, *others],
            confidence=0.5,
            backend="selection",
            created_at=at,
            settled_at=at,
        )


@pytest.fixture
def desk_of_pairs(tenant: Tenant, publish: Publish) -> Tenant:
    """For each subject one macro that sounds like the question, and one that answers it."""
    for subject in SUBJECTS:
        publish(f"How about the {subject}", f"How about the {subject}: see the other.", kind="macro")
    right = {subject: publish(subject, f"{subject} takes working days", kind="macro") for subject in SUBJECTS}
    asked = [(f"{polite}{subject}", right[subject]) for polite, subject in product(POLITE, SUBJECTS)]
    chosen = [asked[number * 7 % len(asked)] for number in range(240)]
    with tenant_scope(tenant.id):
        answered([f"how about the {text}" for text, _ in chosen], [source for _, source in chosen])
    return tenant


def train(tenant: Tenant) -> ModelVersion:
    with tenant_scope(tenant.id):
        run = request_training(model="cross-encoder", task="cross_encoder", config=QUICK, requested_by="test")
    train_model.apply(kwargs={"run_id": str(run.id)}, headers={TENANT_HEADER: tenant.id}).get()
    with tenant_scope(tenant.id):
        ended = TrainingRun.objects.get(id=run.id)
        assert (ended.status, ended.error) == (RunStatus.SUCCEEDED, "")
        return ModelVersion.objects.get(run=run)


@pytest.mark.slow
def test_a_desk_trains_a_cross_encoder_that_reorders_its_searches(
    desk_of_pairs: Tenant,
    other_tenant: Tenant,
    api: ApiClient,
    settings: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.GATEWAY_TRANSPORT = "inline"
    settings.CROSS_ENCODER_DEADLINE = 10.0
    monkeypatch.setenv("CROSS_ENCODER", str(save_tiny_model(tmp_path / "tiny")))
    with tenant_scope(desk_of_pairs.id):
        before = search_in_stages("please how about the voucher")
    assert before.stages[-1].reason == "no cross-encoder is live"
    assert "see the other" in before.passages[0].text

    version = train(desk_of_pairs)
    assert version.status == "live", version.reasons
    assert set(version.metrics["baselines"]) == {"sentences", "fused"}
    time.sleep(1.1)  # until this process looks again which version is live

    with tenant_scope(desk_of_pairs.id):
        after = search_in_stages("please how about the voucher")
        without = search_in_stages("please how about the voucher", stages=["full_text", "dense", "fuse", "rerank"])
    assert after.stages[-1].ran, after.stages[-1].reason
    assert after.stages[-1].milliseconds > 0
    assert after.passages[0].text == "voucher takes working days"
    assert after.passages[0].score == after.passages[0].stages["cross_encode"]
    assert {each.chunk_id for each in after.passages} == {each.chunk_id for each in before.passages}
    assert without.passages == before.passages

    answer = api.post("knowledge/searches", {"query": "how about the voucher"}).json()
    assert answer["stages"][-1]["name"] == "cross_encode"
    assert answer["passages"][0]["stages"]["cross_encode"] > answer["passages"][1]["stages"]["cross_encode"]
    with tenant_scope(other_tenant.id):
        assert search_in_stages("voucher").stages[-1].reason == "no cross-encoder is live"

    # A broken artifact costs a search its last stage and nothing else.
    folder = next(settings.ARTIFACTS.glob(f"{version.artifact}/model"))
    (folder / "config.json").write_text("{}")
    from serving import engine

    engine.predictors()._predictors.clear()
    with tenant_scope(desk_of_pairs.id):
        broken = search_in_stages("please how about the voucher")
    assert broken.stages[-1].reason == "the cross-encoder did not answer in time"
    assert broken.passages == before.passages


def test_lists_hold_masked_questions_and_right_passages_though_the_search_missed_them(
    tenant: Tenant, publish: Publish, open_desk: Callable[..., Desk], api: ApiClient, tmp_path: Path
) -> None:
    returns = publish("Sending back", "Items go back within 30 days.", kind="macro")
    hidden = publish("Zebra", "Nothing in common.", kind="macro")
    with tenant_scope(tenant.id):
        answered(["May I send items back? Call +49 30 1234567.", "May items go back?"], [returns, hidden])
        answered(["What of items?"], [returns], status=ReplyStatus.REJECTED)
        lists = open_passage_lists(take_snapshot({}, tmp_path))
    assert len(lists) == 2
    assert lists.asked[0][0] == "May I send items back? Call [PHONE_1]."
    first = lists.passages[0].index("Sending back\nItems go back within 30 days.")
    assert lists.right[0][first]
    assert lists.passages[1][-1] == "Zebra\nNothing in common."
    assert lists.found[1] == len(lists.passages[1]) - 1
    assert lists.right[1][-1]


def test_what_rests_on_the_customers_order_as_well_names_the_passage_alone(
    tenant: Tenant, publish: Publish, tmp_path: Path
) -> None:
    returns = publish("Sending back", "Items go back within 30 days.")
    with tenant_scope(tenant.id):
        answered(["May I send items back, and where is my parcel?"], [returns], others=[ORDER])
        lists = open_passage_lists(take_snapshot({}, tmp_path))
    assert [sum(right) for right in lists.right] == [1, 1]


def test_titles_ask_where_agents_have_not_answered_and_are_not_shown(
    tenant: Tenant, publish: Publish, tmp_path: Path
) -> None:
    publish("Opening hours", "The shop opens at nine.")
    publish("Parcels", "A parcel takes three working days after hours.")
    publish("Secret opening", "For agents.", audience="agents")
    with tenant_scope(tenant.id):
        lists = open_passage_lists(take_snapshot({}, tmp_path))
    assert [asked[0] for asked in lists.asked] == ["Opening hours", "Parcels"]
    assert lists.passages[0][0] == "The shop opens at nine."
    assert lists.right[0][0]
    assert not any("For agents" in text for passages in lists.passages for text in passages)


def test_too_little_to_learn_from_is_refused_with_what_to_do(api: ApiClient, tenant: Tenant) -> None:
    answer = api.post("training-runs", {"model": "cross-encoder", "task": "cross_encoder"})
    assert answer.status_code in (400, 409, 422)
    assert "training needs 200 of both together" in answer.content.decode()


def test_the_schedule_goes_on_only_from_a_first_run(desk_of_pairs: Tenant) -> None:
    with tenant_scope(desk_of_pairs.id):
        put_settings({"retrain": "daily", "retrain_least_labels": 0}, actor="test")
        assert retraining.retrain_cross_encoder_if_due() is None
        request_training(model="cross-encoder", task="cross_encoder", requested_by="test")
        TrainingRun.objects.update(status=RunStatus.FAILED, created_at=timezone.now() - timedelta(hours=25))
        run = retraining.retrain_cross_encoder_if_due()
    assert run is not None
    assert (run.model, run.task) == ("cross-encoder", "cross_encoder")
