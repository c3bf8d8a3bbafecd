"""Every error is a problem that says what is wrong and what to do, and leaves nothing half-done."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import connection
from django.test import Client
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from rest_framework.exceptions import ValidationError

from api.errors import problem_of
from catalog.models import Item
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.conftest import ApiClient

trial = pytest.mark.urls("tests.platform.api.trial_urls")


def test_a_problem_has_all_members_of_rfc_9457(api: ApiClient) -> None:
    answer = api.get("items/no%20hat")

    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json() == {
        "type": "urn:problem:not_found",
        "title": "Not found",
        "status": 404,
        "detail": "there is no item 'no hat' in the catalogue",
        "instance": "/api/v1/items/no%20hat",
        "request_id": answer["X-Request-Id"],
    }


def test_each_error_of_a_body_has_its_place() -> None:
    problem = problem_of(
        ValidationError({"items": [{}, {"price": ["too low"]}], "a/b": ["odd"], "non_field_errors": ["neither"]})
    )

    assert [(error["field"], error["pointer"], error["message"]) for error in problem.errors] == [
        ("items[1].price", "#/items/1/price", "too low"),
        ("a/b", "#/a~1b", "odd"),
        ("", "#", "neither"),
    ]
    assert problem.detail == "items[1].price: too low (and 2 more, see errors)"


def test_an_error_of_a_service_is_one_of_the_client() -> None:
    problem = problem_of(DjangoValidationError({"slug": "'x' is taken"}))

    assert (problem.status, problem.detail) == (400, "slug: 'x' is taken")


@pytest.mark.parametrize(
    "body", ["{", "", "[1", '{"price": NaN}', '{"price": 1e999}', '"\\ud800', b"\xff\xfe", "[" * 100_000, "1" * 5000]
)
def test_what_is_no_json_is_refused(api: ApiClient, body: Any) -> None:
    answer = api.request("PUT", "items/hat", body)

    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"


def test_another_media_type_is_refused(api: ApiClient) -> None:
    answer = api.client.put(
        "/api/v1/items/hat", "a=1", content_type="text/plain", headers={"Authorization": f"Bearer {api.raw_key}"}
    )

    assert answer.status_code == 415
    assert answer.json()["type"] == "urn:problem:unsupported_media_type"


def test_too_large_a_body_is_refused_unread(api: ApiClient) -> None:
    answer = api.put("items/hat", "x" * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1))

    assert answer.status_code == 413
    assert "send it in several calls" in answer.json()["detail"]


def test_a_body_of_unknown_length_is_refused(api: ApiClient) -> None:
    answer = api.client.generic(
        "POST",
        "/api/v1/items/batch",
        headers={"Authorization": f"Bearer {api.raw_key}", "Transfer-Encoding": "chunked"},
    )

    assert answer.status_code == 411


def test_an_unknown_address_is_a_problem_too(api: ApiClient) -> None:
    assert api.get("nothing/here").json()["type"] == "urn:problem:not_found"
    assert Client().get("/nothing").json()["type"] == "urn:problem:not_found"


@trial
@pytest.mark.parametrize("address", ["fail", "fail-plainly"])
@pytest.mark.parametrize(("name", "status"), [("unforeseen", 500), ("foreseen", 400), ("database", 503)])
def test_an_error_takes_back_what_was_written(
    api: ApiClient, tenant: Tenant, address: str, name: str, status: int
) -> None:
    answer = api.post(f"{address}/{name}", {})

    assert answer.status_code == status
    with tenant_scope(tenant.id):
        assert not Item.objects.exists()


@trial
def test_an_unforeseen_error_is_logged_and_tells_nothing(api: ApiClient, caplog: pytest.LogCaptureFixture) -> None:
    answer = api.post("fail/unforeseen", {})

    assert "secret" not in answer.content.decode()
    [line] = [record for record in caplog.records if record.name == "api.errors"]
    assert line.msg["request_id"] == answer.json()["request_id"]
    assert "ZeroDivisionError" in line.msg["exception"]


def test_a_connection_that_was_lost_while_it_lay_idle_is_replaced(api: ApiClient) -> None:
    assert api.get("items").status_code == 200
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = cursor.fetchone()[0]
    with psycopg.connect(settings.DATABASE_URLS["app"]) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [backend])
    time.sleep(0.1)

    assert api.get("items").status_code == 200


@trial
def test_a_connection_lost_half_way_is_503_and_nothing_stays(api: ApiClient) -> None:
    lost = api.post("lose-connection", {})

    assert lost.status_code == 503
    assert lost["Retry-After"] == "2"
    assert api.get("items").json()["results"] == []


@trial
def test_a_question_that_the_database_takes_too_long_over_is_stopped(api: ApiClient, settings: Any) -> None:
    settings.API_STATEMENT_SECONDS = 1
    stopped = api.post("too-much", {})

    assert stopped.status_code == 503
    assert stopped["Retry-After"] == "1"
    assert stopped.json()["detail"].startswith("this took the database more than 1 seconds and was stopped")
    assert api.get("items").json()["results"] == []


def get(url: str, **headers: str) -> tuple[int, dict[str, Any], Any]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
            return answer.status, json.load(answer), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, json.load(error), error.headers


@pytest.mark.slow
def test_a_server_without_its_database_lives_and_asks_to_wait(start_server: Callable[..., str], api: ApiClient) -> None:
    nowhere = {**conninfo_to_dict(settings.DATABASE_URLS["app"]), "host": "127.0.0.1", "port": "1"}
    server = start_server(environment={"DATABASE_URL": make_conninfo(**nowhere), "VALKEY_URL": "redis://127.0.0.1:1/0"})

    status, problem, headers = get(f"{server}/api/v1/items", Authorization=f"Bearer {api.raw_key}")
    ready, reasons, _ = get(f"{server}/readyz")

    assert (status, problem["type"], headers["Retry-After"]) == (503, "urn:problem:unavailable", "2")
    assert ready == 503
    assert reasons["reasons"] == ["database: does not answer", "valkey: does not answer"]
    assert get(f"{server}/healthz")[0] == 200
