"""Vectors of chunks that this process keeps in memory: of each tenant that searches, as they were a moment ago.

A search through PostgreSQL's index reads thousands of its pages and then fetches the vectors of what it has found. The
vectors of 10,000 chunks are 15 MB; comparing all of them takes a millisecond. Tenants with more than fit go on with
the index.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np

from apps.service.knowledge.nearest import ChunkVectors, Reach
from catalog.models import VECTOR_DIMENSION
from catalog.vectors import from_sent
from serving.text_vectors import encoder_setting
from tenancy.scope import current_tenant_id
from tenancy.statements import prepared_cursor

# Of one tenant; from there on the index is as fast.
MOST_CHUNKS = 40_000
MOST_BYTES = 256 * 2**20
# A change is found at the latest after so long, beside what encoding it takes.
SECONDS = 3.0
# Tenants whose vectors do not fit are looked at again after so long.
REFUSED_SECONDS = 60.0
# Vectors that nobody has asked for in so long make room for others.
IDLE_SECONDS = 600.0

# A source that changes has new chunks, and a chunk is encoded once: the ids of those with a vector say all.
CHUNKS = f"""
    SELECT string_agg(uuid_send(id), '' ORDER BY id) FROM (
        SELECT id FROM service_chunk WHERE tenant_id = %s AND encoder = %s AND embedding IS NOT NULL
        LIMIT {MOST_CHUNKS + 1}) AS known"""
READ = """
    SELECT id, readers, kind, language, extract(epoch FROM valid_from)::float8, extract(epoch FROM valid_until)::float8,
        vector_send(embedding)
    FROM service_chunk
    WHERE tenant_id = %s AND encoder = %s AND embedding IS NOT NULL AND id = ANY(%s::uuid[])"""


@dataclass
class _Place:
    """`known` are the ids of `vectors` as they were read; `is_refused` where the tenant's do not fit. In seconds of the
    monotonic clock."""

    vectors: ChunkVectors | None = None
    known: bytes | None = None
    is_refused: bool = False
    read_at: float = float("-inf")
    asked_at: float = float("-inf")


_places: dict[int, _Place] = {}
_lock = threading.Lock()


def chunk_vectors() -> ChunkVectors | None:
    """Of the tenant in scope, as they were at most SECONDS ago; None where they do not fit, or another thread is
    reading them for the first time."""
    now = time.monotonic()
    with _lock:
        place = _places.setdefault(current_tenant_id(), _Place())
        place.asked_at = now
        if now - place.read_at < (REFUSED_SECONDS if place.is_refused else SECONDS):
            return place.vectors
        # Others go on with what is here meanwhile.
        place.read_at = now
    try:
        _read(place)
    except BaseException:
        place.read_at = float("-inf")
        raise
    return place.vectors


def forget_chunk_vectors() -> None:
    """What this process has just written is read at once; other processes read it within SECONDS."""
    if place := _places.get(current_tenant_id()):
        place.read_at = float("-inf")


def _read(place: _Place) -> None:
    with prepared_cursor() as cursor:
        cursor.execute(CHUNKS, [current_tenant_id(), encoder_setting()])
        known = bytes(cursor.fetchone()[0] or b"")
    if known == place.known and place.vectors is not None:
        return
    count = len(known) // 16
    place.is_refused = count > MOST_CHUNKS or not _makes_room(count)
    if place.is_refused:
        place.vectors, place.known = None, None
        return
    ids = [UUID(bytes=known[begin : begin + 16]) for begin in range(0, len(known), 16)]
    place.vectors, place.known = _with(place.vectors or _none(), ids), known


def _makes_room(count: int) -> bool:
    """Whether the vectors of so many chunks of the tenant in scope fit, when those of idle tenants have gone."""
    with _lock:
        others = {tenant: place for tenant, place in _places.items() if tenant != current_tenant_id()}
        for tenant, place in others.items():
            if time.monotonic() - place.asked_at > IDLE_SECONDS:
                del _places[tenant]
        held = sum(place.vectors.vectors.nbytes for place in _places.values() if place.vectors is not None)
    mine = _places[current_tenant_id()].vectors
    return held - (mine.vectors.nbytes if mine else 0) + count * 4 * VECTOR_DIMENSION <= MOST_BYTES


def _none() -> ChunkVectors:
    return ChunkVectors(
        ids=[],
        vectors=np.empty((0, VECTOR_DIMENSION), dtype=np.float32),
        reach=np.empty(0, dtype=np.int32),
        reaches=[],
        valid=np.empty((0, 2)),
    )


def _with(before: ChunkVectors, ids: Sequence[UUID]) -> ChunkVectors:
    """Those of `ids`: what was known of them, and the others read."""
    rows = _rows_of([id for id in ids if id not in before.rows])
    wanted = set(ids)
    kept = np.array([row for row, id in enumerate(before.ids) if id in wanted], dtype=np.intp)
    numbers = {reach: number for number, reach in enumerate(before.reaches)}
    reach = [numbers.setdefault(Reach(tuple(row[1]), row[2], row[3]), len(numbers)) for row in rows]
    valid = [(-np.inf if row[4] is None else row[4], np.inf if row[5] is None else row[5]) for row in rows]
    vectors = [from_sent(row[6]) for row in rows]
    return ChunkVectors(
        ids=[*(before.ids[row] for row in kept), *(row[0] for row in rows)],
        vectors=np.concatenate([before.vectors[kept], *([np.stack(vectors)] if vectors else [])]),
        reach=np.concatenate([before.reach[kept], np.array(reach, dtype=np.int32)]),
        reaches=list(numbers),
        valid=np.concatenate([before.valid[kept], np.array(valid).reshape(-1, 2)]),
    )


def _rows_of(ids: Sequence[UUID]) -> list[tuple[Any, ...]]:
    if not ids:
        return []
    with prepared_cursor() as cursor:
        cursor.execute(READ, [current_tenant_id(), encoder_setting(), list(ids)])
        return cursor.fetchall()
