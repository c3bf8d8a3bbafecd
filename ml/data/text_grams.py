"""Words and character n-grams of texts as sparse vectors: no vocabulary to keep, and any script."""

import unicodedata
import zlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

BUCKETS = 2**16
WORDS = (1, 2)
CHARACTERS = (2, 5)
# What is said after so many characters decides no intent, and a text of any length costs the same.
MOST_CHARACTERS = 1_000

Floats = NDArray[np.float32]


def gram_counts(texts: Sequence[str]) -> csr_matrix:
    """(texts, BUCKETS): 1 + log of how often each bucket's n-grams occur (hashing trick, Weinberger et al., 2009)."""
    starts: list[int] = [0]
    buckets: list[int] = []
    values: list[int] = []
    for text in texts:
        counts = Counter(zlib.crc32(gram.encode("utf-8", "replace")) % BUCKETS for gram in _grams(text))
        buckets += counts.keys()
        values += counts.values()
        starts.append(len(buckets))
    weights = 1.0 + np.log(np.array(values, dtype=np.float32))
    return csr_matrix((weights, np.array(buckets, dtype=np.int32), starts), shape=(len(texts), BUCKETS))


def inverse_frequency(counts: csr_matrix) -> Floats:
    """(BUCKETS,): log of texts over texts with the bucket, both plus 1, plus 1."""
    texts_with = np.bincount(counts.indices, minlength=BUCKETS)
    found: Floats = (np.log((1.0 + counts.shape[0]) / (1.0 + texts_with)) + 1.0).astype(np.float32)
    return found


def weighted(counts: csr_matrix, inverse: Floats) -> csr_matrix:
    """Rows times the inverse frequency, scaled to length 1; a row without n-grams stays 0."""
    rows = csr_matrix((counts.data * inverse[counts.indices], counts.indices, counts.indptr), shape=counts.shape)
    lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel()).clip(min=1e-9)
    scale = np.repeat(1.0 / lengths, np.diff(rows.indptr))
    return csr_matrix(((rows.data * scale).astype(np.float32), rows.indices, rows.indptr), shape=rows.shape)


def _grams(text: str) -> list[str]:
    words = unicodedata.normalize("NFKC", text[:MOST_CHARACTERS]).lower().split()
    grams = [f"w {' '.join(words[at : at + size])}" for size in WORDS for at in range(len(words) - size + 1)]
    line = f" {' '.join(words)} "
    shortest, longest = CHARACTERS
    for size in range(shortest, longest + 1) if words else ():
        grams += [line[at : at + size] for at in range(len(line) - size + 1)]
    return grams
