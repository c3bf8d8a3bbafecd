"""The queue transport with a real worker: batches, kills, foreign paths."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from serving import gateway, inbox
from serving.gateway import Answer
from serving.inbox import AnswerFailed, NoAnswer
from serving.models import ModelVersion
from serving.replay import VersionGone, replay
from serving.services import promote
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.processes import Process
from tests.waiting import until

Publish = Callable[..., ModelVersion]
RequestAfter = Callable[..., Any]
StartWorker = Callable[..., Process]


@pytest.fixture(autouse=True)
def through_the_queue(settings: Any) -> None:
    settings.GATEWAY_TRANSPORT = "queue"


@pytest.fixture
def live(tenant: Tenant, publish: Publish) -> ModelVersion:
    version = publish(tenant)
    with tenant_scope(tenant.id):
        promote(version=version, actor="test")
    return version


def ask(tenant: Tenant, request: Any) -> Answer:
    with tenant_scope(tenant.id):
        return gateway.predict("next-item", request)


def ask_until(tenant: Tenant, request: Any, degraded: str | None) -> Answer:
    """The first answer of this kind; every answer before it is an answer too."""

    def answer_of_this_kind() -> Answer | None:
        answer = ask(tenant, request)
        assert answer.prediction is not None
        return answer if answer.degraded == degraded else None

    return until(answer_of_this_kind)


def test_a_batch_is_asked_in_one_go(
    tenant: Tenant, live: ModelVersion, request_after: RequestAfter, start_worker: StartWorker
) -> None:
    requests = [request_after(f"item-{number % 20:02d}") for number in range(100)]
    started = time.monotonic()
    with tenant_scope(tenant.id):
        silent = gateway.assess("next-item", requests)
    # Nobody answers: one deadline is waited for, and not a hundred.
    assert time.monotonic() - started < 3
    assert {answer.degraded for answer in silent} == {"rules"}
    assert inbox.valkey().llen(inbox.QUESTIONS) == 0

    start_worker(queues="infer")
    ask_until(tenant, request_after("item-03"), None)
    with tenant_scope(tenant.id):
        many = gateway.assess("next-item", requests)
        alone = [gateway.assess("next-item", [request])[0] for request in requests[:20]]
    assert {(answer.model_version, answer.degraded) for answer in many} == {(live.id, None)}
    assert [answer.prediction["items"] for answer in many[:20]] == [answer.prediction["items"] for answer in alone]


def test_in_a_batch_a_request_that_the_model_refuses_costs_the_others_nothing(
    tenant: Tenant, live: ModelVersion, request_after: RequestAfter, start_worker: StartWorker
) -> None:
    start_worker(queues="infer")
    ask_until(tenant, request_after("item-03"), None)
    good, bad = request_after("item-03"), request_after("item-03") | {"types": 7}
    with tenant_scope(tenant.id):
        answers = gateway.assess("next-item", [good, bad, good])
    assert [answer.degraded for answer in answers] == [None, "rules", None]


@pytest.mark.slow
def test_a_worker_answers_many_callers(
    tenant: Tenant, live: ModelVersion, request_after: RequestAfter, start_worker: StartWorker
) -> None:
    start_worker(queues="infer")
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
def test_a_killed_worker_costs_no_answer_and_is_noticed_when_back(
    tenant: Tenant, live: ModelVersion, request_after: RequestAfter, start_worker: StartWorker
) -> None:
    worker = start_worker(queues="infer")
    request = request_after("item-03", "item-04")
    ask_until(tenant, request, None)

    worker.kill()
    started = time.monotonic()
    answers = [ask(tenant, request) for _ in range(40)]
    seconds = time.monotonic() - started

    assert {answer.degraded for answer in answers} == {"rules"}
    assert all(answer.prediction["items"] for answer in answers)
    # Three callers wait for the deadline and one a second after them; without the breaker it would be 20 s.
    assert seconds < 4.0

    start_worker(queues="infer")
    assert ask_until(tenant, request, None).model_version == live.id


def test_a_worker_that_hangs_is_waited_for_no_longer_than_the_deadline(
    tenant: Tenant, live: ModelVersion, request_after: RequestAfter
) -> None:
    started = time.monotonic()
    with tenant_scope(tenant.id):
        answer = gateway.predict("next-item", request_after("item-03"), deadline=0.1)
    assert answer.degraded == "rules"
    assert time.monotonic() - started < 0.4
    # What nobody waits for any more is not left for a worker to compute.
    assert inbox.valkey().llen(inbox.QUESTIONS) == 0


@pytest.mark.slow
def test_a_worker_refuses_another_tenants_artifact(
    tenant: Tenant, other_tenant: Tenant, live: ModelVersion, request_after: RequestAfter, start_worker: StartWorker
) -> None:
    start_worker(queues="infer")
    request = request_after("item-03")
    ask_until(tenant, request, None)

    with pytest.raises(AnswerFailed, match="not one of tenant"):
        inbox.ask(tenant_id=other_tenant.id, artifact=live.artifact, request=request, seconds=0.5)
    with pytest.raises(AnswerFailed, match="not one of tenant"):
        inbox.ask(tenant_id=tenant.id, artifact="../../../etc", request=request, seconds=0.5)


@pytest.mark.slow
def test_one_unusable_request_does_not_cost_its_batch(
    tenant: Tenant, live: ModelVersion, request_after: RequestAfter, start_worker: StartWorker
) -> None:
    start_worker(queues="infer")
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


def test_without_valkey_the_rules_answer(
    tenant: Tenant, live: ModelVersion, request_after: RequestAfter, settings: Any
) -> None:
    settings.VALKEY_URL = "redis://127.0.0.1:1/0"
    inbox.valkey.cache_clear()
    try:
        assert ask(tenant, request_after("item-03")).degraded == "rules"
        with pytest.raises(NoAnswer, match="Valkey"):
            inbox.ask(tenant_id=tenant.id, artifact=live.artifact, request={}, seconds=0.2)
    finally:
        inbox.valkey.cache_clear()


@pytest.mark.slow
def test_a_version_is_asked_again_through_the_queue(
    tenant: Tenant, live: ModelVersion, publish: Publish, request_after: RequestAfter, start_worker: StartWorker
) -> None:
    """One that does not answer for its line any more, with its scores taken apart."""
    start_worker(queues="infer")
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
