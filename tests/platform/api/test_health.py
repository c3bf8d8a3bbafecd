"""Probes and figures for whoever runs the suite."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from api import health
from api.valkey import valkey
from tenancy.models import Tenant
from tests.conftest import ApiClient


def test_a_living_process_asks_nobody(django_assert_num_queries: Callable[..., Any]) -> None:
    with django_assert_num_queries(0):
        assert Client().get("/healthz").json() == {"status": "ok"}


def test_ready_means_database_migrations_and_valkey(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_migrated", False)

    assert Client().get("/readyz").json() == {"status": "ok"}


def test_without_valkey_the_process_is_not_ready(settings: pytest.FixtureRequest) -> None:
    settings.VALKEY_URL = "redis://127.0.0.1:1/0"
    valkey.cache_clear()
    try:
        answer = Client().get("/readyz")
    finally:
        valkey.cache_clear()

    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["valkey: does not answer"]


def test_figures_count_by_route_and_name_no_tenant(api: ApiClient, tenant: Tenant) -> None:
    api.put("items/very-private", {})
    api.get("nothing/very-private")

    figures = Client().get("/metrics").content.decode()

    assert 'http_requests_total{method="PUT",route="api/v1/items/<path:item_id>",status="200"}' in figures
    assert 'http_request_seconds_bucket{le="0.05",method="PUT",route="api/v1/items/<path:item_id>"}' in figures
    assert "gateway_answers" in figures
    assert "very-private" not in figures
    assert tenant.slug not in figures
    assert api.raw_key not in figures


def test_the_front_door_leads_to_the_documentation() -> None:
    assert Client().get("/")["Location"] == "/api/v1/docs"
