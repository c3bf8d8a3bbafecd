"""Two versions of a model answer different conversations; each arm is reported on, and the better one promoted."""

import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from django.conf import settings as process_settings
from django.utils import timezone
from uuid_utils.compat import uuid7

from apps.service.conversations.models import Conversation, Message, Role
from apps.service.demonstrations.history import publish_macros
from apps.service.experiments import selectors
from apps.service.experiments.report import experiment_report
from apps.service.experiments.selectors import exposure_of
from apps.service.experiments.services import start
from apps.service.models import Experiment, Reply
from apps.service.replies import evidence
from decisions.models import Decision
from ml.simulation.replies import simulate_replies
from ml.tasks.registry import TASKS
from serving import selectors as serving_selectors
from serving.artifacts import artifact_sha256, relative_path, run_folder
from serving.models import ModelVersion, RunStatus, TrainingRun
from serving.selectors import live_version
from serving.services import promote
from tenancy.models import Tenant
from tenancy.scope import current_tenant_id, tenant_scope
from tests.apps.service.conftest import Desk
from tests.conftest import ApiClient
from tests.queries import CapturedQueries

QUICK = {"candidates": 8, "epochs": 4, "least_steps": 1, "batch_pairs": 64, "pretrained": False, "refit": False}


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("replies") / "artifact"
    pairs = simulate_replies(400, generator=np.random.default_rng(1))
    TASKS["replies"].fit(pairs, QUICK | {"threads": 1}, out, progress=lambda _: None)
    return out


def make_version(artifact: Path, number: int, *, model: str = "replies", status: str = "candidate") -> ModelVersion:
    run = TrainingRun.objects.create(model=model, task="replies", status=RunStatus.SUCCEEDED, report={})
    folder = run_folder(current_tenant_id(), model, run.id) / "1"
    shutil.copytree(artifact, folder)
    return ModelVersion.objects.create(
        model=model,
        number=number,
        task="replies",
        run=run,
        artifact=relative_path(folder),
        artifact_sha256=artifact_sha256(folder),
        status=status,
    )


@pytest.fixture
def versions(tenant: Tenant, artifact: Path, settings: Any) -> tuple[ModelVersion, ModelVersion]:
    """Version 1, which is live, and version 2."""
    settings.GATEWAY_TRANSPORT = "inline"
    settings.GATEWAY_DEADLINE = 10.0
    evidence._usual.clear()
    with tenant_scope(tenant.id):
        publish_macros("test")
        first, second = make_version(artifact, 1), make_version(artifact, 2)
        promote(version=first, actor="test")
    serving_selectors._lines.clear()
    selectors.forget_running()
    return first, second


def begin(api: ApiClient, challenger: ModelVersion, **fields: Any) -> dict[str, Any]:
    answer = api.post("service/experiments", {"name": "Second", "challenger": str(challenger.id), **fields})
    assert answer.status_code == 201, answer.content
    selectors.forget_running()
    experiment: dict[str, Any] = answer.json()
    return experiment


def test_conversations_keep_their_version_and_decisions_say_which(
    tenant: Tenant,
    api: ApiClient,
    open_desk: Callable[..., Desk],
    versions: tuple[ModelVersion, ModelVersion],
) -> None:
    experiment = begin(api, versions[1])
    assert (experiment["model"], experiment["control"]) == ("replies", str(versions[0].id))
    desks = [open_desk({"user_id": f"u-{number}"}) for number in range(12)]
    said = [desk.ask("where is it?") for desk in desks]
    again = [desk.ask("where is my parcel?") for desk in desks]
    by_arm = {"control": versions[0], "challenger": versions[1]}
    with tenant_scope(tenant.id):
        replies = {str(reply.id): reply for reply in Reply.objects.all()}
        arms = Counter(replies[each["id"]].arm for each in said)
        assert set(arms) == {"control", "challenger"}, arms
        for first, second in zip(said, again, strict=True):
            arm = replies[first["id"]].arm
            assert replies[second["id"]].arm == arm
            assert str(replies[first["id"]].experiment) == experiment["id"]
            if first["model_version"]:
                assert first["model_version"] == str(by_arm[arm].id)
            decision = Decision.objects.get(decision_id=first["decision_id"])
            assert decision.variant == arm
            logged = decision.request["experiment"]
            assert (logged["id"], logged["arm"]) == (experiment["id"], arm)
            assert logged["model_version"] == str(by_arm[arm].id)
        assert {each["model_version"] for each in said} >= {str(version.id) for version in versions}

    report = api.get(f"service/experiments/{experiment['id']}/report").json()
    assert [row["arm"] for row in report["arms"]] == ["control", "challenger"]
    assert {row["arm"]: row["conversations"] for row in report["arms"]} == dict(arms)
    assert sum(row["replies"] for row in report["arms"]) == 24

    ended = api.post(f"service/experiments/{experiment['id']}/promote", {"arm": "challenger"})
    assert ended.status_code == 200, ended.content
    assert (ended.json()["outcome"], ended.json()["promoted"]) == ("promoted", "challenger")
    with tenant_scope(tenant.id):
        assert live_version("replies") == versions[1]
        assert exposure_of(uuid4()) is None
    time.sleep(1.1)  # until this process looks again which version is live
    assert open_desk({"user_id": "last"}).ask("where is it?")["model_version"] == str(versions[1].id)
    assert api.post(f"service/experiments/{experiment['id']}/stop", {}).status_code == 409


