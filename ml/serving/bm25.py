"""Okapi BM25 over texts of any script, in memory: what ranks by words alone. numpy and scipy only."""

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

# Terms share so many places (hashing trick, Weinberger et al., 2009), so that an artifact holds no words of a tenant.
TERM_BUCKETS = 2**18
# How fast more of a term saturates, and how far length counts: the usual values (Robertson and Zaragoza, 2009, 3.5).
SATURATION = 1.2
LENGTH_SHARE = 0.75

# Scripts that put no blanks between words: kana, Chinese characters, hangul.
UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U000323af"
RUN = re.compile(rf"[{UNSPACED}]+|[^\W{UNSPACED}]+")
IS_UNSPACED = re.compile(rf"[{UNSPACED}]")

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


def terms(text: str) -> list[str]:
    """Words in small letters; of Chinese, Japanese and Korean the characters and the pairs of neighbours."""
    found: list[str] = []
    for run in RUN.findall(unicodedata.normalize("NFKC", text).lower()):
        if IS_UNSPACED.match(run):
            found += run
            found += (run[at : at + 2] for at in range(len(run) - 1))
        else:
            found.append(run)
    return found


def term_counts(texts: Sequence[str]) -> csr_matrix:
    """(texts, TERM_BUCKETS) float64: how often each bucket's terms occur."""
    starts = [0]
    buckets: list[int] = []
    counts: list[int] = []
    for text in texts:
        counted = Counter(zlib.crc32(term.encode("utf-8", "replace")) % TERM_BUCKETS for term in terms(text))
        buckets += counted.keys()
        counts += counted.values()
        starts.append(len(buckets))
    entries = np.array(counts, dtype=np.float64), np.array(buckets, dtype=np.int32), starts
    return csr_matrix(entries, shape=(len(texts), TERM_BUCKETS))


@dataclass(frozen=True)
class Bm25:
    """What BM25 knows of a collection: `inverse` (TERM_BUCKETS,), the terms' inverse frequencies, and the mean length
    of its texts in terms."""

    inverse: Floats
    mean_length: float

    @classmethod
    def fit(cls, counts: csr_matrix) -> Self:
        """idf = log(1 + (N - n + 1/2) / (n + 1/2)), n of the N texts having the term (Robertson and Zaragoza, 2009,
        equation 3.3, with the 1 that keeps it above 0)."""
        texts = counts.shape[0]
        having = np.bincount(counts.indices, minlength=TERM_BUCKETS)
        inverse = np.log1p((texts - having + 0.5) / (having + 0.5)).astype(np.float32)
        return cls(inverse, max(float(counts.sum()) / max(texts, 1), 1e-9))

    def weights(self, counts: csr_matrix) -> csr_matrix:
        """What one occurrence of a term in a query adds to the score of each text, of the shape of the counts:
        idf f (k + 1) / (f + k (1 - b + b length / mean length)), f how often the term occurs (equation 3.15)."""
        length = np.repeat(np.asarray(counts.sum(axis=1)).ravel(), np.diff(counts.indptr))
        damping = SATURATION * (1.0 - LENGTH_SHARE + LENGTH_SHARE * length / self.mean_length)
        weight = self.inverse[counts.indices] * counts.data * (SATURATION + 1.0) / (counts.data + damping)
        return csr_matrix((weight, counts.indices, counts.indptr), shape=counts.shape)


@dataclass(frozen=True)
class Bm25Index:
    """`postings` (TERM_BUCKETS, documents) holds the weights of each term's documents."""

    postings: csr_matrix

    @classmethod
    def build(cls, documents: Sequence[str]) -> Self:
        counts = term_counts(documents)
        return cls.of(Bm25.fit(counts), counts)

    @classmethod
    def of(cls, statistics: Bm25, counts: csr_matrix) -> Self:
        """Documents told by their term counts, weighed by a collection that may be another one."""
        return cls(statistics.weights(counts).T.tocsr())

    def scores(self, queries: Sequence[str]) -> Doubles:
        """(queries, documents), 0 where no term is shared; a term that a query repeats counts as often."""
        found: Doubles = (term_counts(queries) @ self.postings).toarray()
        return found
