"""Filter expressions: what they mean, beside a plain interpreter of the same language, and what they refuse."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.filters import FilterError, parse_filter
from catalog.models import Item
from catalog.services import upsert_items
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.conftest import make_tenant

ITEMS: list[dict[str, Any]] = [
    {"id": "plain"},
    {"id": "red", "brand": "Acme", "price": 10, "categories": ["a"], "attributes": {"color": "red", "size": 5}},
    {"id": "both", "brand": "Bolt", "price": 20.5, "categories": ["a", "b"], "attributes": {"color": ["red", "blue"]}},
    {"id": "sizes", "price": 0, "attributes": {"size": [3, 8], "vegan": True, 'odd "name"': "x"}},
    {"id": "text", "available": False, "attributes": {"size": "5", "vegan": "true", "none": None, "empty": []}},
]


@pytest.fixture(scope="module")
def shop() -> Tenant:
    shop = make_tenant()
    with tenant_scope(shop.id):
        upsert_items(ITEMS)
    return shop


def matching(shop: Tenant, expression: Any) -> list[str]:
    with tenant_scope(shop.id):
        return list(Item.objects.filter(parse_filter(expression)).order_by("item_id").values_list("item_id", flat=True))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"eq": {"field": "brand", "value": "Acme"}}, ["red"]),
        ({"eq": {"field": "price", "value": 20.5}}, ["both"]),
        ({"eq": {"field": "available", "value": False}}, ["text"]),
        ({"eq": {"field": "categories", "value": "a"}}, ["both", "red"]),
        ({"eq": {"field": "attributes.color", "value": "red"}}, ["both", "red"]),
        ({"eq": {"field": "attributes.size", "value": 5}}, ["red"]),
        ({"eq": {"field": "attributes.size", "value": "5"}}, ["text"]),
        ({"eq": {"field": "attributes.vegan", "value": True}}, ["sizes"]),
        ({"eq": {"field": 'attributes.odd "name"', "value": "x"}}, ["sizes"]),
        ({"in": {"field": "id", "values": ["red", "plain", "nothing"]}}, ["plain", "red"]),
        ({"in": {"field": "categories", "values": ["b", "c"]}}, ["both"]),
        ({"in": {"field": "attributes.size", "values": [8, "5"]}}, ["sizes", "text"]),
        ({"range": {"field": "price", "gte": 10, "lt": 20.5}}, ["red"]),
        ({"range": {"field": "attributes.size", "gt": 4}}, ["red", "sizes"]),
        # One element must lie between both bounds: 3 and 8 together do not.
        ({"range": {"field": "attributes.size", "gt": 4, "lt": 6}}, ["red"]),
        ({"range": {"field": "created_at", "gte": "2020-01-01"}}, ["both", "plain", "red", "sizes", "text"]),
        ({"exists": {"field": "price"}}, ["both", "red", "sizes"]),
        ({"exists": {"field": "brand"}}, ["both", "red"]),
        ({"exists": {"field": "categories"}}, ["both", "red"]),
        ({"exists": {"field": "attributes.size"}}, ["red", "sizes", "text"]),
        ({"exists": {"field": "attributes.none"}}, []),
        ({"not": {"range": {"field": "price", "gte": 10}}}, ["plain", "sizes", "text"]),
        ({"not": {"eq": {"field": "attributes.color", "value": "red"}}}, ["plain", "sizes", "text"]),
        ({"and": [{"exists": {"field": "price"}}, {"not": {"exists": {"field": "brand"}}}]}, ["sizes"]),
        (
            {"or": [{"eq": {"field": "id", "value": "plain"}}, {"eq": {"field": "brand", "value": "Bolt"}}]},
            ["both", "plain"],
        ),
    ],
)
def test_a_filter_finds(shop: Tenant, expression: Any, expected: list[str]) -> None:
    assert matching(shop, expression) == expected


FIELDS = st.sampled_from(
    ["id", "brand", "categories", "price", "available", "attributes.color", "attributes.size", "attributes.vegan"]
)
VALUES = st.sampled_from(["Acme", "red", "a", "b", "5", 5, 3, 8, 10, 20.5, True, False])


def conditions() -> st.SearchStrategy[Any]:
    equal = st.builds(lambda name, value: {"eq": {"field": name, "value": value}}, FIELDS, VALUES)
    among = st.builds(
        lambda name, values: {"in": {"field": name, "values": values}}, FIELDS, st.lists(VALUES, min_size=1, max_size=3)
    )
    between = st.builds(
        lambda name, low, high: {"range": {"field": name, "gte": low, "lt": high}},
        st.sampled_from(["price", "attributes.size", "attributes.color"]),
        st.integers(0, 12),
        st.integers(0, 25),
    )
    exists = st.builds(lambda name: {"exists": {"field": name}}, FIELDS)
    return st.recursive(
        equal | among | between | exists,
        lambda inner: (
            st.builds(lambda part: {"not": part}, inner)
            | st.builds(
                lambda name, parts: {name: parts},
                st.sampled_from(["and", "or"]),
                st.lists(inner, min_size=1, max_size=3),
            )
        ),
        max_leaves=6,
    )


def holds(item: dict[str, Any], expression: dict[str, Any]) -> bool:
    """The language once more, over plain dictionaries."""
    [(name, operand)] = expression.items()
    if name == "not":
        return not holds(item, operand)
    if name in ("and", "or"):
        return (all if name == "and" else any)(holds(item, part) for part in operand)
    values = values_of(item, operand["field"])
    if name == "exists":
        return bool(values)
    if name == "range":
        return any(type(value) in (int, float) and operand["gte"] <= value < operand["lt"] for value in values)
    wanted = operand["values"] if name == "in" else [operand["value"]]
    return any(same(value, want) for value in values for want in wanted)


def values_of(item: dict[str, Any], name: str) -> list[Any]:
    holder = item.get("attributes", {}) if name.startswith("attributes.") else {"available": True, **item}
    value = holder.get(name.removeprefix("attributes."))
    return [] if value is None else value if isinstance(value, list) else [value]


def same(value: Any, want: Any) -> bool:
    return value == want and isinstance(value, bool) == isinstance(want, bool)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(expression=conditions())
def test_the_database_agrees_with_a_plain_interpreter(shop: Tenant, expression: Any) -> None:
    try:
        found = matching(shop, expression)
    except FilterError:
        return  # a value of another type than its field has

    assert found == sorted(item["id"] for item in ITEMS if holds(item, expression))


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ([], 'must be an object such as {"eq": ...}, not a list'),
        ({}, "must have exactly one of and, or, not, eq, in, range, exists; join several with 'and'"),
        ({"equals": {}}, "'equals' is no operator; known are and, or, not, eq, in, range, exists"),
        ({"and": []}, "and: must be a list of at least one filter"),
        (
            {"and": [{"exists": {"field": "price"}}, {"range": {"field": "price", "gte": "10"}}]},
            "and[1].range.gte: must be a number, not text",
        ),
        ({"range": {"field": "price"}}, "range: needs at least one of gt, gte, lt, lte"),
        (
            {"range": {"field": "brand", "gt": 1}},
            "range.field: 'brand' has no order; use price, a time or a number among the attributes",
        ),
        (
            {"range": {"field": "price", "above": 1}},
            "range.above: is not known here; known are field, gt, gte, lt, lte",
        ),
        (
            {"range": {"field": "price", "gt": float("nan")}},
            "range.gt: must be a finite number; leave the field out when there is none",
        ),
        ({"range": {"field": "updated_at", "gt": "soon"}}, "range.gt: must be ISO 8601"),
        ({"eq": {"field": "colour", "value": 1}}, "eq.field: 'colour' is not a field; known are id, title, brand"),
        ({"eq": {"field": "attributes.", "value": 1}}, "eq.field: 'attributes.' is not a field"),
        ({"eq": {"value": 1}}, "eq: must be an object with a 'field'"),
        ({"eq": {"field": "brand"}}, "eq: needs 'value'"),
        ({"eq": {"field": "brand", "value": 1}}, "eq.value: must be text, not a number"),
        ({"eq": {"field": "brand", "value": "\0"}}, "eq.value: contains a NUL character; remove it"),
        ({"eq": {"field": "attributes.color", "value": None}}, "eq.value: must be text, a number, "),
        ({"eq": {"field": "available", "value": 1}}, "eq.value: must be true or false, not a number"),
        ({"in": {"field": "id", "values": []}}, "in.values: must be a list of 1 to 1000 values"),
        ({"in": {"field": "id", "values": ["a", 2]}}, "in.values[1]: must be text, not a number"),
        ({"or": [{"exists": {"field": "price"}}] * 101}, "or[99]: the filter has more than 100 conditions"),
    ],
)
def test_a_bad_filter_is_told_where_and_why(expression: Any, message: str) -> None:
    with pytest.raises(FilterError) as refused:
        parse_filter(expression)

    assert str(refused.value).startswith(message)


def test_depth_is_bounded() -> None:
    expression: Any = {"exists": {"field": "price"}}
    for _ in range(8):
        expression = {"not": expression}

    with pytest.raises(FilterError, match="nested more than 8 deep"):
        parse_filter({"not": expression})


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda each: (
            st.lists(each)
            | st.dictionaries(
                st.sampled_from(["and", "eq", "in", "field", "value", "range", "gte", "not"]) | st.text(), each
            )
        ),
    )
)
def test_no_json_value_is_an_accident(expression: Any) -> None:
    with pytest.raises(FilterError):
        parse_filter(expression)
