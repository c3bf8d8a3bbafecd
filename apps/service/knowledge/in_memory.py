"""A tenant's chunks in memory, by row: all of them are compared with a query, so none is missed."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from apps.service.engine import Vector
from apps.service.knowledge.asking import CANDIDATES, Ask, Ranking
from apps.service.knowledge.indexing import PUBLIC
from apps.service.knowledge.lexemes import lexemes
from apps.service.knowledge.term_index import TermIndex
from apps.service.knowledge.usual import usual_question

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
class InMemory:
    """Chunks by row, in order of their ids: `embeddings` (N, D) float32 of length 1, zeros where no encoder has read
    the chunk yet, `reach` (N,) numbers of `reaches`, and `valid` (N, 2), from when until when in seconds since 1970.
    Never changed."""

    chunk_ids: Sequence[UUID]
    embeddings: Vector
    is_read: NDArray[np.bool_]
    reach: NDArray[np.int32]
    reaches: Sequence[Reach]
    valid: NDArray[np.float64]
    terms: TermIndex

    @property
    def bytes(self) -> int:
        return self.embeddings.nbytes + self.terms.rows.nbytes + self.terms.shares.nbytes

    def by_words(self, ask: Ask) -> Ranking:
        words, pairs = ask.terms
        usual = usual_question()
        asked = dict.fromkeys([*lexemes(words), *pairs])
        rows, relevance = self.terms.matches(list(asked), usual.terms, usual.questions)
        allowed = self._may_be_found(ask)[rows]
        return _ranked(rows[allowed], relevance[allowed])

    def by_meaning(self, ask: Ask, lookups: Sequence[tuple[Vector, int]]) -> Ranking:
        hidden = ~(self._may_be_found(ask) & self.is_read)
        best = np.full(len(self.chunk_ids), NOT_ALLOWED)
        for near, (_, most) in zip(self._cosines([vector for vector, _ in lookups]), lookups, strict=True):
            near[hidden] = NOT_ALLOWED
            highest = _highest(near, most)
            best[highest] = np.maximum(best[highest], near[highest])
        found = np.flatnonzero(best > NOT_ALLOWED)
        return _ranked(found, best[found])

    def vectors(self, keys: Sequence[int]) -> Vector:
        return self.embeddings[keys]

    def ids(self, keys: Sequence[int]) -> list[UUID]:
        return [self.chunk_ids[row] for row in keys]

    def _cosines(self, lookups: Sequence[Vector]) -> Vector:
        """(lookups, N)."""
        asked = [vector / (np.linalg.norm(vector) or np.float32(1.0)) for vector in lookups]
        found = np.empty((len(asked), len(self.chunk_ids)), dtype=np.float32)
        for begin in range(0, len(self.chunk_ids), ROWS_AT_ONCE):
            rows = slice(begin, begin + ROWS_AT_ONCE)
            for number, vector in enumerate(asked):
                np.dot(self.embeddings[rows], vector, out=found[number, rows])
        return found

    def _may_be_found(self, ask: Ask) -> NDArray[np.bool_]:
        allowed = np.array([each.allows(ask.readers, ask.kinds, ask.language) for each in self.reaches], dtype=bool)
        now = time.time()
        found: NDArray[np.bool_] = allowed[self.reach] & (self.valid[:, 0] <= now) & (now < self.valid[:, 1])
        return found


def _ranked(rows: NDArray[np.intp], scores: NDArray[np.floating]) -> Ranking:
    """The best CANDIDATES, of equals the first row first; `rows` ascend."""
    order = np.argsort(-scores, kind="stable")[:CANDIDATES]
    return dict(zip(rows[order].tolist(), scores[order].tolist(), strict=True))


def _highest(scores: Vector, most: int) -> NDArray[np.intp]:
    """Places of the `most` highest scores, in no order."""
    return np.arange(len(scores)) if most >= len(scores) else np.argpartition(scores, -most)[-most:]
