"""The text index follows the catalogue, and shows nothing of another tenant, however it is asked."""

from typing import Any

import numpy as np
import psycopg
import pytest
from django.conf import settings
from django.db import DatabaseError, connection, transaction

from catalog import services
from catalog.filters import parse_filter
from catalog.models import VECTOR_DIMENSION, ItemText, ItemVector
from catalog.services import delete_item, patch_item, upsert_items
from catalog.text_index import index_changed_items
from catalog.text_query import read_text_query
from catalog.text_search import search_items_by_text
from catalog.vector_index import forget_other_encoders, store_vectors, waiting_texts
from catalog.vectors import as_text
from tenancy.models import Role, Tenant
from tenancy.scope import set_local, tenant_scope
from tests.database import connected_as
from tests.platform.console.furnishing import make_operator

ASKED = {
    "words": ("SELECT count(*) FROM catalog_match_words('tent', 100)", []),
    "meaning": (
        "SELECT count(*) FROM catalog_match_meaning(%s::vector, 100)",
        [as_text(np.eye(VECTOR_DIMENSION)[0])],
    ),
    "similar": ("SELECT count(*) FROM catalog_similar_words('{tentt}', 100)", []),
}


def find(query: str, **options: Any) -> list[str]:
    found = search_items_by_text(read_text_query(query).all_terms, **options)
    return [match.item_id for match in found.matches]


def store_axis(number: int) -> None:
    """Give what waits for a vector the one along an axis."""
    texts = waiting_texts(100)
    store_vectors(texts, [np.eye(VECTOR_DIMENSION)[number]] * len(texts), encoder="e")


@pytest.mark.usefixtures("scope")
def test_an_item_is_found_by_what_it_says_as_soon_as_it_is_written() -> None:
    upsert_items(
        [
            {"id": "a", "title": "Hiking boots", "brand": "Café Alpin", "categories": ["shoes"]},
            {"id": "b", "title": "Tent", "description": "for those who hike", "attributes": {"color": ["dark red"]}},
        ]
    )

    # Stems, accents and case do not matter; a title counts for more than a description.
    assert find("HIKE") == ["a", "b"]
    assert find("cafe") == ["a"]
    assert find("red tent") == ["b"]
    assert find("shoe") == ["a"]
    assert find("b") == ["b"]
    assert find("boot tent") == []


@pytest.mark.usefixtures("scope")
def test_the_index_follows_every_change() -> None:
    upsert_items([{"id": "a", "title": "Tent"}, {"id": "b", "title": "Tent"}, {"id": "c", "title": "Tent"}])

    patch_item(item_id="a", changes={"title": "Stove"})
    patch_item(item_id="b", changes={"hidden": True})
    assert find("tent") == ["c"]
    assert find("stove") == ["a"]
    patch_item(item_id="c", changes={"available": False})
    assert find("tent") == []
    delete_item(item_id="a")
    assert find("stove") == []
    assert ItemText.objects.count() == 2


@pytest.mark.usefixtures("scope")
def test_many_items_wait_for_the_task_which_reads_each_change_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "INDEXED_AT_ONCE", 1)
    monkeypatch.setattr("catalog.text_index.PAGE", 2)
    upsert_items([{"id": f"tent-{number}", "title": "Tent"} for number in range(5)])
    assert find("tent") == []

    assert [index_changed_items() for _ in range(3)] == [True, True, False]
    assert len(find("tent")) == 5

    # A price says nothing of the text, whose vector stays.
    store_axis(0)
    patch_item(item_id="tent-1", changes={"price": 7})
    assert index_changed_items() is False
    assert waiting_texts(10) == []
    patch_item(item_id="tent-1", changes={"title": "Large tent"})
    assert [text.text for text in waiting_texts(10)] == ["Large tent"]


@pytest.mark.usefixtures("scope")
def test_chinese_is_found_by_its_characters() -> None:
    upsert_items(
        [{"id": "a", "title": "男士防水跑鞋"}, {"id": "b", "title": "登山帐篷 4人"}, {"id": "c", "title": "跑步机"}]
    )

    assert find("跑鞋") == ["a"]
    assert find("防水 跑鞋") == ["a"]
    assert find("鞋") == ["a"]
    assert set(find("跑")) == {"a", "c"}
    assert find("帐篷 4人") == ["b"]
    assert find("鞋跑") == []


@pytest.mark.usefixtures("scope")
@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("tnet", "tent"),
        ("tents", None),
        # A description has it, so that it is a word of this catalogue.
        ("backpak", None),
        ("watrproof", "waterproof"),
        ("waetrprof", "waterproof"),
        ("xyzzy", None),
        ("ten", None),
    ],
)
def test_a_mistyped_word_is_corrected_to_one_that_items_have(typed: str, meant: str | None) -> None:
    upsert_items(
        [{"id": "a", "title": "Waterproof tent", "description": "no backpak"}, {"id": "b", "brand": "Backpack"}]
    )

    assert read_text_query(typed).corrected_text == meant


