"""Words and vectors of chunks that this process keeps in memory: of each tenant that searches, as they were a moment
ago.

A search through PostgreSQL's indexes reads thousands of their pages, takes apart the words of each match and then
fetches the vectors of what it has found. Those of 10,000 chunks are 25 MB; comparing all of them takes less than a
millisecond. Tenants with more than fit go on with the indexes.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from django.db import transaction
from numpy.typing import NDArray

from apps.service.knowledge.in_memory import InMemory, Reach
from apps.service.knowledge.term_index import ReadTerms, TermIndex
from catalog.models import VECTOR_DIMENSION
from catalog.vectors import from_sent
from serving.text_vectors import encoder_setting
from tenancy.scope import current_tenant_id
from tenancy.statements import prepared_cursor

# Of one tenant; from there on the index is as fast.
MOST_CHUNKS = 40_000
MOST_BYTES = 256 * 2**20
# Numbers of a vector and about as many bytes of words.
BYTES_OF_CHUNK = 4 * VECTOR_DIMENSION + 1_000
# A change is found at the latest after so long; its vector, after what encoding it takes besides.
SECONDS = 3.0
# Tenants whose chunks do not fit are looked at again after so long.
REFUSED_SECONDS = 60.0
# Chunks that nobody has asked for in so long make room for others.
IDLE_SECONDS = 600.0

# A source that changes has new chunks, and a chunk is encoded once: ids, and which have a vector, say all.
CHUNKS = f"""
    SELECT string_agg(uuid_send(id) || CASE WHEN is_read THEN '\\x01'::bytea ELSE '\\x00' END, '' ORDER BY id) FROM (
        SELECT id, encoder = %s AND embedding IS NOT NULL AS is_read FROM service_chunk WHERE tenant_id = %s
        LIMIT {MOST_CHUNKS + 1}) AS known"""
KNOWN_BYTES = 17
READ = """
    SELECT id, readers, kind, language, extract(epoch FROM valid_from)::float8, extract(epoch FROM valid_until)::float8,
        CASE WHEN encoder = %s THEN vector_send(embedding) END, word.terms, word.times
    FROM service_chunk CROSS JOIN LATERAL (
        SELECT array_agg(lexeme) AS terms, array_agg((
            SELECT sum(CASE place WHEN 'A' THEN 3 WHEN 'B' THEN 2 ELSE 1 END)::float8 FROM unnest(weights) AS place
        )) AS times FROM unnest(document)
    ) AS word
    WHERE tenant_id = %s AND id = ANY(%s::uuid[])"""


@dataclass
class _Place:
    """`known` is what CHUNKS said of `chunks` when they were read; `is_refused` where the tenant's do not fit. In
    seconds of the monotonic clock."""

    chunks: InMemory | None = None
    known: bytes | None = None
    is_refused: bool = False
    read_at: float = float("-inf")
    asked_at: float = float("-inf")

    @property
    def bytes(self) -> int:
        return 0 if self.chunks is None else self.chunks.bytes


_places: dict[int, _Place] = {}
_lock = threading.Lock()


def chunks_in_memory() -> InMemory | None:
    """Of the tenant in scope, as they were at most SECONDS ago; None where they do not fit, or another thread is
    reading them for the first time."""
    now = time.monotonic()
    with _lock:
        place = _places.setdefault(current_tenant_id(), _Place())
        place.asked_at = now
        if now - place.read_at < (REFUSED_SECONDS if place.is_refused else SECONDS):
            return place.chunks
        # Others go on with what is here meanwhile.
        place.read_at = now
    try:
        _read(place)
    except BaseException:
        place.read_at = float("-inf")
        raise
    return place.chunks


def forget_chunks() -> None:
    """What this process writes is read at once, in its transaction and after it; other processes read it within
    SECONDS."""
    tenant_id = current_tenant_id()
    _forget(tenant_id)
    transaction.on_commit(lambda: _forget(tenant_id), robust=True)


def _forget(tenant_id: int) -> None:
    if place := _places.get(tenant_id):
        place.read_at = float("-inf")


def _read(place: _Place) -> None:
    with prepared_cursor() as cursor:
        cursor.execute(CHUNKS, [encoder_setting(), current_tenant_id()])
        known = bytes(cursor.fetchone()[0] or b"")
    if known == place.known and place.chunks is not None:
        return
    count = len(known) // KNOWN_BYTES
    place.is_refused = count > MOST_CHUNKS or not _makes_room(count)
    if place.is_refused:
        place.chunks, place.known = None, None
        return
    place.chunks, place.known = _with(place.chunks or _none(), _ids_of(known)), known


def _ids_of(known: bytes) -> dict[UUID, bool]:
    """Whether each has a vector, in order of ids."""
    return {
        UUID(bytes=known[begin : begin + 16]): known[begin + 16] == 1 for begin in range(0, len(known), KNOWN_BYTES)
    }


def _makes_room(count: int) -> bool:
    """Whether so many chunks of the tenant in scope fit, when those of idle tenants have gone."""
    with _lock:
        others = {tenant: place for tenant, place in _places.items() if tenant != current_tenant_id()}
        for tenant, place in others.items():
            if time.monotonic() - place.asked_at > IDLE_SECONDS:
                del _places[tenant]
        held = sum(_places[tenant].bytes for tenant in others if tenant in _places)
    return held + count * BYTES_OF_CHUNK <= MOST_BYTES


def _none() -> InMemory:
    return InMemory(
        chunk_ids=[],
        embeddings=np.empty((0, VECTOR_DIMENSION), dtype=np.float32),
        is_read=np.empty(0, dtype=bool),
        reach=np.empty(0, dtype=np.int32),
        reaches=[],
        valid=np.empty((0, 2)),
        terms=TermIndex.empty(),
    )


def _with(before: InMemory, wanted: Mapping[UUID, bool]) -> InMemory:
    """Those that are wanted, in their order: what was known of them, and the others read."""
    known = {id: row for row, id in enumerate(before.chunk_ids) if wanted.get(id) == before.is_read[row]}
    read = {row[0]: row[1:] for row in _rows_of([id for id in wanted if id not in known])}
    # What was deleted since is in neither.
    ids = [id for id in wanted if id in known or id in read]
    rows = {id: row for row, id in enumerate(ids)}
    kept, old = _places_of(known, rows)
    moved = np.full(len(before.chunk_ids), -1, dtype=np.int64)
    moved[old] = kept
    embeddings = np.zeros((len(ids), VECTOR_DIMENSION), dtype=np.float32)
    embeddings[kept] = before.embeddings[old]
    reach = np.empty(len(ids), dtype=np.int32)
    reach[kept] = before.reach[old]
    valid = np.empty((len(ids), 2))
    valid[kept] = before.valid[old]
    numbers = {reach: number for number, reach in enumerate(before.reaches)}
    terms = []
    for id, (readers, kind, language, since, until, vector, names, times) in read.items():
        row = rows[id]
        reach[row] = numbers.setdefault(Reach(tuple(readers), kind, language), len(numbers))
        valid[row] = (-np.inf if since is None else since, np.inf if until is None else until)
        if vector is not None:
            embeddings[row] = from_sent(vector)
        terms.append(ReadTerms(row, names or [], times or []))
    return InMemory(
        chunk_ids=ids,
        embeddings=embeddings,
        is_read=np.asarray(embeddings.any(axis=1), dtype=np.bool_),
        reach=reach,
        reaches=list(numbers),
        valid=valid,
        terms=before.terms.changed(len(ids), moved, terms),
    )


def _places_of(known: Mapping[UUID, int], rows: Mapping[UUID, int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The rows that known chunks take, and those they had."""
    kept = [rows[id] for id in known]
    return np.array(kept, dtype=np.intp), np.array(list(known.values()), dtype=np.intp)


def _rows_of(ids: Sequence[UUID]) -> list[tuple[Any, ...]]:
    if not ids:
        return []
    with prepared_cursor() as cursor:
        cursor.execute(READ, [encoder_setting(), current_tenant_id(), list(ids)])
        return cursor.fetchall()