def test_an_arm_that_fails_is_answered_by_the_live_version(
    tenant: Tenant, api: ApiClient, open_desk: Callable[..., Desk], versions: tuple[ModelVersion, ModelVersion]
) -> None:
    (process_settings.ARTIFACTS / versions[1].artifact / "config.json").write_text("{}")
    experiment = begin(api, versions[1], share=0.99)
    desk = next(
        desk
        for number in range(20)
        if arm_of(tenant, (desk := open_desk({"user_id": f"u-{number}"})).id) == "challenger"
    )
    answer = desk.ask("where is it?")
    assert answer["model_version"] == str(versions[0].id)
    with tenant_scope(tenant.id):
        decision = Decision.objects.get(decision_id=answer["decision_id"])
    assert decision.request["ranking"]["degraded"] == "previous_version"
    assert decision.request["experiment"]["arm"] == "challenger"
    assert experiment["share"] == 0.99


def arm_of(tenant: Tenant, conversation: str) -> str:
    with tenant_scope(tenant.id):
        exposure = exposure_of(UUID(conversation))
    assert exposure is not None
    return exposure.arm


def test_shares_hold_and_no_conversation_costs_a_query(
    tenant: Tenant, api: ApiClient, other_tenant: Tenant, versions: tuple[ModelVersion, ModelVersion]
) -> None:
    begin(api, versions[1], share=0.2)
    with tenant_scope(tenant.id):
        exposure_of(uuid4())
        with CapturedQueries() as asked:
            arms = Counter(str(exposure_of(uuid4()).arm) for _ in range(2_000))  # type: ignore[union-attr]
        assert exposure_of(None) is None
    assert len(asked) <= 2
    assert 330 < arms["challenger"] < 470
    with tenant_scope(other_tenant.id):
        assert exposure_of(uuid4()) is None


def test_what_cannot_be_compared_is_refused_with_what_to_do(
    tenant: Tenant,
    api: ApiClient,
    other_api: ApiClient,
    artifact: Path,
    versions: tuple[ModelVersion, ModelVersion],
    client_with_scopes: Callable[..., ApiClient],
) -> None:
    live, second = versions
    with tenant_scope(tenant.id):
        refused = make_version(artifact, 3, status="refused")
        elsewhere = make_version(artifact, 1, model="next-item")

    def said(challenger: Any, **fields: Any) -> tuple[int, str]:
        answer = api.post("service/experiments", {"name": "x", "challenger": str(challenger), **fields})
        return answer.status_code, answer.content.decode()

    for challenger, words in (
        (uuid4(), "names no version"),
        (live.id, "needs another version that is live"),
        (refused.id, "was refused by the gate"),
        (elsewhere.id, "is of the line next-item"),
    ):
        status, text = said(challenger)
        assert (status, words in text) == (400, True), text
    assert said(second.id, share=1.0)[0] == 400
    stranger = other_api.post("service/experiments", {"name": "x", "challenger": str(second.id)})
    assert (stranger.status_code, "names no version" in stranger.content.decode()) == (400, True)

    experiment = begin(api, second)
    status, text = said(second.id)
    assert (status, "an experiment runs already" in text) == (409, True)
    path = f"service/experiments/{experiment['id']}"
    for answer in (other_api.get(path), other_api.get(f"{path}/report"), other_api.post(f"{path}/stop", {})):
        assert answer.status_code == 404
    reader = client_with_scopes("models:read")
    assert reader.get(path).status_code == 200
    assert reader.post(f"{path}/stop", {}).status_code == 403
    assert api.post(f"{path}/stop", {}).json()["outcome"] == "stopped"
    assert [each["id"] for each in api.get("service/experiments").json()["results"]] == [experiment["id"]]


