"""A query as the stages of a search read it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol
from uuid import UUID

from apps.service.engine import Vector, chunk_text, question_sentences
from apps.service.knowledge.indexing import language_of, readable_languages
from apps.service.knowledge.models import SourceLanguage
from catalog.text_analysis import analyse, pairs
from serving.text_vectors import text_vectors

# Candidates of each list, and of the fused one, all of which are re-ranked.
CANDIDATES = 200
# Chunks with one of the rarest terms, so many at most, are ranked by all terms.
MOST_MATCHES = 300
# Terms that are read of a query, of words and of pairs each.
MOST_TERMS = 600
# Sentences of a message that are read at most, in pieces of what the encoder reads at once.
PIECE_WIDTH, MOST_SENTENCES = 300, 48

# What a library knows a chunk by; of two that are alike the lower one comes first.
Key = Any
Ranking = Mapping[Key, float]


class NotRun(Exception):
    """A stage has nothing to work with; the message says what is missing."""


@dataclass(frozen=True)
class Ask:
    """`readers` and `kinds` None and `language` '' stand for all."""

    query: str
    readers: Sequence[str] | None
    kinds: Sequence[str] | None
    language: str

    @property
    def vectors(self) -> list[Vector]:
        """Of the query's sentences. Raises NotRun without any."""
        return [vector for _, vector in self.read]

    @cached_property
    def read(self) -> list[tuple[str, Vector]]:
        """The query's sentences with their vectors, read once for all stages. Raises NotRun without any."""
        if language_of(self.query, self.language or SourceLanguage.ENGLISH) not in readable_languages():
            raise NotRun("no text encoder for this language is configured")
        pieces = [
            piece.text
            for sentence in question_sentences(self.query)
            for piece in chunk_text(sentence, width=PIECE_WIDTH)
        ]
        pieces = pieces[:MOST_SENTENCES]
        vectors = zip(pieces, text_vectors(pieces), strict=True)
        found = [(piece, vector) for piece, vector in vectors if vector is not None]
        if not found:
            raise NotRun("the text encoder gave no vector in time")
        return found

    @cached_property
    def terms(self) -> tuple[list[str], list[str]]:
        """Words, and pairs of characters of what is written without spaces; each once, so many at most."""
        return terms_of(self.query)


class Library(Protocol):
    """The chunks of the tenant in scope, wherever they are looked up."""

    def by_words(self, ask: Ask) -> Ranking:
        """The chunks that match the query's words best, the best first."""
        ...

    def by_meaning(self, ask: Ask, lookups: Sequence[tuple[Vector, int]]) -> Ranking:
        """The cosine of each chunk that is among the nearest of a lookup, (vector, how many), the nearest first."""
        ...

    def vectors(self, keys: Sequence[Key]) -> Vector:
        """(keys, D), zeros for those that no encoder has read yet."""
        ...

    def ids(self, keys: Sequence[Key]) -> list[UUID]: ...


def terms_of(text: str) -> tuple[list[str], list[str]]:
    analysed = analyse(text)
    words = list(dict.fromkeys(analysed.words))[:MOST_TERMS]
    found = dict.fromkeys(term for run in analysed.runs for term in pairs(run) or [run])
    return words, list(found)[:MOST_TERMS]
