"""The chunks nearest to a query among a tenant's vectors in memory: all of them are compared, so none is missed."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from apps.service.engine import Vector
from apps.service.knowledge.indexing import PUBLIC

# Rows that are compared with all lookups before the next ones, so that they come from memory once: 0.8 MB of 384
# numbers each stay in a processor's cache.
ROWS_AT_ONCE = 512
# Lower than any cosine.
NOT_ALLOWED = np.float32(-2.0)


@dataclass(frozen=True)
class Reach:
    """Who may find a chunk, and as what; few are different in a tenant."""

    readers: tuple[str, ...] = (PUBLIC,)
    kind: str = ""
    language: str = ""

    def allows(self, readers: Collection[str] | None, kinds: Collection[str] | None, language: str) -> bool:
        """As the index's functions narrow: None and '' stand for all."""
        return (
            (readers is None or not set(readers).isdisjoint(self.readers))
            and (kinds is None or self.kind in kinds)
            and language in ("", self.language)
        )


@dataclass(frozen=True)
class ChunkVectors:
    """Chunks by row: `vectors` (N, D) float32 of length 1, `reach` (N,) numbers of `reaches`, and `valid` (N, 2), from
    when until when in seconds since 1970. Never changed."""

    ids: Sequence[UUID]
    vectors: Vector
    reach: NDArray[np.int32]
    reaches: Sequence[Reach]
    valid: NDArray[np.float64]

    @cached_property
    def rows(self) -> Mapping[UUID, int]:
        return {id: row for row, id in enumerate(self.ids)}

    def nearest(
        self,
        lookups: Sequence[tuple[Vector, int]],
        *,
        readers: Collection[str] | None,
        kinds: Collection[str] | None,
        language: str,
    ) -> dict[UUID, float]:
        """The cosine of each chunk that is among the nearest of a lookup, (vector, how many), the nearest first; where
        several have found it, the highest."""
        hidden = ~self._may_be_found(readers, kinds, language)
        best = np.full(len(self.ids), NOT_ALLOWED)
        for near, (_, most) in zip(self._cosines([vector for vector, _ in lookups]), lookups, strict=True):
            near[hidden] = NOT_ALLOWED
            highest = _highest(near, most)
            best[highest] = np.maximum(best[highest], near[highest])
        found = np.flatnonzero(best > NOT_ALLOWED)
        cosines = [(self.ids[row], float(best[row])) for row in found.tolist()]
        return dict(sorted(cosines, key=lambda each: (-each[1], each[0])))

    def _cosines(self, lookups: Sequence[Vector]) -> Vector:
        """(lookups, N)."""
        asked = [vector / (np.linalg.norm(vector) or np.float32(1.0)) for vector in lookups]
        found = np.empty((len(asked), len(self.ids)), dtype=np.float32)
        for begin in range(0, len(self.ids), ROWS_AT_ONCE):
            rows = slice(begin, begin + ROWS_AT_ONCE)
            for number, vector in enumerate(asked):
                np.dot(self.vectors[rows], vector, out=found[number, rows])
        return found

    def of(self, ids: Collection[UUID]) -> dict[UUID, Vector]:
        """Vectors of those that have one here."""
        return {id: self.vectors[row] for id in ids if (row := self.rows.get(id)) is not None}

    def _may_be_found(
        self, readers: Collection[str] | None, kinds: Collection[str] | None, language: str
    ) -> NDArray[np.bool_]:
        allowed = np.array([reach.allows(readers, kinds, language) for reach in self.reaches], dtype=bool)
        now = time.time()
        found: NDArray[np.bool_] = allowed[self.reach] & (self.valid[:, 0] <= now) & (now < self.valid[:, 1])
        return found


def _highest(scores: Vector, most: int) -> NDArray[np.intp]:
    """Places of the `most` highest scores, in no order."""
    return np.arange(len(scores)) if most >= len(scores) else np.argpartition(scores, -most)[-most:]
