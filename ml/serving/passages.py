"""Passages found for long, noisy questions: each sentence is compared with each passage, and what all questions of a
tenant say counts for little.

A question of forty sentences names its needs in three of them. One vector of the whole question is the mean of all of
it; the best match of each sentence would let greetings count like needs. So sentences are moved away from what
questions usually say, a passage gets the soft maximum over them, and words that most questions hold weigh nothing.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ml.serving.bm25 import TERM_BUCKETS, Bm25Index, term_counts, terms

# What the encoder reads at once (MOST_TOKENS) holds about so many English words beside a title.
CHUNK_WORDS = 90
# A shorter sentence asks for nothing.
LEAST_WORDS = 3
# A passage without a vector is taken for as near as the one in this place.
UNREAD_PLACE = 3
SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|[。！？；\n]+")

Scores = NDArray[np.float64]
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Weighing:
    """How passages are weighed. `shift` is how far sentences are moved away from the usual one, `sharpness` how much
    the best sentence counts before the mean of all, `words` what the most words in common add to the cosine."""

    shift: float = 0.5
    sharpness: float = 6.0
    words: float = 0.15


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text, without those of fewer than LEAST_WORDS words; the whole text if none is
    left."""
    found = [part.strip() for part in SENTENCE_END.split(text) if len(terms(part)) >= LEAST_WORDS]
    return found or [text]


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


def distinct_sentences(asked: Vectors, usual: Vectors | None, weighing: Weighing) -> Vectors:
    """Vectors (sentences, dimension), moved away from the usual sentence (dimension,); None where there is none yet.

    Taking the common part out of a set of vectors: Mu and Viswanath (2018), section 3.
    """
    if usual is None:
        return asked
    moved: Vectors = asked - np.float32(weighing.shift) * usual
    return moved


def rarity(having: NDArray[np.float64], questions: int) -> Scores:
    """What a term counts for that `having` of so many questions hold: log((questions + 1) / (having + 1/2)), at
    least 0; 1 where there are no questions to tell."""
    if questions == 0:
        return np.ones(len(having))
    return np.maximum(np.log((questions + 1) / (having + 0.5)), 0.0)


def weigh_passages(asked: Vectors, passages: Vectors, by_words: Scores, weighing: Weighing) -> Scores:
    """(passages,): log(mean over sentences of exp(sharpness * cosine)) / sharpness, and the share of the most that any
    passage has of words. `asked` (sentences, dimension) as from `distinct_sentences`, rows of `passages` of length 1;
    one of zeros has not been read yet and counts as the third best of the others, for its words to decide.
    """
    near = weighing.sharpness * (asked @ passages.T)
    highest = near.max(axis=0)
    meaning = ((highest + np.log(np.exp(near - highest).mean(axis=0))) / weighing.sharpness).astype(np.float64)
    is_read = passages.any(axis=1)
    if not is_read.all() and is_read.any():
        meaning[~is_read] = np.sort(meaning[is_read])[-UNREAD_PLACE:][0]
    most = float(by_words.max(initial=0.0))
    return meaning + weighing.words * by_words / most if most > 0.0 else meaning


@dataclass(frozen=True)
class UsualQuestion:
    """What questions have in common: the mean of their sentences' vectors (dimension,), each question counting once,
    and how many of `questions` have a term of each bucket, (TERM_BUCKETS,)."""

    vector: Vectors
    having: NDArray[np.float64]
    questions: int

    @classmethod
    def of(cls, questions: Sequence[str], encode: Callable[[Sequence[str]], Vectors]) -> Self:
        """Raises ValueError without questions."""
        if not questions:
            raise ValueError("questions is empty; give at least one")
        means = [encode(sentences(question)).mean(axis=0) for question in questions]
        having = np.bincount(term_counts(questions).indices, minlength=TERM_BUCKETS)
        return cls(np.mean(means, axis=0), having.astype(np.float64), len(questions))


@dataclass(frozen=True)
class Asked:
    """A question as the search reads it: vectors of its sentences (sentences, dimension) and of its whole
    (dimension,), as they are."""

    text: str
    sentences: Vectors
    whole: Vectors


class PassageSearch:
    """Documents (title, content) in memory. `encode` gives rows of length 1, as `TextEncoder.encode`."""

    def __init__(self, documents: Sequence[tuple[str, str]], encode: Callable[[Sequence[str]], Vectors]) -> None:
        """Raises ValueError without documents."""
        if not documents:
            raise ValueError("documents is empty; give at least one pair of title and content")
        self.encode = encode
        pieces = [chunks(title, content) for title, content in documents]
        self.starts = np.cumsum([0, *map(len, pieces[:-1])])
        self.passages = [piece for of_document in pieces for piece in of_document]
        self.index = Bm25Index.build(self.passages)
        self.vectors = encode(self.passages)

    def read(self, question: str) -> Asked:
        asked = self.encode([question, *sentences(question)])
        return Asked(question, asked[1:], asked[0])

    def by_words(self, asked: Asked, usual: UsualQuestion | None = None) -> Scores:
        """(passages,): BM25 of the question, each term weighed by its rarity in questions."""
        counts = term_counts([asked.text])
        if usual is not None:
            # A term that a question repeats is no clearer for it.
            counts.data = rarity(usual.having[counts.indices], usual.questions)
        found: Scores = (counts @ self.index.postings).toarray()[0]
        return found

    def by_meaning(self, asked: Asked) -> Scores:
        """(passages,): cosines to the whole question."""
        found: Scores = (self.vectors @ asked.whole).astype(np.float64)
        return found

    def weighed(self, asked: Asked, usual: UsualQuestion | None, weighing: Weighing) -> Scores:
        """(passages,): sentences and words together."""
        moved = distinct_sentences(asked.sentences, usual.vector if usual else None, weighing)
        return weigh_passages(moved, self.vectors, self.by_words(asked, usual), weighing)

    def of_documents(self, scores: Scores) -> Scores:
        """(documents,): the best passage's score of each."""
        found: Scores = np.maximum.reduceat(scores, self.starts)
        return found
