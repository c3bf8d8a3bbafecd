"""Calls that meet: many threads with one transaction, and with transactions of one customer."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection

from behavior.models import Event
from decisions.models import Decision
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.conftest import ApiClient

PAYMENT = {"transaction_id": "t-1", "subject": {"user_id": "u-1"}, "amount": 20.0, "currency": "EUR"}
THREADS = 8


def in_threads(api: ApiClient, bodies: list[dict[str, Any]]) -> list[Any]:
    def call(body: dict[str, Any]) -> Any:
        try:
            return api.post("risk/assessments" + ("/batch" if "transactions" in body else ""), body)
        finally:
            connection.close()

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(call, bodies))


def test_threads_with_one_transaction_get_one_answer(api: ApiClient, tenant: Tenant) -> None:
    answers = in_threads(api, [PAYMENT] * THREADS)
    assert sorted(answer.status_code for answer in answers) == [200] * (THREADS - 1) + [201]
    assert len({answer.json()["decision_id"] for answer in answers}) == 1
    with tenant_scope(tenant.id):
        assert Decision.objects.count() == Event.objects.count() == 1


def test_batches_that_overlap_lose_nothing_and_double_nothing(api: ApiClient, tenant: Tenant) -> None:
    bodies = [PAYMENT | {"transaction_id": f"t-{number}"} for number in range(20)]
    answers = in_threads(api, [{"transactions": bodies[:15]}, {"transactions": bodies[::-1]}] * 3)
    assert {answer.status_code for answer in answers} == {200}
    results = [result for answer in answers for result in answer.json()["results"]]
    assert sum(result["result"] == "ok" for result in results) == 20
    with tenant_scope(tenant.id):
        assert Decision.objects.count() == Event.objects.count() == 20
