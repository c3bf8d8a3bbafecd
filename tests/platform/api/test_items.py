"""The catalogue over HTTP."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from tests.conftest import ApiClient

SHOE = {
    "title": "Trail shoe",
    "description": "Light.",
    "categories": ["shoes"],
    "brand": "Acme",
    "price": 89.9,
    "currency": "EUR",
    "available": True,
    "hidden": False,
    "image_url": "https://shop.example/shoe.jpg",
    "attributes": {"color": ["red", "blue"], "size": 42},
}


def test_an_item_is_put_read_changed_and_deleted(api: ApiClient) -> None:
    put = api.put("items/shoe", SHOE)
    assert put.status_code == 200
    assert {**put.json(), "updated_at": ""} == {"id": "shoe", **SHOE, "updated_at": ""}
    assert api.get("items/shoe").json() == put.json()

    patched = api.patch("items/shoe", {"available": False, "attributes": {"size": None}})
    assert patched.json()["available"] is False
    assert patched.json()["attributes"] == {"color": ["red", "blue"]}
    assert patched.json()["updated_at"] > put.json()["updated_at"]

    assert api.delete("items/shoe").status_code == 204
    assert api.get("items/shoe").status_code == 404


def test_what_was_read_can_be_written_back(api: ApiClient) -> None:
    api.put("items/shoe", SHOE)

    assert api.put("items/shoe", api.get("items/shoe").json()).status_code == 200


@pytest.mark.parametrize("item_id", ["a/b", "/a", "ü 日本", "100%", "a?b#c", "..", "x" * 200, "batch/1", "1"])
def test_any_text_can_be_an_id(api: ApiClient, item_id: str) -> None:
    address = f"items/{quote(item_id, safe='')}"

    assert api.put(address, {"id": item_id}).json()["id"] == item_id
    assert api.get(address).json()["id"] == item_id
    assert [item["id"] for item in api.get("items").json()["results"]] == [item_id]


def test_white_space_around_an_id_is_no_part_of_it(api: ApiClient) -> None:
    assert api.put("items/shoe%20", {"id": "shoe ", "title": "Shoe"}).json()["id"] == "shoe"
    assert api.patch("items/%20shoe", {"title": "Trail shoe"}).json()["title"] == "Trail shoe"
    assert api.get("items/shoe%20").json() == api.get("items/shoe").json()
    assert api.delete("items/%20shoe%20").status_code == 204


@pytest.mark.parametrize("item_id", ["x" * 201, "%20", "%00", "a%00b"])
@pytest.mark.parametrize(("method", "statuses"), [("PUT", {400}), ("GET", {400, 404}), ("PATCH", {400, 404})])
def test_what_cannot_be_an_id_is_refused(api: ApiClient, item_id: str, method: str, statuses: set[int]) -> None:
    assert api.request(method, f"items/{item_id}", {}).status_code in statuses
    assert api.get("items").json()["results"] == []


def test_the_body_may_not_name_another_item(api: ApiClient) -> None:
    answer = api.put("items/shoe", {"id": "hat"})

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "#/id"


def test_another_tenants_item_does_not_exist(api: ApiClient, other_api: ApiClient) -> None:
    api.put("items/shoe", SHOE)

    assert other_api.get("items/shoe").status_code == 404
    assert other_api.patch("items/shoe", {"title": "taken"}).status_code == 404
    assert other_api.delete("items/shoe").status_code == 404
    assert other_api.get("items").json()["results"] == []
    assert other_api.put("items/shoe", {"title": "theirs"}).status_code == 200
    assert api.get("items/shoe").json()["title"] == "Trail shoe"


def test_each_item_of_a_batch_has_its_own_answer(api: ApiClient) -> None:
    answer = api.post("items/batch", {"items": [SHOE | {"id": "good"}, {"id": 7, "price": "cheap"}, {"x": 1}, None]})

    assert answer.status_code == 200
    assert answer.json()["counts"] == {"ok": 1, "rejected": 3}
    good, dear, unknown, nothing = answer.json()["results"]
    assert good == {"id": "good", "result": "ok"}
    assert (dear["id"], dear["errors"][0]["field"]) == ("7", "price")
    assert unknown["errors"][0] == {
        "field": "x",
        "code": "unknown_field",
        "message": "is not a field of an item; known are id, title, description, categories, brand, price, currency, "
        "available, hidden, image_url, attributes",
        "pointer": "#/x",
    }
    assert nothing["errors"][0]["message"] == "must be an object, not null"
    assert [item["id"] for item in api.get("items").json()["results"]] == ["good"]


@pytest.mark.parametrize(
    ("body", "status"),
    [([], 400), ({}, 400), ({"items": {}}, 400), ({"items": [], "more": 1}, 400), ({"items": [{}] * 1001}, 413)],
)
def test_a_batch_that_is_none_is_refused_whole(api: ApiClient, body: Any, status: int) -> None:
    assert api.post("items/batch", body).status_code == status
    assert api.get("items").json()["results"] == []


def put_five(api: ApiClient) -> None:
    items = [
        {"id": f"i{number}", "title": f"Shoe {number}", "price": number, "categories": ["even", "odd"][number % 2 :]}
        for number in range(5)
    ]
    items[3]["available"] = False
    assert api.post("items/batch", {"items": items}).json()["counts"]["ok"] == 5


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [item["id"] for item in answer.json()["results"]]


def test_a_list_can_be_narrowed(api: ApiClient) -> None:
    put_five(api)
    dear = quote(json.dumps({"range": {"field": "price", "gte": 3}}))

    assert ids(api.get("items?category=even")) == ["i0", "i2", "i4"]
    assert ids(api.get("items?available=false")) == ["i3"]
    assert ids(api.get("items?available=true&category=odd")) == ["i0", "i1", "i2", "i4"]
    assert ids(api.get("items?search=shoe+4")) == ["i4"]
    assert ids(api.get(f"items?filter={dear}")) == ["i3", "i4"]


def test_a_bad_filter_is_told_where_and_why(api: ApiClient) -> None:
    bad = quote(json.dumps({"and": [{"exists": {"field": "price"}}, {"range": {"field": "price", "gte": "3"}}]}))

    answer = api.get(f"items?filter={bad}")

    assert answer.status_code == 400
    assert answer.json()["detail"] == "filter.and[1].range.gte: must be a number, not text"
    assert answer.json()["errors"][0]["pointer"] == "#/filter/and/1/range/gte"
    assert api.get("items?filter=%7B").json()["detail"] == "filter: is not JSON"


def test_pages_follow_each_other_forwards_and_back(api: ApiClient) -> None:
    put_five(api)

    first = api.get("items?limit=2").json()
    second = api.get(f"items?limit=2&cursor={first['next_cursor']}").json()
    third = api.get(f"items?limit=2&cursor={second['next_cursor']}").json()
    back = api.get(f"items?limit=2&cursor={second['previous_cursor']}").json()

    pages = [[item["id"] for item in page["results"]] for page in (first, second, third, back)]
    assert pages == [["i0", "i1"], ["i2", "i3"], ["i4"], ["i0", "i1"]]
    assert first["previous_cursor"] is None
    assert third["next_cursor"] is None


def test_a_page_stays_in_place_while_items_come_and_go(api: ApiClient) -> None:
    put_five(api)
    cursor = api.get("items?limit=2").json()["next_cursor"]
    api.delete("items/i0")
    api.put("items/a-new-first", {})

    assert ids(api.get(f"items?limit=2&cursor={cursor}")) == ["i2", "i3"]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "limit=000000001000000", "limit=x", "limit=-1", "cursor=x", "cursor=W10"]
)
def test_a_bad_page_is_refused_by_name(api: ApiClient, query: str) -> None:
    answer = api.get(f"items?{query}")

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == query.partition("=")[0]


@pytest.mark.parametrize(
    ("method", "path", "body", "own"),
    [
        ("GET", "items/i1", None, 1),
        ("GET", "items?limit=500", None, 1),
        # Three are the text index's.
        ("PUT", "items/i1", {"title": "new"}, 5),
        ("POST", "items/batch", {"items": [{"id": f"n{number}"} for number in range(1000)]}, 1),
    ],
)
def test_queries_do_not_grow_with_the_items(
    api: ApiClient, django_assert_num_queries: Callable[..., Any], method: str, path: str, body: Any, own: int
) -> None:
    put_five(api)
    # BEGIN, scope and key, and COMMIT stand around those of the view.
    with django_assert_num_queries(3 + own):
        api.request(method, path, body)
