"""Vectors in memory find what the index finds, for the same readers, and follow each change."""

import time
from datetime import timedelta
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from apps.service.knowledge import encoding, remembered
from apps.service.knowledge.models import Chunk
from apps.service.knowledge.nearest import ChunkVectors, Reach
from apps.service.knowledge.remembered import chunk_vectors
from apps.service.knowledge.searching import search_in_stages
from apps.service.knowledge.services import change_source, create_source, set_status
from serving import text_vectors
from tenancy.models import Tenant
from tenancy.scope import tenant_scope

ARTICLES = {
    "Returns": "You can return an item within thirty days.",
    "Refunds": "We pay the money back within five days.",
    "Parcels": "Parcels are delivered on working days.",
    "Warranty": "Broken items are repaired for two years.",
}


def make(title: str, body: str, **fields: Any) -> Any:
    return create_source(kind="article", actor="somebody", publish=True, title=title, body=body, **fields)


def encode() -> None:
    """What waits, as the task does."""
    text_vectors.load_encoder()
    if chunks := encoding._waiting(1_000):
        encoding.store_vectors([id for id, _ in chunks], text_vectors.usable_encoder().encode([t for _, t in chunks]))


def by_meaning(query: str, **options: Any) -> list[tuple[str, float]]:
    found = search_in_stages(query, stages=("dense",), **options).passages
    return [(passage.title, round(passage.stages["dense"] or 0.0, 5)) for passage in found]


@pytest.fixture
def library(scope: Tenant) -> Tenant:
    now = timezone.now()
    for title, body in ARTICLES.items():
        make(title, body)
    make("Goodwill", "Agents may return the money for a late parcel.", audience="agents")
    make("Gold", "Gold customers return items within ninety days.", audience="segment", segments=["gold"])
    make("Sale", "Return items of the sale within a week.", valid_from=now + timedelta(days=1))
    make("Last year", "Return within ten days.", valid_until=now - timedelta(days=1))
    encode()
    return scope


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"audience": "agents"},
        {"audience": "segment", "segments": ["gold"]},
        {"kinds": ["macro"]},
        {"kinds": ["article"], "language": "en"},
        {"language": "other"},
    ],
    ids=str,
)
def test_memory_and_index_find_the_same(
    library: Tenant, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    query = "How do I return an item? I want my money back."
    in_memory = by_meaning(query, **options)
    assert chunk_vectors() is not None

    monkeypatch.setattr(remembered, "MOST_CHUNKS", 0)
    create_source(kind="article", actor="somebody", publish=True, title="New", body="A change.")
    encode()

    by_index = [each for each in by_meaning(query, **options) if each[0] != "New"]
    assert chunk_vectors() is None
    assert [each for each in in_memory if each[0] != "New"] == by_index


def test_what_memory_holds_costs_no_query(library: Tenant) -> None:
    by_meaning("return")
    with CaptureQueriesContext(connection) as asked:
        chunk_vectors()
    assert len(asked) == 0


def test_a_change_is_followed_and_what_stayed_is_not_read_again(library: Tenant) -> None:
    before = chunk_vectors()
    assert before is not None
    returns = make("Umbrellas", "Umbrellas keep the rain off.")
    encode()
    with CaptureQueriesContext(connection) as asked:
        after = chunk_vectors()
    assert after is not None
    assert len(after.ids) == len(before.ids) + 1
    assert asked[-1]["sql"].count("::uuid") == 2  # the new chunk and the array's type
    assert [title for title, _ in by_meaning("an umbrella")][:1] == ["Umbrellas"]

    change_source(source_id=returns.id, kind="article", actor="somebody", changes={"body": "Parasols give shade."})
    encode()
    changed = chunk_vectors()
    assert changed is not None
    assert set(changed.ids) == set(Chunk.objects.filter(embedding__isnull=False).values_list("id", flat=True))

    set_status(source_id=returns.id, kind="article", status="retired", actor="somebody")
    assert "Umbrellas" not in dict(by_meaning("an umbrella"))


def test_another_process_is_followed_within_seconds(library: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "SECONDS", 0.3)
    monkeypatch.setattr(encoding, "forget_chunk_vectors", lambda: None)
    before = chunk_vectors()
    make("Umbrellas", "Umbrellas keep the rain off.")
    encode()
    assert chunk_vectors() is before
    time.sleep(0.3)
    after = chunk_vectors()
    assert after is not None
    assert before is not None
    assert len(after.ids) == len(before.ids) + 1


def test_tenants_that_do_not_fit_go_by_the_index(
    tenant: Tenant, other_tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in (tenant, other_tenant):
        with tenant_scope(each.id):
            make("Returns", "You can return an item within thirty days.")
            encode()
    remembered._places.clear()
    monkeypatch.setattr(remembered, "MOST_BYTES", 384 * 4)
    with tenant_scope(tenant.id):
        mine = chunk_vectors()
        assert mine is not None
    with tenant_scope(other_tenant.id):
        assert chunk_vectors() is None
        assert [title for title, _ in by_meaning("return an item")] == ["Returns"]

    # Once nobody asks for the first one's any more, the second one's take their place.
    monkeypatch.setattr(remembered, "IDLE_SECONDS", 0.0)
    monkeypatch.setattr(remembered, "REFUSED_SECONDS", 0.0)
    with tenant_scope(other_tenant.id):
        theirs = chunk_vectors()
        assert theirs is not None
        assert not set(theirs.ids) & set(mine.ids)


unit = st.integers(0, 2**32 - 1)


@given(seed=unit, count=st.integers(0, 40), lookups=st.integers(1, 4), most=st.integers(1, 50))
def test_the_nearest_are_those_of_all_comparisons(seed: int, count: int, lookups: int, most: int) -> None:
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(count, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    reaches = [
        Reach(("public",), "article", "en"),
        Reach(("agents",), "macro", "en"),
        Reach(("gold", "red"), "reply", "zh"),
    ]
    reach = random.integers(0, 3, count).astype(np.int32)
    valid = np.stack([random.choice([-np.inf, 0.0, 1e12], count), random.choice([np.inf, 1.0, 1e12], count)], axis=1)
    ids = [UUID(int=int(number)) for number in random.permutation(count)]
    held = ChunkVectors(ids, vectors, reach, reaches, valid)
    asked = [random.normal(size=8).astype(np.float32) for _ in range(lookups)]

    found = held.nearest([(each, most) for each in asked], readers=["public", "red"], kinds=None, language="")

    expected: dict[UUID, float] = {}
    for each in asked:
        cosines = {
            ids[row]: float(vectors[row] @ each / np.linalg.norm(each))
            for row in range(count)
            if reach[row] != 1 and valid[row, 0] <= time.time() < valid[row, 1]
        }
        for id in sorted(cosines, key=lambda id: -cosines[id])[:most]:
            expected[id] = max(cosines[id], expected.get(id, -1.0))
    assert found == pytest.approx(expected, abs=1e-5)
    assert list(found.values()) == sorted(found.values(), reverse=True)
