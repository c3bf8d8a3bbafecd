"""Saved filters: their parameters, where they may stand, and that nothing breaks what uses them."""

from typing import Any

import pytest

from apps.recommendation.services import create_default_scenarios
from catalog.filter_services import put_filter
from catalog.filters import FilterError
from catalog.models import Item
from catalog.saved_filters import Definition, check_definition, read_filter, resolve_filter
from catalog.services import upsert_items
from decisions.models import Scenario
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.conftest import ApiClient

CHEAP = {"range": {"field": "price", "lte": {"param": "max"}}}
CHEAP_SHOES = {"and": [{"eq": {"field": "categories", "value": "shoes"}}, CHEAP]}
MAX = {"max": {"type": "number", "default": 80}}
KNOWN = {
    "cheap": Definition(CHEAP, {"max": {"type": "number"}}),
    "cheap-shoes": Definition(CHEAP_SHOES, MAX),
    "cheaper": Definition({"saved": "cheap", "params": {"max": {"param": "limit"}}}, {"limit": {"type": "number"}}),
    "brands": Definition(
        {"in": {"field": "brand", "values": {"param": "brands"}}}, {"brands": {"type": "texts", "default": ["Acme"]}}
    ),
    "one": Definition({"saved": "other"}, {}),
    "other": Definition({"not": {"saved": "one"}}, {}),
}


def resolved(expression: Any) -> Any:
    return resolve_filter(expression, find=KNOWN.get)


def test_parameters_stand_in_their_places_and_defaults_fill_in() -> None:
    assert resolved({"saved": "cheap", "params": {"max": 5}}) == {"range": {"field": "price", "lte": 5}}
    assert resolved({"saved": "cheap-shoes"})["and"][1] == {"range": {"field": "price", "lte": 80}}
    assert resolved({"saved": "brands"}) == {"in": {"field": "brand", "values": ["Acme"]}}


def test_a_saved_filter_may_stand_inside_others_and_pass_parameters_on() -> None:
    cheap = {"range": {"field": "price", "lte": 9}}
    assert resolved({"saved": "cheaper", "params": {"limit": 9}}) == cheap
    assert resolved({"or": [{"not": {"saved": "cheap", "params": {"max": 9}}}, cheap]}) == {
        "or": [{"not": cheap}, cheap]
    }


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ({"saved": "gone"}, "saved: there is no saved filter 'gone'"),
        ({"and": [{"saved": "gone"}]}, "and[0].saved: there is no saved filter 'gone'"),
        ({"saved": 5}, "saved: must be the key of a saved filter, not a number"),
        ({"saved": "cheap"}, "params: 'cheap' needs 'max', a number"),
        ({"saved": "cheap", "params": {"max": "5"}}, "params.max: must be a number, not text"),
        ({"saved": "cheap", "params": {"max": {"param": "max"}}}, "params.max: must be a number, not an object"),
        ({"saved": "cheap", "params": {"max": 5, "min": 1}}, "params.min: is not a parameter of 'cheap'; it has max"),
        ({"saved": "cheap", "params": [5]}, "params: must be an object of parameters by name, not a list"),
        ({"saved": "brands", "params": {"brands": []}}, "params.brands: must be a list of 1 to 1000 values"),
        ({"saved": "cheap", "max": 5}, "max: is not known beside 'saved'; known is params"),
        ({"saved": "one"}, "refers to itself: one > other > one"),
        ({"or": [{"saved": "brands"}] * 21}, "or[20].saved: draws in more than 20 saved filters"),
    ],
)
def test_what_is_wrong_with_a_use_is_said_with_its_place(expression: Any, message: str) -> None:
    with pytest.raises(FilterError) as refused:
        resolved(expression)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("expression", "parameters", "message"),
    [
        (CHEAP, {}, "parameters: 'max' is used in the filter but not declared"),
        (CHEAP, MAX | {"min": {"type": "number"}}, "parameters.min: is declared but not used"),
        (CHEAP, {"max": {"type": "text"}}, "expression.range.lte: must be a number, not text"),
        (CHEAP, {"max": {"type": "decimal"}}, "parameters.max: must be an object such as"),
        (CHEAP, {"max": {"type": "number", "default": "80"}}, "parameters.max.default: must be a number"),
        (CHEAP, {"max": {"type": "number", "standard": 80}}, "parameters.max.standard: is not known here"),
        ({"eq": {"field": {"param": "max"}, "value": 1}}, {"max": {"type": "text"}}, "expression.eq.field: 'text'"),
        ({"not": {"saved": "new"}}, {}, "refers to itself: new > new"),
        ({"saved": "cheap"}, {}, "'cheap' needs 'max'"),
        ([], {}, "expression: must be an object"),
        (CHEAP, ["max"], "parameters: must be an object of at most 20 parameters by name"),
    ],
)
def test_a_filter_that_could_not_be_used_is_not_saved(expression: Any, parameters: Any, message: str) -> None:
    with pytest.raises(FilterError) as refused:
        check_definition("new", Definition(expression, parameters), find=KNOWN.get)
    assert message in str(refused.value)


