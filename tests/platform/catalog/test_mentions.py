"""Which items a text speaks of."""

import pytest

from catalog.mentions import find_mentions
from catalog.services import upsert_items
from catalog.text_index import index_items
from tenancy.models import Tenant
from tests.queries import CapturedQueries

ITEMS = [
    {"id": "SKU-77", "title": "Acme Trail Running Shoe"},
    {"id": "SKU-78", "title": "Acme Trail Running Shoe Kids"},
    {"id": "2041", "title": "Lamp"},
    {"id": "lamp-zh", "title": "台灯护眼学习灯"},
    {"id": "gone-1", "title": "Secret Velvet Chair", "hidden": True},
]


@pytest.fixture
def catalogue(scope: Tenant) -> Tenant:
    upsert_items(ITEMS)
    index_items([item["id"] for item in ITEMS])
    return scope


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("is the ACME trail running shoe back?", [("ACME trail running shoe", "SKU-77")]),
        ("my trail running shoe, size 42", [("trail running shoe", "SKU-77")]),
        ("acme trail running shoe kids please", [("acme trail running shoe kids", "SKU-78")]),
        ("where is SKU-78?", [("SKU-78", "SKU-78")]),
        ("SKU-77.", [("SKU-77", "SKU-77")]),
        ("the lamp broke", [("lamp", "2041")]),
        ("order 2041 is late", []),
        ("我的台灯护眼学习灯坏了", [("台灯护眼学习灯", "lamp-zh")]),
        ("护眼学习灯怎么开", [("护眼学习灯", "lamp-zh")]),
        ("running late with one shoe", []),
        ("the secret velvet chair and gone-1", []),
        ("", []),
    ],
)
def test_an_item_is_known_by_its_title_or_id(catalogue: Tenant, text: str, found: list[tuple[str, str]]) -> None:
    (mentions,) = find_mentions([text])
    assert [(text[each.start : each.end], each.item_id) for each in mentions] == found


def test_an_item_is_found_late_in_a_long_text(catalogue: Tenant) -> None:
    text = "i would like to say something " * 15 + "about the lamp"
    assert [each.item_id for each in find_mentions([text])[0]] == ["2041"]


def test_many_texts_take_two_queries(catalogue: Tenant) -> None:
    with CapturedQueries() as captured:
        found = find_mentions(["the lamp", "SKU-77", "nothing here"] * 10)
    assert len(captured) == 2
    assert [len(each) for each in found] == [1, 1, 0] * 10


@pytest.mark.parametrize("text", ["'; DROP TABLE x; --", "a' | 'b", "\\", "%s %(x)s", "or or or", '"', "&|!:*()<->"])
def test_no_text_is_read_as_a_query(catalogue: Tenant, text: str) -> None:
    assert find_mentions([text]) == [[]]
