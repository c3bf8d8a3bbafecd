"""The queue transport with a real worker: batches, many callers, foreign paths."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from serving import gateway, inbox
from serving.gateway import Answer
from serving.inbox import AnswerFailed
from serving.models import ModelVersion
from serving.replay import VersionGone, replay
from serving.services import promote
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.platform.serving.asking import ask, ask_until
from tests.processes import Process, running_worker

Publish = Callable[..., ModelVersion]
RequestAfter = Callable[..., Any]
StartWorker = Callable[..., Process]

pytestmark = pytest.mark.usefixtures("through_the_queue")


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One for all tests that leave it as it was."""
    with running_worker(tmp_path_factory.mktemp("worker") / "log", "infer") as process:
        yield process


def test_a_batch_is_asked_in_one_go(
    tenant: Tenant, live: ModelVersion, request_after: RequestAfter, worker: Process
) -> None:
    requests = [request_after(f"item-{number % 20:02d}") for number in range(100)]
    ask_until(tenant, request_after("item-03"), None)
    with tenant_scope(tenant.id):
        many = gateway.assess("next-item", requests)
        alone = [gateway.assess("next-item", [request])[0] for request in requests[:20]]
    assert {(answer.model_version, answer.degraded) for answer in many} == {(live.id, None)}
    assert [answer.prediction["items"] for answer in many[:20]] == [answer.prediction["items"] for answer in alone]


def test_in_a_batch_a_request_that_the_model_refuses_costs_the_others_nothing(
    tenant: Tenant, live: ModelVersion, request_after: RequestAfter, worker: Process
) -> None:
    ask_until(tenant, request_after("item-03"), None)
    good, bad = request_after("item-03"), request_after("item-03") | {"types": 7}
    with tenant_scope(tenant.id):
        answers = gateway.assess("next-item", [good, bad, good])
    assert [answer.degraded for answer in answers] == [None, "rules", None]


@pytest.mark.slow
def test_a_worker_answers_many_callers(
    tenant: Tenant, live: ModelVersion, request_after: RequestAfter, worker: Process
) -> None:
    ask_until(tenant, request_after("item-03"), None)

    def call(number: int) -> Answer:
        try:
            return ask(tenant, request_after(f"item-{number % 12:02d}"))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(call, range(200)))

    assert {answer.degraded for answer in answers} == {None}
    # Each caller got the answer to its own question.
    assert all(answer.prediction["items"][0] == f"item-{(n + 1) % 12:02d}" for n, answer in enumerate(answers))
    assert inbox.valkey().llen(inbox.QUESTIONS) == 0


@pytest.mark.slow
def test_a_worker_refuses_another_tenants_artifact(
    tenant: Tenant, other_tenant: Tenant, live: ModelVersion, request_after: RequestAfter, worker: Process
) -> None:
    request = request_after("item-03")
    ask_until(tenant, request, None)

    with pytest.raises(AnswerFailed, match="not one of tenant"):
        inbox.ask(tenant_id=other_tenant.id, artifact=live.artifact, request=request, seconds=0.5)
    with pytest.raises(AnswerFailed, match="not one of tenant"):
        inbox.ask(tenant_id=tenant.id, artifact="../../../etc", request=request, seconds=0.5)


@pytest.mark.slow
def test_one_unusable_request_does_not_cost_its_batch(
    tenant: Tenant, live: ModelVersion, request_after: RequestAfter, worker: Process
) -> None:
    good, bad = request_after("item-03"), request_after("item-03") | {"times": []}
    ask_until(tenant, good, None)
    questions = [
        inbox.Question(tenant.id, live.artifact, request, f"{inbox.REPLY}test-{number}-{tenant.id}")
        for number, request in enumerate([good, bad, good])
    ]
    inbox.valkey().rpush(inbox.QUESTIONS, *[question.encode() for question in questions])
    inbox.wake_worker()

    answers = [json.loads(inbox.valkey().blpop([question.reply_key], timeout=5)[1]) for question in questions]

    assert [sorted(answer) for answer in answers] == [["prediction"], ["error"], ["prediction"]]
    assert "times" in answers[1]["error"]


@pytest.mark.slow
def test_a_version_is_asked_again_through_the_queue(
    tenant: Tenant, live: ModelVersion, publish: Publish, request_after: RequestAfter, worker: Process
) -> None:
    """One that does not answer for its line any more, with its scores taken apart."""
    request = request_after("item-03", "item-04")
    ask_until(tenant, request, None)
    newer = publish(tenant, 2)
    with tenant_scope(tenant.id):
        promote(version=newer, actor="test")
        asked = {**request, "decompose": True, "attribution": "integrated_gradients"}
        prediction = replay(live.id, asked)
        with pytest.raises(VersionGone):
            replay(newer.run_id, asked)
    assert len(prediction["members"]) == len(prediction["items"])
