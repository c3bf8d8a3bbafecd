"""What agents accept and edit is learned from: as past replies, and by a model that suggests the better macro."""

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from apps.service.demonstrations.history import publish_macros
from apps.service.engine import open_reply_pairs
from apps.service.knowledge.models import Source
from apps.service.knowledge.services import create_source, set_status
from apps.service.learning.models import LearnedReply
from apps.service.learning.pairs import take_snapshot
from apps.service.learning.retraining import retrain_if_due
from apps.service.learning.services import learn_lately
from apps.service.replies import evidence
from apps.service.replies.models import Reply
from apps.service.replies.ranking import is_control
from apps.service.replies.settings import put_settings
from ml.simulation.replies import SITUATIONS
from serving.models import ModelVersion, RunStatus, TrainingRun
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.service.conftest import Desk
from tests.apps.service.learning.simulated_desk import QUICK, fill_desk
from tests.conftest import ApiClient
from tests.processes import Process
from tests.queries import CapturedQueries
from tests.waiting import until

TRAINING_SECONDS = 480.0
Sending = Callable[..., None]


def learn(tenant: Tenant) -> list[LearnedReply]:
    with tenant_scope(tenant.id):
        learn_lately()
        return list(LearnedReply.objects.select_related("source").order_by("given_at"))


def judge(api: ApiClient, reply: dict[str, Any], judgement: str, **fields: str) -> None:
    answer = api.post(f"replies/{reply['id']}/judgement", {"judgement": judgement, **fields})
    assert answer.status_code == 200, answer.content


def test_an_edited_reply_becomes_a_past_reply_without_its_customer(
    tenant: Tenant, api: ApiClient, shop: dict[str, Source], open_desk: Callable[..., Desk], send_event: Sending
) -> None:
    said = "Dear Anna,\nyour order A-1029 is shipped. Call +49 30 1234567 or write to anna@example.org."
    judge(api, open_desk().ask("Where is my order?"), "edit", text=said)
    (learned,) = learn(tenant)
    assert learned.text == (
        "Dear [NAME_1],\nyour order {{order.id}} is {{order.status}}. Call [PHONE_1] or write to [EMAIL_1]."
    )
    assert learned.source is not None
    assert (learned.source.kind, learned.source.status, learned.source.body) == ("reply", "published", learned.text)
    # Found for the next customer, with that one's order in it; what is masked keeps it a draft.
    send_event("order_shipped", subject={"user_id": "u-18"}, order_id="B-77")
    next_desk = open_desk({"user_id": "u-18"})
    next_reply = next_desk.ask("Call about my shipped order")
    texts = [next_reply["reply"], *(each["text"] for each in next_reply["suggestions"])]
    assert any("your order B-77 is shipped" in text for text in texts), next_reply
    assert next_reply["action"] != "send"


def test_the_order_is_the_one_that_the_draft_was_about(
    tenant: Tenant, api: ApiClient, shop: dict[str, Source], open_desk: Callable[..., Desk], send_event: Sending
) -> None:
    for order in ("A-2000", "A-1029"):
        send_event("order_shipped", order_id=order)
    desk = open_desk()
    desk.say("Where is my order A-1029?")
    judge(api, desk.ask("A-2000 came"), "edit", text="Follow A-1029 with the post.")

    assert learn(tenant)[0].text == "Follow {{order.id}} with the post."


def test_the_same_edit_is_one_past_reply_and_what_was_retired_stays_so(
    tenant: Tenant, api: ApiClient, shop: dict[str, Source], open_desk: Callable[..., Desk]
) -> None:
    for text in ("Used items are not taken back.", "used  items are not taken back."):
        judge(api, open_desk().ask("Can I return an item?"), "edit", text=text)
    first, second = learn(tenant)
    assert first.source == second.source
    with tenant_scope(tenant.id):
        assert first.source is not None
        set_status(source_id=first.source.id, kind="reply", status="retired", actor="somebody")
    judge(api, open_desk().ask("Can I return an item?"), "edit", text="Used items are not taken back.")
    learn(tenant)
    with tenant_scope(tenant.id):
        assert [source.status for source in Source.objects.filter(kind="reply")] == ["retired"]


def test_rejected_drafts_teach_nothing_and_accepted_macros_need_no_copy(
    tenant: Tenant, api: ApiClient, shop: dict[str, Source], open_desk: Callable[..., Desk]
) -> None:
    judge(api, open_desk().ask("Where is my order?"), "reject")
    assert learn(tenant) == []
    judge(api, open_desk().ask("Where is my order?"), "accept")
    (learned,) = learn(tenant)
    # As the macro was written, so that the next customer's number makes no other reply of it.
    assert (learned.source_id, learned.text) == (shop["where"].id, shop["where"].body)
    with tenant_scope(tenant.id):
        assert not Source.objects.filter(kind="reply").exists()


def test_past_replies_can_be_switched_off(
    tenant: Tenant, api: ApiClient, shop: dict[str, Source], open_desk: Callable[..., Desk]
) -> None:
    with tenant_scope(tenant.id):
        put_settings({"learn_past_replies": False}, actor="test")
    judge(api, open_desk().ask("Where is my order?"), "edit", text="It is on its way.")
    (learned,) = learn(tenant)
    assert learned.source is None
    with tenant_scope(tenant.id):
        assert not Source.objects.filter(kind="reply").exists()


def statements(captured: CapturedQueries) -> int:
    """How many were sent, but for the settings', which a process reads anew each second."""
    return sum("decisions_scenario" not in query["sql"] for query in captured.captured_queries)


