"""What the catalogue takes, keeps and gives."""

import threading
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ValidationError

from catalog.filters import parse_filter
from catalog.models import Item
from catalog.selectors import describe_items, find_items, look_up_items, newest_items, search_items
from catalog.serializers import present_item, read_item
from catalog.services import delete_item, patch_item, upsert_items
from tenancy.models import Tenant
from tenancy.scope import tenant_scope

SHOE = {
    "id": "sku-1",
    "title": "Trail shoe",
    "categories": ["shoes", "running"],
    "brand": "Acme",
    "price": 89.9,
    "currency": "EUR",
    "attributes": {"color": ["red", "blue"], "size": 42, "vegan": True},
}

pytestmark = pytest.mark.usefixtures("scope")


def test_an_item_comes_back_as_it_went_in() -> None:
    upsert_items([SHOE])

    found = present_item(find_items(["sku-1"])["sku-1"])

    assert {name: found[name] for name in SHOE} == SHOE
    assert (found["available"], found["hidden"], found["image_url"]) == (True, False, "")


def test_a_second_put_replaces_the_item_whole_and_keeps_its_place() -> None:
    upsert_items([SHOE])
    first = Item.objects.get()

    upsert_items([{"id": "sku-1", "price": 12}])

    second = Item.objects.get()
    assert (second.id, second.created_at) == (first.id, first.created_at)
    assert (second.title, second.categories, second.price, second.attributes) == ("", [], Decimal(12), {})


def test_of_one_id_twice_in_a_batch_the_last_counts() -> None:
    assert upsert_items([{"id": "hat", "title": "old"}, {"id": " hat ", "title": "new"}]) == 1

    assert Item.objects.get().title == "new"


def test_a_thousand_items_are_one_statement(django_assert_num_queries: Callable[..., Any]) -> None:
    with django_assert_num_queries(1):
        upsert_items([SHOE | {"id": f"sku-{number}"} for number in range(1000)])

    assert Item.objects.count() == 1000


def test_a_patch_changes_what_it_names() -> None:
    upsert_items([SHOE])

    patched = patch_item(item_id="sku-1", changes={"price": None, "attributes": {"size": None, "width": "wide"}})

    assert patched.price is None
    assert patched.title == "Trail shoe"
    assert patched.attributes == {"color": ["red", "blue"], "vegan": True, "width": "wide"}
    assert find_items(["sku-1"])["sku-1"].attributes == patched.attributes


def test_a_patch_that_makes_an_item_invalid_changes_nothing() -> None:
    upsert_items([SHOE])

    with pytest.raises(ValidationError, match="price"):
        patch_item(item_id="sku-1", changes={"title": "new", "price": -1})

    assert Item.objects.get().title == "Trail shoe"


def test_deleting_says_whether_there_was_something() -> None:
    upsert_items([SHOE])

    assert delete_item(item_id="sku-1")
    assert not delete_item(item_id="sku-1")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("id", None, "may not be null"),
        ("id", "", "1 to 200 characters"),
        ("id", "x" * 201, "1 to 200 characters"),
        ("title", "nul \0 byte", "Null characters"),
        ("title", "half \ud800", "Surrogate"),
        ("price", "cheap", "valid number"),
        ("price", -1, "greater than or equal to 0"),
        ("price", 1e13, "14 digits in total"),
        ("price", float("nan"), "valid number"),
        ("currency", "euro", "ISO 4217"),
        ("categories", "shoes", "list"),
        ("categories", [["shoes"]], "valid string"),
        ("available", "perhaps", "boolean"),
        ("image_url", "javascript:alert(1)", "valid URL"),
        ("attributes", ["red"], "must be an object, not a list"),
        ("attributes", {"color": {"hex": "#f00"}}, "holds an object"),
        ("attributes", {"color": [["red"]]}, "holds a list"),
        ("attributes", {"size": float("inf")}, "NaN or Infinity"),
        ("attributes", {"col\0or": 1}, "NUL"),
        ("attributes", {"text": "x" * 20_000}, "at most 16 KB"),
        ("attributes", {str(number): number for number in range(201)}, "at most 200"),
        ("colour", "red", "is not a field of an item; known are id, title"),
    ],
)
def test_a_bad_field_is_named_with_what_it_should_be(field: str, value: Any, message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        read_item({"id": "sku-1", field: value})

    assert list(refused.value.detail) == [field]
    assert message in str(refused.value.detail)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda each: st.lists(each) | st.dictionaries(st.text(), each),
    )
)
def test_no_json_value_is_an_accident(value: Any) -> None:
    for item in (value, {"id": "x", "attributes": value}, {"id": value, "title": value, "price": value}):
        with suppress(ValidationError):
            read_item(item)


