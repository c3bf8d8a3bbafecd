"""The queue transport while no worker answers: none was started, one was killed, Valkey is away."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from serving import gateway, inbox
from serving.inbox import NoAnswer
from serving.models import ModelVersion
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.platform.serving.asking import ask, ask_until
from tests.processes import Process
from tests.waiting import until

Publish = Callable[..., ModelVersion]
RequestAfter = Callable[..., Any]
StartWorker = Callable[..., Process]

pytestmark = pytest.mark.usefixtures("through_the_queue")


def test_a_batch_waits_for_one_deadline_and_not_for_a_hundred(
    tenant: Tenant, live: ModelVersion, request_after: RequestAfter
) -> None:
    requests = [request_after(f"item-{number % 20:02d}") for number in range(100)]
    started = time.monotonic()
    with tenant_scope(tenant.id):
        silent = gateway.assess("next-item", requests)
    assert time.monotonic() - started < 3
    assert {answer.degraded for answer in silent} == {"rules"}
    assert inbox.valkey().llen(inbox.QUESTIONS) == 0


def test_of_a_large_batch_few_questions_stand_before_those_of_others(tenant: Tenant, live: ModelVersion) -> None:
    def ask_a_thousand() -> list[Any]:
        return inbox.ask_many(tenant_id=tenant.id, artifact=live.artifact, requests=[{}] * 1_000, seconds=0.4)

    with ThreadPoolExecutor(1) as others:
        batch = others.submit(ask_a_thousand)
        until(lambda: inbox.valkey().llen(inbox.QUESTIONS) == inbox.IN_FLIGHT)
        assert batch.result(timeout=30) == [None] * 1_000
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
