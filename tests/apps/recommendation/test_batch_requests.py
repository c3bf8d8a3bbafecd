"""Batches: what is refused, and to whom."""

from collections.abc import Callable
from typing import Any

import pytest

from apps.recommendation.models import Batch
from serving.models import ModelVersion
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.recommendation.batch_work import ADDRESS, look, run_all, start
from tests.conftest import ApiClient


def test_another_tenant_sees_nothing_of_it(
    shop: Tenant, walkers: ModelVersion, api: ApiClient, other_api: ApiClient
) -> None:
    batch = start(api, count=1)
    run_all(shop, batch)
    assert other_api.get(ADDRESS).json()["results"] == []
    assert other_api.get(f"{ADDRESS}/{batch['id']}").status_code == 404
    assert other_api.get(f"{ADDRESS}/{batch['id']}/file").status_code == 404
    assert other_api.delete(f"{ADDRESS}/{batch['id']}").status_code == 404
    assert look(api, batch)["file"]["bytes"] > 0


def test_raw_ids_need_a_scope_of_their_own(
    tenant: Tenant, client_with_scopes: Callable[..., ApiClient], api: ApiClient
) -> None:
    batch = start(api)
    reader = client_with_scopes("recommendations:read")
    for answer in (
        reader.post(ADDRESS, {}),
        reader.get(f"{ADDRESS}/{batch['id']}/file"),
        client_with_scopes("batches:read").delete(f"{ADDRESS}/{batch['id']}"),
    ):
        assert answer.status_code == 403
    assert look(api, batch)["status"] == "queued"


@pytest.mark.parametrize(
    ("change", "pointer", "says"),
    [
        ({"count": 0}, "/count", "1"),
        ({"count": 101}, "/count", "100"),
        ({"format": "xlsx"}, "/format", "xlsx"),
        ({"subjects": "some"}, "/subjects", '"all"'),
        ({"subjects": None}, "/subjects", "null"),
        ({"subjects": []}, "/subjects", "at least 1"),
        ({"subjects": [{"user_id": "u1"}, {}]}, "/subjects/1", "user_id or anonymous_id"),
        ({"subjects": ["u1"]}, "/subjects/0", "object"),
        ({"filter": {"equals": {}}}, "/filter", "'equals' is no operator"),
        ({"params": {"temperature": -1}}, "/params/temperature", "0.01 to 10"),
        ({"subject": {"user_id": "u1"}}, "/subject", "not a field"),
    ],
)
def test_a_bad_field_is_named_with_the_cure(
    api: ApiClient, tenant: Tenant, change: dict[str, Any], pointer: str, says: str
) -> None:
    answer = api.post(ADDRESS, change)

    assert answer.status_code == 400, answer.content
    [error] = answer.json()["errors"]
    assert error["pointer"] == f"#{pointer}"
    assert says in error["message"]
    with tenant_scope(tenant.id):
        assert not Batch.objects.exists()


def test_an_unknown_scenario_is_refused(api: ApiClient, tenant: Tenant) -> None:
    answer = api.post(ADDRESS, {"scenario": "newsletter"})
    assert answer.status_code == 404
    assert "known are: also-bought, buy-again, cart, category, email, home" in answer.json()["detail"]
