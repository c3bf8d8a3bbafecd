"""Documents found for long, noisy questions: words and meaning, the whole question and its sentences, fused by rank."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.serving.bm25 import Bm25Index, terms

# What the encoder reads at once (MOST_TOKENS) holds about so many English words beside a title.
CHUNK_WORDS = 90
# A shorter sentence asks for nothing.
LEAST_WORDS = 3
SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|[。！？；\n]+")

Scores = NDArray[np.float64]
Vectors = NDArray[np.float32]


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text, without those of fewer than LEAST_WORDS words."""
    return [part.strip() for part in SENTENCE_END.split(text) if len(terms(part)) >= LEAST_WORDS]


def chunks(title: str, content: str, *, size: int = CHUNK_WORDS) -> list[str]:
    """The content in pieces of `size` words, the title before each; the title alone where there is no content."""
    parts = content.split()
    return [f"{title}\n{' '.join(parts[at : at + size])}" for at in range(0, max(len(parts), 1), size)]


def reciprocal_ranks(scores: Scores, constant: float) -> Scores:
    """1 / (constant + rank), the best first (Cormack, Clarke and Büttcher, 2009); equal scores in given order."""
    ranks = np.empty(len(scores))
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    found: Scores = 1.0 / (constant + ranks)
    return found


@dataclass(frozen=True)
class Found:
    """What each document scores, by words and by meaning: for the whole question (documents,), and for its sentences
    (sentences, documents)."""

    by_words: Scores
    by_meaning: Scores
    sentence_words: Scores
    sentence_meaning: Scores

    def fused(self, *, constant: float, sentence_weight: float) -> Scores:
        """(documents,): reciprocal ranks of the whole question, and `sentence_weight` times their mean of sentences."""
        whole = reciprocal_ranks(self.by_words, constant) + reciprocal_ranks(self.by_meaning, constant)
        parts = [
            reciprocal_ranks(row, constant) for scores in (self.sentence_words, self.sentence_meaning) for row in scores
        ]
        if not parts:
            return whole
        fused: Scores = whole + sentence_weight * 2.0 * np.mean(parts, axis=0)
        return fused


class PassageSearch:
    """Documents (title, content) in memory. `encode` gives rows of length 1, as `TextEncoder.encode`."""

    def __init__(self, documents: Sequence[tuple[str, str]], encode: Callable[[Sequence[str]], Vectors]) -> None:
        """Raises ValueError without documents."""
        if not documents:
            raise ValueError("documents is empty; give at least one pair of title and content")
        self.encode = encode
        self.words = Bm25Index.build([f"{title}\n{content}" for title, content in documents])
        pieces = [chunks(title, content) for title, content in documents]
        self.starts = np.cumsum([0, *map(len, pieces[:-1])])
        self.vectors = encode([piece for of_document in pieces for piece in of_document])

    def search(self, question: str) -> Found:
        asked = sentences(question)
        near = self.encode([question, *asked]).astype(np.float64) @ self.vectors.T
        meaning = np.maximum.reduceat(near, self.starts, axis=1)
        by_words = self.words.scores([question, *asked])
        return Found(by_words[0], meaning[0], by_words[1:], meaning[1:])