def test_a_filter_is_saved_read_used_and_removed(api: ApiClient, tenant: Tenant) -> None:
    saved = api.put("filters/cheap-shoes", {"expression": CHEAP_SHOES, "parameters": MAX, "description": "Shoes"})
    assert saved.status_code == 200, saved.content
    assert api.get("filters/cheap-shoes").json() == saved.json()
    assert [each["key"] for each in api.get("filters").json()["results"]] == ["cheap-shoes"]
    with tenant_scope(tenant.id):
        upsert_items(
            [{"id": f"shoe-{price}", "categories": ["shoes"], "price": price} for price in (50, 90)]
            + [{"id": "hat", "price": 5}]
        )
        found = Item.objects.filter(read_filter({"saved": "cheap-shoes"}))
        assert [item.item_id for item in found] == ["shoe-50"]
    listed = api.get('items?filter={"saved":"cheap-shoes","params":{"max":100}}').json()["results"]
    assert [item["id"] for item in listed] == ["shoe-50", "shoe-90"]

    assert api.delete("filters/cheap-shoes").status_code == 204
    assert api.get("filters/cheap-shoes").status_code == 404
    assert api.delete("filters/cheap-shoes").status_code == 404


def test_a_request_that_names_a_filter_wrongly_is_told_where(api: ApiClient, tenant: Tenant) -> None:
    api.put("filters/cheap", {"expression": CHEAP, "parameters": MAX})
    request = {"scenario": "home", "subject": {"user_id": "u1"}, "filter": {"saved": "cheap", "params": {"max": "x"}}}
    refused = api.post("recommendations", request)
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["field"] == "filter.params.max"


def test_a_filter_in_use_is_neither_removed_nor_broken(api: ApiClient, tenant: Tenant) -> None:
    api.put("filters/cheap", {"expression": CHEAP, "parameters": MAX})
    api.put("filters/cheaper", {"expression": {"saved": "cheap", "params": {"max": 9}}})
    with tenant_scope(tenant.id):
        create_default_scenarios()
        Scenario.objects.filter(key="home").update(settings={"filter": {"saved": "cheaper"}})
    rule = {"name": "Cheap first", "kind": "boost", "target": {"saved": "cheap"}, "values": {"factor": 2}}
    assert api.post("rules", rule).status_code == 201

    refused = api.delete("filters/cheap")
    assert refused.status_code == 409
    for place in ("saved filter 'cheaper'", "rule 'cheap-first'", "scenario 'home'"):
        assert place in refused.json()["detail"]

    renamed = {"range": {"field": "price", "lte": {"param": "most"}}}
    refused = api.put(
        "filters/cheap", {"expression": renamed, "parameters": {"most": {"type": "number", "default": 1}}}
    )
    assert refused.status_code == 409
    assert "saved filter 'cheaper' uses 'cheap' and could no longer do so" in refused.json()["detail"]
    assert api.get("filters/cheap").json()["expression"] == CHEAP
    assert api.put("filters/cheap", {"expression": CHEAP, "parameters": {"max": MAX["max"] | {"default": 70}}}).json()


def test_filters_belong_to_one_tenant_and_need_their_scopes(
    api: ApiClient, other_api: ApiClient, client_with_scopes: Any
) -> None:
    api.put("filters/cheap", {"expression": CHEAP, "parameters": MAX})
    assert other_api.get("filters/cheap").status_code == 404
    assert other_api.delete("filters/cheap").status_code == 404
    assert other_api.get('items?filter={"saved":"cheap"}').status_code == 400
    reader = client_with_scopes("filters:read")
    assert reader.get("filters/cheap").status_code == 200
    assert reader.delete("filters/cheap").status_code == 403
    assert reader.put("filters/cheap", {"expression": CHEAP_SHOES, "parameters": MAX}).status_code == 403
    assert reader.get("filters/cheap").json()["expression"] == CHEAP


def test_a_used_filter_is_read_once_a_second(scope: Tenant, django_assert_num_queries: Any) -> None:
    put_filter(key="cheap", expression=CHEAP, parameters=MAX, actor="test")
    with django_assert_num_queries(1):
        for _ in range(5):
            read_filter({"and": [{"saved": "cheap"}, {"saved": "cheap", "params": {"max": 3}}]})
