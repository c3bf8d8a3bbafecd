"""Models and training over the API."""

from collections.abc import Callable
from typing import Any

import pytest

from serving.models import ModelVersion, VersionStatus
from tenancy.models import Tenant
from tests.conftest import ApiClient
from tests.platform.serving.conftest import TINY

Publish = Callable[..., ModelVersion]


def test_a_run_is_started_watched_and_cancelled(filled: Tenant, api: ApiClient) -> None:
    started = api.post("training-runs", {"model": "next-item", "config": TINY})
    assert started.status_code == 201
    run = started.json()
    assert (run["status"], run["config"], run["version"]) == ("queued", TINY, None)
    assert api.get(f"training-runs/{run['id']}").json() == run
    assert api.get("training-runs?model=next-item").json()["results"] == [run]
    assert api.get("training-runs?model=other").json()["results"] == []

    cancelled = api.post(f"training-runs/{run['id']}/cancel", {})
    assert cancelled.json()["status"] == "cancelled"
    assert api.post(f"training-runs/{run['id']}/cancel", {}).status_code == 409


def test_a_second_run_of_a_line_is_a_conflict(filled: Tenant, api: ApiClient) -> None:
    assert api.post("training-runs", {"model": "next-item"}).status_code == 201
    second = api.post("training-runs", {"model": "next-item"})
    assert second.status_code == 409
    assert "being trained already" in second.json()["detail"]


def test_a_repeated_call_starts_one_run(filled: Tenant, api: ApiClient) -> None:
    answers = [api.post("training-runs", {"model": "next-item"}, **{"Idempotency-Key": "a"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["id"] == answers[1].json()["id"]


def test_too_little_data_is_refused(tenant: Tenant, api: ApiClient) -> None:
    refused = api.post("training-runs", {"model": "next-item"})
    assert refused.status_code == 422
    assert "200 events" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "model"),
        ({"model": "a b"}, "model"),
        ({"model": "next-item\0"}, "model"),
        ({"model": "next-item", "task": "fortune"}, "task"),
        ({"model": "next-item", "config": {"epochs": -1}}, "config"),
        ({"model": "next-item", "config": {"memory_budget_mb": 10**6}}, "config"),
        ({"model": "next-item", "config": []}, "config"),
        ({"model": "next-item", "modle": "x"}, "modle"),
    ],
)
def test_bad_requests_name_the_field(filled: Tenant, api: ApiClient, body: dict[str, Any], field: str) -> None:
    answer = api.post("training-runs", body)
    assert answer.status_code == 400
    assert field in {error["field"] for error in answer.json()["errors"]}
    assert api.get("training-runs").json()["results"] == []


def test_versions_are_listed_promoted_and_rolled_back(tenant: Tenant, api: ApiClient, publish: Publish) -> None:
    first = publish(tenant, 1, metrics={"score": 0.4, "baselines": {"popularity": 0.1}})
    second = publish(tenant, 2)
    listed = api.get("models?model=next-item").json()["results"]
    assert [(version["number"], version["live"]) for version in listed] == [(2, False), (1, False)]
    assert listed[1]["metrics"]["baselines"] == {"popularity": 0.1}

    api.post(f"models/{first.id}/promote", {})
    promoted = api.post(f"models/{second.id}/promote", {}).json()
    assert (promoted["live_version"]["number"], promoted["previous_version"]["number"]) == (2, 1)
    assert promoted["promoted_by"].startswith("API key ")

    back = api.post(f"models/{second.id}/rollback", {})
    assert back.json()["live_version"]["number"] == 1
    assert api.get(f"models/{first.id}").json()["live"] is True
    # The same call again does not undo it.
    assert api.post(f"models/{second.id}/rollback", {}).status_code == 409
    assert api.get(f"models/{first.id}").json()["live"] is True


def test_a_refused_version_is_not_promoted(tenant: Tenant, api: ApiClient, publish: Publish) -> None:
    version = publish(tenant, status=VersionStatus.REFUSED, reasons=["refused: ndcg@10 0.1 against 0.2"])
    refused = api.post(f"models/{version.id}/promote", {})
    assert refused.status_code == 422
    assert "ndcg@10 0.1 against 0.2" in refused.json()["detail"]
    assert api.get(f"models/{version.id}").json()["status"] == "refused"


def test_rollback_needs_a_version_to_go_back_to(tenant: Tenant, api: ApiClient, publish: Publish) -> None:
    version = publish(tenant)
    api.post(f"models/{version.id}/promote", {})
    assert api.post(f"models/{version.id}/rollback", {}).status_code == 409


def test_another_tenants_models_and_runs_are_not_there(
    filled: Tenant, api: ApiClient, other_api: ApiClient, publish: Publish
) -> None:
    version = publish(filled)
    run = api.post("training-runs", {"model": "next-item"}).json()
    for path in (f"models/{version.id}", f"training-runs/{run['id']}"):
        assert other_api.get(path).status_code == 404
    for path in ("models/{}/promote", "models/{}/rollback"):
        assert other_api.post(path.format(version.id), {}).status_code == 404
    assert other_api.post(f"training-runs/{run['id']}/cancel", {}).status_code == 404
    assert other_api.get("models").json()["results"] == []
    assert other_api.get("training-runs").json()["results"] == []
    assert api.get(f"training-runs/{run['id']}").json()["status"] == "queued"
    assert api.get(f"models/{version.id}").json()["live"] is False


def test_writing_needs_its_own_scope(tenant: Tenant, client_with_scopes: Any, publish: Publish) -> None:
    reader = client_with_scopes("models:read")
    version = publish(tenant)
    assert reader.get(f"models/{version.id}").status_code == 200
    assert reader.post(f"models/{version.id}/promote", {}).status_code == 403
    assert reader.post("training-runs", {"model": "next-item"}).status_code == 403
    assert reader.get(f"models/{version.id}").json()["live"] is False


@pytest.mark.parametrize("query", ["model=%00", "status=asleep", "limit=0", "cursor=nonsense"])
def test_bad_filters_are_named(tenant: Tenant, api: ApiClient, query: str) -> None:
    for path in ("models", "training-runs"):
        assert api.get(f"{path}?{query}").status_code == 400
