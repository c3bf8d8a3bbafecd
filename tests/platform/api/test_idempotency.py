"""A call that is repeated with its Idempotency-Key is answered again and not done again."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from api.models import IdempotentRequest
from api.tasks import expire_idempotency_keys_of_tenant
from catalog.models import Item
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.tasks import TENANT_HEADER
from tests.conftest import ApiClient
from tests.platform.api import trial_urls

KEY = {"Idempotency-Key": "order-17"}


def age(tenant: Tenant, hours: float) -> None:
    with tenant_scope(tenant.id):
        IdempotentRequest.objects.update(created_at=timezone.now() - timedelta(hours=hours))


def test_a_repeated_call_gets_the_first_answer_word_for_word(api: ApiClient) -> None:
    first = api.put("items/hat", {"title": "Hät", "price": 9.9}, **KEY)
    api.put("items/hat", {"title": "changed since"})

    again = api.put("items/hat", {"title": "Hät", "price": 9.9}, **KEY)

    assert again.status_code == first.status_code == 200
    assert again.content == first.content
    assert again["Content-Type"] == first["Content-Type"]
    assert again["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first
    assert api.get("items/hat").json()["title"] == "changed since"


def test_an_answer_without_a_body_is_repeated_too(api: ApiClient) -> None:
    api.put("items/hat", {})

    assert [api.delete("items/hat", **KEY).status_code for _ in range(3)] == [204, 204, 204]
    assert api.delete("items/hat").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "items/hat", {"title": "B"}),
        ("PUT", "items/cap", {"title": "A"}),
        ("PATCH", "items/hat", {"title": "A"}),
    ],
)
def test_the_same_key_for_another_request_is_refused(api: ApiClient, method: str, path: str, body: Any) -> None:
    api.put("items/hat", {"title": "A"}, **KEY)

    answer = api.request(method, path, body, **KEY)

    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:problem:unprocessable"
    assert [item["title"] for item in api.get("items").json()["results"]] == ["A"]


def test_a_failed_call_is_tried_again(api: ApiClient) -> None:
    assert api.patch("items/hat", {"title": "A"}, **KEY).status_code == 404
    api.put("items/hat", {})

    assert api.patch("items/hat", {"title": "A"}, **KEY).json()["title"] == "A"


def test_two_tenants_may_use_one_key(api: ApiClient, other_api: ApiClient) -> None:
    api.put("items/hat", {"title": "ours"}, **KEY)

    answer = other_api.put("items/hat", {"title": "theirs"}, **KEY)

    assert answer.json()["title"] == "theirs"
    assert "Idempotency-Replayed" not in answer


def test_after_a_day_the_key_is_free_again(api: ApiClient, tenant: Tenant) -> None:
    api.put("items/hat", {"title": "A"}, **KEY)
    age(tenant, 24.1)

    assert api.put("items/hat", {"title": "B"}, **KEY).json()["title"] == "B"
    assert api.put("items/hat", {"title": "B"}, **KEY)["Idempotency-Replayed"] == "true"


def test_old_answers_are_forgotten(api: ApiClient, tenant: Tenant) -> None:
    api.put("items/hat", {}, **KEY)
    age(tenant, 25)
    api.put("items/cap", {}, **{"Idempotency-Key": "new"})

    expire_idempotency_keys_of_tenant.apply(headers={TENANT_HEADER: tenant.id}, throw=True)

    with tenant_scope(tenant.id):
        assert list(IdempotentRequest.objects.values_list("key", flat=True)) == ["new"]


@pytest.mark.parametrize("key", ["", "two words", "x" * 201, "ü"])
def test_a_key_must_be_printable_and_short(api: ApiClient, key: str) -> None:
    answer = api.put("items/hat", {}, **{"Idempotency-Key": key})

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"


@pytest.mark.urls("tests.platform.api.trial_urls")
def test_while_the_first_call_is_under_way_the_second_is_sent_away(api: ApiClient, tenant: Tenant) -> None:
    answers = []

    def call() -> None:
        try:
            answers.append(api.post("slow", {}, **KEY))
        finally:
            connection.close()

    first = threading.Thread(target=call)
    first.start()
    assert trial_urls.inside.wait(10)

    assert api.post("slow", {}, **KEY).status_code == 409

    trial_urls.may_end.set()
    first.join()
    assert [answer.status_code for answer in answers] == [200]
    assert api.post("slow", {}, **KEY)["Idempotency-Replayed"] == "true"
    with tenant_scope(tenant.id):
        assert Item.objects.count() == 1