def test_looked_up_items_keep_their_order_and_drop_what_cannot_be_shown() -> None:
    upsert_items(
        [
            {"id": "a", "price": 5},
            {"id": "b", "hidden": True},
            {"id": "c", "available": False},
            {"id": "d", "price": 50},
            {"id": "e", "price": 7},
        ]
    )
    cheap = parse_filter({"range": {"field": "price", "lt": 10}})

    assert list(look_up_items(["e", "d", "c", "b", "a"])) == ["e", "d", "a"]
    assert list(look_up_items(["e", "d", "c", "b", "a"], condition=cheap)) == ["e", "a"]


def test_unknown_items_are_eligible_while_nothing_is_known_or_where_it_is_allowed() -> None:
    assert list(look_up_items(["x", "y"])) == ["x", "y"]
    assert list(look_up_items(["x", "y"], require_known=True)) == []

    upsert_items([{"id": "a"}])

    assert list(look_up_items(["x", "a"])) == ["a"]
    assert list(look_up_items(["x"])) == []
    assert list(look_up_items(["x", "a"], require_known=False)) == ["x", "a"]
    everything = parse_filter({"not": {"eq": {"field": "brand", "value": "Acme"}}})
    assert list(look_up_items(["x", "a"], condition=everything, require_known=False)) == ["a"]


def test_eligibility_of_a_thousand_candidates_is_one_query(django_assert_num_queries: Callable[..., Any]) -> None:
    upsert_items([{"id": f"sku-{number}"} for number in range(1000)])

    with django_assert_num_queries(1):
        assert len(look_up_items([f"sku-{number}" for number in range(1000)])) == 1000


def test_newest_items_come_first() -> None:
    for item_id, hidden in (("first", False), ("hidden", True), ("second", False)):
        upsert_items([{"id": item_id, "hidden": hidden}])
        with connection.cursor() as cursor:
            cursor.execute("UPDATE catalog_item SET created_at = clock_timestamp() WHERE item_id = %s", [item_id])

    assert newest_items(5) == ["second", "first"]
    assert newest_items(1) == ["second"]


def test_search_wants_every_word_anywhere_in_title_brand_or_id() -> None:
    upsert_items([SHOE, SHOE | {"id": "100%-wool", "title": "Sock"}])

    assert [item.item_id for item in search_items("acme TRAIL")] == ["sku-1"]
    assert [item.item_id for item in search_items("acme sku-2")] == []
    assert [item.item_id for item in search_items("0%-")] == ["100%-wool"]
    assert search_items("").count() == 2


def test_two_batches_with_the_same_items_in_other_orders_both_succeed(tenant: Tenant) -> None:
    numbers = list(range(200))
    failures: list[BaseException] = []

    def put(order: list[int]) -> None:
        try:
            for _ in range(5):
                with tenant_scope(tenant.id):
                    upsert_items([{"id": f"sku-{number}"} for number in order])
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=put, args=[order]) for order in (numbers, numbers[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []


def test_items_are_described_in_words_page_by_page(scope: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.selectors.PAGE", 2)
    upsert_items(
        [
            {"id": "a", "title": "Tent", "description": "x" * 5000, "brand": "North", "categories": ["camp", "tents"]},
            {"id": "b", "attributes": {"color": ["red", ""], "size": 3, "waterproof": True, "note": None}},
            {"id": "c", "available": False},
        ]
    )
    a, b, c = describe_items()
    assert (a.item_id, a.attributes) == ("a", {"brand": ["North"], "category": ["camp", "tents"]})
    assert a.text.startswith("Tent\nxxx")
    assert len(a.text) < 1100
    assert (b.attributes, b.text) == ({"attributes.color": ["red"], "attributes.waterproof": ["True"]}, "")
    assert (a.visible, c.visible) == (True, False)
