"""Chunks in memory are found as the database's indexes find them, for the same readers, and follow each change."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from apps.service.knowledge import encoding, remembered, services
from apps.service.knowledge.asking import Ask
from apps.service.knowledge.in_memory import InMemory, Reach
from apps.service.knowledge.lexemes import lexemes
from apps.service.knowledge.models import Chunk, UsualQuestion
from apps.service.knowledge.remembered import chunks_in_memory, forget_chunks
from apps.service.knowledge.searching import search_in_stages
from apps.service.knowledge.services import change_source, create_source, set_status
from apps.service.knowledge.term_index import ReadTerms, TermIndex
from serving import text_vectors
from serving.text_vectors import encoder_setting
from tenancy.models import Tenant
from tenancy.scope import current_tenant_id, tenant_scope
from tests.queries import CapturedQueries

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
    return found_by("dense", query, **options)


def by_words(query: str, **options: Any) -> list[tuple[str, float]]:
    return found_by("full_text", query, **options)


def found_by(stage: str, query: str, **options: Any) -> list[tuple[str, float]]:
    found = search_in_stages(query, stages=(stage,), count=50, **options).passages
    return [(passage.title, round(passage.stages[stage] or 0.0, 5)) for passage in found]


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


OPTIONS: list[dict[str, Any]] = [
    {},
    {"audience": "agents"},
    {"audience": "segment", "segments": ["gold"]},
    {"kinds": ["macro"]},
    {"kinds": ["article"], "language": "en"},
    {"language": "other"},
]
QUERIES = [
    "How do I return an item? I want my money back.",
    "returned RETURNING ninety-nine days: 30, 90, x2, café",
    "the of and",
    "item item item",
    "退货运费多少？ return",
    " ".join(f"word{number} parcel" for number in range(700)),
    "'; DROP TABLE service_chunk --",
]


@contextmanager
def in_database(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setattr(remembered, "MOST_CHUNKS", 0)
        forget_chunks()
        remembered._places[current_tenant_id()].known = None
        assert chunks_in_memory() is None
        yield
    remembered._places.clear()


def test_memory_and_index_find_the_same(library: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory = [by_meaning(QUERIES[0], **options) for options in OPTIONS]
    assert chunks_in_memory() is not None

    with in_database(monkeypatch):
        assert in_memory == [by_meaning(QUERIES[0], **options) for options in OPTIONS]
    assert len({str(found) for found in in_memory}) == 4


@pytest.mark.parametrize("is_usual_known", [False, True], ids=["nothing usual", "usual questions"])
def test_words_match_in_memory_as_in_the_database(
    library: Tenant, monkeypatch: pytest.MonkeyPatch, is_usual_known: bool
) -> None:
    make("退货", "您可以在三十天内退货，运费由买家承担。", language="zh")
    for number in range(12):
        make(f"Parcel {number}", f"Parcel {number} is an item of ours. It returns by itself, item by item.")
    encoding.count_terms()
    if is_usual_known:
        UsualQuestion.objects.create(
            questions=60,
            terms={"return": 55, "money": 10, "item": 60},
            encoder=encoder_setting(),
            newest=uuid7(),
        )
    asked = [(query, options) for query in QUERIES for options in OPTIONS]
    in_memory = [by_words(query, **options) for query, options in asked]
    assert chunks_in_memory() is not None

    with in_database(monkeypatch):
        assert in_memory == [by_words(query, **options) for query, options in asked]
    assert sum(map(len, in_memory)) > 100


def test_a_word_is_asked_for_once(scope: Tenant) -> None:
    words = ["returning", "the", "4711", f"w{uuid7().hex}"]
    first = lexemes(words)
    with CapturedQueries() as asked:
        assert lexemes(words) == first
    assert first == ["return", "4711", words[3]]
    assert len(asked) == 0


def test_a_change_that_is_taken_back_is_never_told(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        make("Returns", "You can return an item within thirty days.")
    with tenant_scope(tenant.id):
        make("Umbrellas", "Umbrellas keep the rain off.")
        assert [title for title, _ in by_words("umbrellas")] == ["Umbrellas"]
        transaction.set_rollback(True)
    with tenant_scope(tenant.id):
        assert by_words("umbrellas") == []
        assert [title for title, _ in by_words("return")] == ["Returns"]


def test_what_memory_holds_costs_no_query(library: Tenant) -> None:
    by_meaning("return")
    with CapturedQueries() as asked:
        chunks_in_memory()
    assert len(asked) == 0


def test_a_change_is_followed_and_what_stayed_is_not_read_again(library: Tenant) -> None:
    before = chunks_in_memory()
    assert before is not None
    returns = make("Umbrellas", "Umbrellas keep the rain off.")
    encode()
    with CapturedQueries() as asked:
        after = chunks_in_memory()
    assert after is not None
    assert len(after.chunk_ids) == len(before.chunk_ids) + 1
    assert asked[-1]["sql"].count("::uuid") == 2  # the new chunk and the array's type
    assert [title for title, _ in by_meaning("an umbrella")][:1] == ["Umbrellas"]

    change_source(source_id=returns.id, kind="article", actor="somebody", changes={"body": "Parasols give shade."})
    encode()
    changed = chunks_in_memory()
    assert changed is not None
    assert set(changed.chunk_ids) == set(Chunk.objects.filter(embedding__isnull=False).values_list("id", flat=True))

    set_status(source_id=returns.id, kind="article", status="retired", actor="somebody")
    assert "Umbrellas" not in dict(by_meaning("an umbrella"))


def test_another_process_is_followed_within_seconds(library: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "SECONDS", 0.3)
    for writer in (encoding, services):
        monkeypatch.setattr(writer, "forget_chunks", lambda: None)
    before = chunks_in_memory()
    make("Umbrellas", "Umbrellas keep the rain off.")
    encode()
    assert chunks_in_memory() is before
    time.sleep(0.3)
    after = chunks_in_memory()
    assert after is not None
    assert before is not None
    assert len(after.chunk_ids) == len(before.chunk_ids) + 1


def test_tenants_that_do_not_fit_go_by_the_index(
    tenant: Tenant, other_tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in (tenant, other_tenant):
        with tenant_scope(each.id):
            make("Returns", "You can return an item within thirty days.")
            encode()
    remembered._places.clear()
    monkeypatch.setattr(remembered, "MOST_BYTES", remembered.BYTES_OF_CHUNK)
    with tenant_scope(tenant.id):
        mine = chunks_in_memory()
        assert mine is not None
    with tenant_scope(other_tenant.id):
        assert chunks_in_memory() is None
        assert [title for title, _ in by_meaning("return an item")] == ["Returns"]

    # Once nobody asks for the first one's any more, the second one's take their place.
    monkeypatch.setattr(remembered, "IDLE_SECONDS", 0.0)
    monkeypatch.setattr(remembered, "REFUSED_SECONDS", 0.0)
    with tenant_scope(other_tenant.id):
        theirs = chunks_in_memory()
        assert theirs is not None
        assert not set(theirs.chunk_ids) & set(mine.chunk_ids)


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
    held = InMemory(ids, vectors, np.ones(count, dtype=bool), reach, reaches, valid, TermIndex.empty())
    asked = [random.normal(size=8).astype(np.float32) for _ in range(lookups)]

    rows = held.by_meaning(Ask("", ["public", "red"], None, ""), [(each, most) for each in asked])
    found = dict(zip(held.ids(list(rows)), rows.values(), strict=True))

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


words_of_chunk = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 9), max_size=6)


@given(before=st.lists(words_of_chunk, max_size=12), after=st.lists(words_of_chunk, max_size=12), data=st.data())
def test_an_index_that_changes_is_the_index_of_what_is_there(
    before: list[dict[str, int]], after: list[dict[str, int]], data: st.DataObject
) -> None:
    def read(chunks: list[dict[str, int]], rows: list[int]) -> list[ReadTerms]:
        return [ReadTerms(row, list(each), list(each.values())) for row, each in zip(rows, chunks, strict=True)]

    old = TermIndex.empty().changed(len(before), np.empty(0, dtype=np.int64), read(before, list(range(len(before)))))
    stays = data.draw(st.lists(st.booleans(), min_size=len(before), max_size=len(before)))
    kept = [row for row, each in enumerate(stays) if each]
    places = data.draw(st.permutations(range(len(kept) + len(after))))
    moved = np.full(len(before), -1)
    moved[kept] = places[: len(kept)]

    changed = old.changed(len(places), moved, read(after, list(places[len(kept) :])))

    whole = TermIndex.empty().changed(
        len(places), np.empty(0, dtype=np.int64), read([before[row] for row in kept] + after, list(places))
    )
    assert set(changed.names) == set(whole.names)
    for term in "abcdefghz":
        (rows, relevance), (expected, scores) = changed.matches([term], {}, 0), whole.matches([term], {}, 0)
        assert rows.tolist() == expected.tolist()
        assert relevance == pytest.approx(scores)