def fill_arm(
    experiment: Experiment, arm: str, judged: list[tuple[str, float]], *, rating: int, handed_off: int
) -> None:
    """A conversation for each judged draft; the first `handed_off` went to an agent, the others the bot answered."""
    for number, (status, distance) in enumerate(judged):
        now = timezone.now()
        conversation = Conversation.objects.create(
            subject_key=uuid7().bytes * 2,
            channel="web",
            opened_at=now,
            satisfaction=rating if number % 2 else None,
            handed_off_at=now if number < handed_off else None,
        )
        common = {"conversation": conversation, "event_id": uuid7(), "created_at": now}
        asked = Message.objects.create(number=1, role=Role.CUSTOMER, text="?", client_id="1", **common)
        Message.objects.create(number=2, role=Role.BOT, text="!", client_id="2", **common)
        Reply.objects.create(
            conversation=conversation,
            message=asked,
            decision_id=uuid7(),
            status=status,
            action="draft",
            confidence=0.5,
            backend="selection",
            created_at=now,
            edit_distance=None if status == "rejected" else distance,
            experiment=experiment.id,
            arm=arm,
        )


def test_the_report_tells_the_better_arm_from_chance(
    tenant: Tenant, versions: tuple[ModelVersion, ModelVersion]
) -> None:
    with tenant_scope(tenant.id):
        experiment = start(name="Second", challenger_id=versions[1].id, actor="test")
        worse = [("accepted", 0.0)] * 20 + [("edited", 0.5)] * 20 + [("rejected", 0.0)] * 20
        better = [("accepted", 0.0)] * 50 + [("edited", 0.1)] * 5 + [("rejected", 0.0)] * 5
        fill_arm(experiment, "control", worse, rating=3, handed_off=30)
        fill_arm(experiment, "challenger", better, rating=4, handed_off=27)
        with CapturedQueries() as asked:
            control, challenger = experiment_report(experiment)
    assert len(asked) == 1
    acceptance = challenger["measures"]["acceptance"]
    assert (control["measures"]["acceptance"]["value"], acceptance["value"]) == (20 / 60, 50 / 60)
    # As of two shares of independent conversations: 1.96 sqrt(p (1 - p) / (n - 1)) each.
    half = 1.959964 * np.sqrt((1 / 3 * 2 / 3 + 5 / 6 * 1 / 6) / 59)
    assert acceptance["difference_interval"] == pytest.approx([0.5 - half, 0.5 + half])
    assert acceptance["is_better"] is True
    edits = challenger["measures"]["edit_distance"]
    assert edits["value"] == pytest.approx(5 * 0.1 / 55)
    assert edits["is_better"] is True
    containment = challenger["measures"]["containment"]
    assert (containment["value"], containment["is_better"]) == (33 / 60, None)
    assert challenger["measures"]["satisfaction"]["value"] == 4
    assert control["measures"]["satisfaction"]["difference"] is None


def test_few_conversations_have_no_interval(tenant: Tenant, versions: tuple[ModelVersion, ModelVersion]) -> None:
    with tenant_scope(tenant.id):
        experiment = start(name="Second", challenger_id=versions[1].id, actor="test")
        fill_arm(experiment, "control", [("accepted", 0.0)] * 5, rating=3, handed_off=0)
        control, challenger = experiment_report(experiment)
    assert (control["measures"]["acceptance"]["value"], control["measures"]["acceptance"]["interval"]) == (1.0, None)
    assert challenger["conversations"] == 0
    assert challenger["measures"]["acceptance"]["value"] is None
