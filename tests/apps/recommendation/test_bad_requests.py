"""Bad requests are refused with the field and the cure, and record nothing."""

from collections.abc import Callable
from typing import Any

import pytest

from catalog.services import upsert_items
from decisions.models import Decision
from serving.models import ModelVersion
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.recommendation.conftest import catalogue, ids
from tests.conftest import ApiClient

GOOD = {"scenario": "home", "subject": {"user_id": "u1"}}


@pytest.mark.parametrize(
    ("change", "pointer", "says"),
    [
        ({"subject": None}, "/subject", "null"),
        ({"subject": {}}, "/subject", "user_id or anonymous_id"),
        ({"subject": "u1"}, "/subject", "object"),
        ({"subject": {"user_id": "null"}}, "/subject/user_id", "stands for no one"),
        ({"subject": {"email": "a@b.example"}}, "/subject/email", "user_id"),
        ({"count": 0}, "/count", "1"),
        ({"count": 10_000}, "/count", "100"),
        ({"count": "many"}, "/count", "integer"),
        ({"exclude": "item-1"}, "/exclude", "list"),
        ({"exclude": [{"id": 1}]}, "/exclude/0", "string"),
        ({"items": ["a\0b"]}, "/items/0", "NUL"),
        ({"filter": {"equals": {}}}, "/filter", "'equals' is no operator"),
        ({"filter": {"and": [{"eq": {"field": "colour", "value": 1}}]}}, "/filter/and/0/eq/field", "not a field"),
        ({"filter": {"range": {"field": "price", "gte": "cheap"}}}, "/filter/range/gte", "number"),
        ({"params": {"temperature": -1}}, "/params/temperature", "0.01 to 10"),
        ({"params": {"temperature": 1e-300}}, "/params/temperature", "0.01 to 10"),
        ({"params": {"event_weights": {"view": 10**400}}}, "/params/event_weights", "number from 0 to 1000"),
        ({"params": []}, "/params", "object"),
        ({"params": {"exclude_bought_days": 1.5}}, "/params/exclude_bought_days", "whole number"),
        ({"params": {"variety": 1}}, "/params/variety", "known are"),
        ({"params": {"diversity": 2}}, "/params/diversity", "from 0 to 1"),
        ({"params": {"category_window": {"size": 2, "limit": 2}}}, "/params/category_window", "less than its size"),
        ({"cursor": "elsewhere"}, "/cursor", "start again without one"),
        ({"cursor": "AZrA3noxfwqdVS9sDU-bEQ"}, "/cursor", "start again without one"),
        ({"scenario": "category"}, "/context", "category of the page"),
        ({"scenario": "category", "context": {"category": 5}}, "/context", "category of the page"),
        ({"params": {"event_weights": {"view": "much"}}}, "/params/event_weights", "number"),
        ({"params": {"filter": {"and": []}}}, "/params/filter", "at least one"),
        ({"context": {"page": "a\0b"}}, "/context", "NUL"),
        ({"scenarios": "home"}, "/scenarios", "not a field"),
        ({"scenario": "a b"}, "/scenario", "slug"),
        ({"scenario": ["home"]}, "/scenario", "slug"),
        ({"explain": "perhaps"}, "/explain", "boolean"),
    ],
)
def test_a_bad_field_is_named_with_the_cure(
    api: ApiClient, tenant: Tenant, change: dict[str, Any], pointer: str, says: str
) -> None:
    answer = api.post("recommendations", GOOD | change)

    assert answer.status_code == 400, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    [error] = answer.json()["errors"]
    assert error["pointer"] == f"#{pointer}"
    assert says in error["message"]
    with tenant_scope(tenant.id):
        assert not Decision.objects.exists()


def test_no_subject_at_all(api: ApiClient) -> None:
    answer = api.post("recommendations", {"scenario": "home"})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "#/subject"


def test_an_unknown_scenario_lists_the_known_ones(api: ApiClient) -> None:
    answer = api.post("recommendations", GOOD | {"scenario": "hoem"})

    assert answer.status_code == 404
    assert "'hoem'; known are: also-bought, buy-again, cart, category, email, home," in answer.json()["detail"]


def test_malformed_json(api: ApiClient) -> None:
    assert api.post("recommendations", '{"scenario": ').status_code == 400


def test_a_body_that_is_no_object(api: ApiClient) -> None:
    assert api.post("recommendations", [GOOD]).status_code == 400


def test_a_key_without_the_scope_is_refused(client_with_scopes: Callable[..., ApiClient]) -> None:
    answer = client_with_scopes("events:write").post("recommendations", GOOD)
    assert answer.status_code == 403
    assert "recommendations:read" in answer.json()["detail"]


def test_another_tenants_items_and_subjects_give_nothing_of_theirs(
    live_model: ModelVersion, other_tenant: Tenant, other_api: ApiClient, recommend: Callable[..., dict[str, Any]]
) -> None:
    with tenant_scope(other_tenant.id):
        upsert_items(catalogue(prefix="theirs"))
    event = {"message_id": "m1", "type": "view", "item_id": "theirs-01", "subject": {"user_id": "shared-name"}}
    other_api.post("events", event)

    similar = recommend("product", items=["theirs-01"], count=12)
    home = recommend("home", user_id="shared-name", count=12)

    assert not any(item.startswith("theirs") for item in ids(similar) + ids(home))
    assert all(reason["code"] == "newest" for item in home["items"] for reason in item["reasons"])
