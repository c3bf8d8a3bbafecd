"""Who gets in: keys, scopes, rates; and what every answer carries."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.test import Client

from api import throttling
from api.valkey import valkey
from catalog.models import Item
from tenancy.models import ApiKey, Tenant
from tenancy.scope import tenant_scope
from tenancy.services import revoke_api_key
from tests.conftest import ApiClient


def test_a_call_without_a_key_is_told_how_to_send_one() -> None:
    answer = Client().get("/api/v1/items")

    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert answer.json()["detail"] == "send the header 'Authorization: Bearer sk_...'"


@pytest.mark.parametrize(
    "header", ["Basic dTpw", "Bearer", "Bearer sk_", "Bearer sk_1x000000000000_" + "a" * 43, "Bearer \x7f", "x" * 5000]
)
def test_what_is_no_key_of_ours_opens_nothing(header: str) -> None:
    answer = Client().get("/api/v1/items", headers={"Authorization": header})

    assert answer.status_code == 401
    assert "results" not in answer.json()


def test_a_revoked_key_is_told_apart_from_a_missing_one(api: ApiClient, tenant: Tenant) -> None:
    assert api.get("items").status_code == 200
    with tenant_scope(tenant.id):
        revoke_api_key(key_id=ApiKey.objects.get().id)

    answer = api.get("items")

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].endswith('error="invalid_token"')
    assert answer.json()["type"] == "urn:problem:invalid_key"


def test_a_missing_scope_is_named_and_nothing_happens(
    client_with_scopes: Callable[..., ApiClient], tenant: Tenant
) -> None:
    reader = client_with_scopes("items:read")

    answer = reader.put("items/hat", {"title": "Hat"})

    assert reader.get("items").status_code == 200
    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:problem:missing_scope"
    assert "'items:write'" in answer.json()["detail"]
    with tenant_scope(tenant.id):
        assert not Item.objects.exists()


@pytest.mark.urls("tests.platform.api.trial_urls")
def test_a_view_that_names_no_scope_is_closed(api: ApiClient) -> None:
    assert api.get("without-scopes").status_code == 405


def test_a_key_that_calls_too_often_is_told_when_to_come_back(api: ApiClient, settings: pytest.FixtureRequest) -> None:
    settings.API_REQUESTS_PER_MINUTE = 2

    answers = [api.get("items") for _ in range(4)]

    refused = [answer for answer in answers if answer.status_code == 429]
    # The clock may enter a new minute on the way.
    assert 1 <= len(refused) <= 2
    assert 1 <= int(refused[0]["Retry-After"]) <= 60
    assert refused[0].json()["type"] == "urn:problem:throttled"


def test_a_process_counts_for_itself_far_from_the_limit_and_asks_for_the_count_of_all_near_it(
    settings: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.API_REQUESTS_PER_MINUTE = 10
    # No minute ends during the test.
    monkeypatch.setattr(throttling, "MINUTE", 10_000_000)
    monkeypatch.setattr(throttling, "TELL_SECONDS", 60.0)
    key_id = uuid4()
    assert [throttling._count(key_id) for _ in range(4)] == [1, 2, 3, 4]
    key = f"sequitur:requests:{key_id}:{throttling._tallies[key_id].minute}"
    assert valkey().get(key) == b"1"
    valkey().incrby(key, 20)  # by another process
    assert throttling._count(key_id) == 25
    assert throttling._count(key_id) == 26
    valkey().delete(key)


def test_one_busy_key_does_not_slow_another(
    client_with_scopes: Callable[..., ApiClient], settings: pytest.FixtureRequest
) -> None:
    settings.API_REQUESTS_PER_MINUTE = 1
    busy, other = client_with_scopes("items:read"), client_with_scopes("items:read")

    for _ in range(3):
        busy.get("items")

    assert other.get("items").status_code == 200


def test_without_valkey_nobody_is_throttled(api: ApiClient, settings: pytest.FixtureRequest) -> None:
    settings.API_REQUESTS_PER_MINUTE = 0
    settings.VALKEY_URL = "redis://127.0.0.1:1/0"
    valkey.cache_clear()
    try:
        assert api.get("items").status_code == 200
    finally:
        valkey.cache_clear()


def test_the_request_id_of_the_client_comes_back(api: ApiClient) -> None:
    assert api.get("items", **{"X-Request-Id": "order-17:retry.2"})["X-Request-Id"] == "order-17:retry.2"
    assert Client().get("/healthz", headers={"X-Request-Id": "a"})["X-Request-Id"] == "a"


@pytest.mark.parametrize("given", ["two words", "x" * 101, "line\nbreak", ""])
def test_a_request_id_that_could_harm_a_log_is_replaced(api: ApiClient, given: str) -> None:
    answer = api.get("items/none", **{"X-Request-Id": given})

    assert answer["X-Request-Id"] not in (given, "")
    assert answer.json()["request_id"] == answer["X-Request-Id"]


def test_a_request_is_one_line_without_the_key(api: ApiClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    api.get("items/hat?cursor=1")

    [line] = [record for record in caplog.records if record.name == "api.requests"]
    assert line.msg["status"] == 404
    assert line.msg["route"] == "api/v1/items/<path:item_id>"
    assert api.raw_key not in caplog.text
    assert api.raw_key.rpartition("_")[2] not in caplog.text


@pytest.mark.parametrize(
    ("everyday", "settings", "method", "path", "change"),
    [
        ("risk:write", "risk-settings:write", "PATCH", "risk/settings", {"decline_above": 0.9}),
        ("conversations:write", "service-settings:write", "PUT", "service/settings", {"blocked_topics": ["lawyer"]}),
        ("conversations:write", "service-settings:write", "PUT", "service/backends", {"backends": []}),
        ("ads:write", "ads-settings:write", "PATCH", "ads/settings", {"four_eyes": True}),
    ],
)
def test_a_key_of_every_day_changes_no_settings(
    everyday: str, settings: str, method: str, path: str, change: object, client_with_scopes: Callable[..., ApiClient]
) -> None:
    refused = client_with_scopes(everyday).request(method, path, change)
    assert refused.status_code == 403
    assert f"'{settings}'" in refused.json()["detail"]
    assert client_with_scopes(settings).request(method, path, change).status_code == 200