@pytest.mark.usefixtures("scope")
def test_facets_count_all_matches_and_the_list_is_full_under_a_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.text_search.MOST_MATCHES", 20)
    monkeypatch.setattr(services, "INDEXED_AT_ONCE", 1000)
    upsert_items(
        [
            {"id": f"{number:03d}", "title": "Tent", "price": number, "brand": "Acme" if number % 2 else "Bivy"}
            for number in range(200)
        ]
    )

    found = search_items_by_text("tent", facets=True)
    assert (found.total, found.is_capped) == (20, True)

    # The words match more than are read, so the filter goes first.
    dear = parse_filter({"range": {"field": "price", "gte": 185}})
    found = search_items_by_text("tent", condition=dear, limit=30, facets=True)
    assert sorted(match.item_id for match in found.matches) == [f"{number:03d}" for number in range(185, 200)]
    assert found.facets is not None
    assert found.facets.brands == [("Acme", 8), ("Bivy", 7)]
    assert found.facets.prices == [((100.0, 200.0), 15)]


@pytest.mark.usefixtures("scope")
def test_neighbours_in_meaning_join_those_by_words() -> None:
    upsert_items([{"id": "a", "title": "Tent"}, {"id": "b", "title": "Bivouac"}, {"id": "c", "title": "Kettle"}])
    for number, title in enumerate(["Tent", "Bivouac", "Kettle"]):
        texts = [text for text in waiting_texts(10) if text.text == title]
        store_vectors(texts, [np.eye(VECTOR_DIMENSION)[number // 2]], encoder="e")

    near = np.eye(VECTOR_DIMENSION)[0].tolist()
    assert find("tent", vector=near) == ["a", "b"]
    assert find("kettle", vector=near) == ["a", "b", "c"]
    assert find("kettle", vector=near, meaning_weight=0.5) == ["c", "a", "b"]
    assert find("", vector=near) == ["a", "b"]

    forget_other_encoders("e")
    assert ItemVector.objects.count() == 3
    forget_other_encoders("another")
    assert ItemVector.objects.count() == 0
    assert len(waiting_texts(10)) == 3


@pytest.fixture
def theirs(tenant: Tenant, other_tenant: Tenant) -> Tenant:
    """Another tenant has an item with words and a vector; ours has none."""
    with tenant_scope(other_tenant.id):
        upsert_items([{"id": "a", "title": "Tent"}])
        store_axis(0)
    return other_tenant


@pytest.mark.parametrize("what", list(ASKED))
def test_the_functions_answer_for_the_tenant_in_scope_alone(tenant: Tenant, theirs: Tenant, what: str) -> None:
    statement, values = ASKED[what]
    with tenant_scope(theirs.id), connection.cursor() as cursor:
        cursor.execute(statement, values)
        assert cursor.fetchone() == (1,)
    with tenant_scope(tenant.id), connection.cursor() as cursor:
        cursor.execute(statement, values)
        assert cursor.fetchone() == (0,)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, values)
        assert cursor.fetchone() == (0,)


@pytest.mark.parametrize("what", list(ASKED))
def test_an_operator_asks_the_functions_for_own_tenants_alone(tenant: Tenant, theirs: Tenant, what: str) -> None:
    statement, values = ASKED[what]
    outsider, member = make_operator(tenant, Role.ADMIN), make_operator(theirs, Role.VIEWER)
    with connected_as("console"):
        for user, expected in ((outsider, 0), (member, 1)):
            with transaction.atomic(), connection.cursor() as cursor:
                set_local("app.operator", str(user.pk))
                set_local("app.tenant", str(theirs.id))
                cursor.execute(statement, values)
                assert cursor.fetchone() == (expected,)


@pytest.mark.parametrize("what", list(ASKED))
def test_a_table_of_the_caller_is_not_read_in_place_of_ours(tenant: Tenant, theirs: Tenant, what: str) -> None:
    """Whoever can make a temporary view must not have the functions' owner run what is in it."""
    statement, values = ASKED[what]
    table = {"words": "catalog_itemtext", "meaning": "catalog_itemvector", "similar": "catalog_itemword"}[what]
    with tenant_scope(theirs.id), connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMP VIEW {table} AS SELECT * FROM public.{table} WHERE false")
        cursor.execute(statement, values)
        assert cursor.fetchone() == (1,)
        cursor.execute(f"DROP VIEW pg_temp.{table}")


def test_nobody_else_may_call_the_functions() -> None:
    with psycopg.connect(settings.DATABASE_URLS["owner"]) as server:
        granted = server.execute(
            "SELECT proname, grantee::regrole::text FROM pg_proc, aclexplode(proacl) "
            "WHERE proname LIKE 'catalog\\_%' AND grantee <> proowner"
        ).fetchall()

    roles = {settings.DATABASE_ROLES["app"], settings.DATABASE_ROLES["console"]}
    names = {"catalog_match_words", "catalog_match_meaning", "catalog_similar_words"}
    assert set(granted) == {(name, role) for name in names for role in roles}


def test_the_index_itself_stays_behind_the_policies(tenant: Tenant, theirs: Tenant) -> None:
    with tenant_scope(tenant.id):
        assert ItemText.objects.count() == ItemVector.objects.count() == 0
    with pytest.raises(DatabaseError), tenant_scope(tenant.id), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO catalog_itemword (tenant_id, word, stem, is_name) VALUES (%s, 'a', 'a', true)", [theirs.id]
        )