def test_learning_costs_the_same_for_many_replies(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        macros = publish_macros("test")
        fill_desk(5, macros=macros)
        with CapturedQueries() as few:
            assert learn_lately() == 5
        fill_desk(60, seed=2, macros=macros)
        with CapturedQueries() as many:
            assert learn_lately() == 60
    assert statements(many) == statements(few)


def test_pairs_hold_what_the_customer_did_before_and_nothing_after(
    tenant: Tenant,
    api: ApiClient,
    shop: dict[str, Source],
    open_desk: Callable[..., Desk],
    send_event: Sending,
    tmp_path: Path,
) -> None:
    desk = open_desk()
    desk.say("hello, my name is Anna Schmidt")
    judge(api, desk.ask("Where is my order?"), "accept")
    send_event("order_delivered", order_id="A-1029")
    with tenant_scope(tenant.id):
        pairs = open_reply_pairs(take_snapshot({}, tmp_path))
    assert pairs.conversations == [["hello, my name is [NAME_1]", "Where is my order?"]]
    assert pairs.events is not None
    assert [event["type"] for event in pairs.events[0]] == ["order_placed", "order_shipped"]
    assert pairs.replies == [shop["where"].body]
    assert pairs.groups == [desk.id]


def test_too_few_labels_are_refused_with_what_to_do(api: ApiClient, tenant: Tenant) -> None:
    answer = api.post("training-runs", {"model": "replies", "task": "replies"})
    assert answer.status_code in (400, 409, 422)
    assert "training needs 200" in answer.content.decode()


def test_the_schedule_trains_once_there_is_enough(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        fill_desk(220)
        assert retrain_if_due() is None
        put_settings({"retrain": "daily", "retrain_least_labels": 221}, actor="test")
        learn_lately()
        assert retrain_if_due() is None
        put_settings({"retrain": "daily", "retrain_least_labels": 220}, actor="test")
        run = retrain_if_due()
        assert run is not None
        assert (run.model, run.task, run.config) == ("replies", "replies", {"candidates": 60, "refit": False})
        assert retrain_if_due() is None
        TrainingRun.objects.update(status=RunStatus.FAILED, created_at=timezone.now() - timedelta(hours=23))
        assert retrain_if_due() is None


def test_the_control_group_is_a_share_of_the_customers() -> None:
    keys = [bytes([number % 256, number // 256]) * 16 for number in range(2_000)]
    chosen = sum(is_control([key], 0.3) for key in keys)
    assert 500 < chosen < 700
    assert not is_control([], 1.0)
    assert is_control([keys[0]], 1.0)


def trained(tenant: Tenant, run_id: str) -> ModelVersion:
    def version() -> ModelVersion | None:
        with tenant_scope(tenant.id):
            run = TrainingRun.objects.get(id=run_id)
            assert run.status != RunStatus.FAILED, run.error
            return ModelVersion.objects.get(run=run) if run.status == RunStatus.SUCCEEDED else None

    return until(version, seconds=TRAINING_SECONDS)


@pytest.mark.slow
def test_a_desk_trains_and_the_better_macro_is_suggested(
    tenant: Tenant,
    api: ApiClient,
    settings: Any,
    start_worker: Callable[..., Process],
    open_desk: Callable[..., Desk],
    send_event: Sending,
) -> None:
    settings.GATEWAY_TRANSPORT = "inline"
    settings.GATEWAY_DEADLINE = 10.0
    with tenant_scope(tenant.id):
        fill_desk(400)
    send_event("order_shipped", subject={"user_id": "late"}, fields={"item_id": "article-1"})
    send_event("order_delivered", subject={"user_id": "late"}, fields={"item_id": "article-1"})
    before = open_desk({"user_id": "late"}).ask("where is it?")
    # No word of it stands in a macro: nothing is suggested, and an agent gets it.
    assert (before["reply"], before["model_version"]) == ("", None)

    start_worker(queues="train", environment={"GATEWAY_DEADLINE": "10"})
    run = api.post("training-runs", {"model": "replies", "task": "replies", "config": QUICK})
    assert run.status_code == 201, run.content
    version = trained(tenant, run.json()["id"])
    assert version.status == "live", version.reasons
    time.sleep(1.1)  # until this process looks again which version is live

    after = open_desk({"user_id": "late"}).ask("where is it?")
    assert after["reply"] == SITUATIONS["delivered"][1]
    assert after["model_version"] == str(version.id)
    because = [reason["text"] for reason in after["reasons"] if reason["code"] == "customer_event"]
    assert any(text.startswith("because of order_delivered ") for text in because), because
    with tenant_scope(tenant.id):
        assert Reply.objects.get(id=after["id"]).variant == "model"

    # Of what nobody has asked before the model is not sure, whatever the customer did, and the article wins.
    with tenant_scope(tenant.id):
        body = "The warranty is two years."
        create_source(kind="article", actor="test", publish=True, title="Guarantee", body=body)
    strange = open_desk({"user_id": "late"}).ask("Is the warranty two years?")
    assert (strange["backend"], strange["reply"]) == ("extractive", body)
    assert after["confidence"] > 0.5

    # Retired in between: it is not offered any more, whatever the model would say.
    with tenant_scope(tenant.id):
        macro = Source.objects.get(body=SITUATIONS["delivered"][1])
        set_status(source_id=macro.id, kind="macro", status="retired", actor="somebody")
    assert open_desk({"user_id": "late"}).ask("where is it?")["reply"] != SITUATIONS["delivered"][1]

    # For customers of the control group words choose, as before.
    with tenant_scope(tenant.id):
        put_settings({"control_share": 1.0}, actor="test")
    control = open_desk({"user_id": "late"}).ask("where is it?")
    assert control["reply"] == ""
    with tenant_scope(tenant.id):
        assert Reply.objects.get(id=control["id"]).variant == "words"


@pytest.fixture(autouse=True)
def _forget_usual() -> None:
    evidence._usual.clear()
