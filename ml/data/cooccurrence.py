"""Vectors of values by what they stand together with in histories."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags

# Pairs of a history grow with the square of its length: this bounds memory, and the newest say enough.
MOST_HISTORIES = 200_000
# Rounds that sharpen the randomised decomposition.
POWER_ROUNDS = 4
# What is shorter before it is brought to length 1 is rounding, and stays short.
SHORTEST = 1e-6

Codes = NDArray[np.int32]
Floats = NDArray[np.float32]


def cooccurrence_vectors(histories: Codes, size: int, dimension: int) -> Floats:
    """Unit vectors (size, dimension) of the codes below `size`, close to each other where the codes have the same
    company; 0 for code 0 and for a code that is never beside another.

    histories: (n, L), the oldest first, 0 for padding; what a history says twice counts once, and so does a history
    that is there twice. The vectors are the best of that dimension for the positive pointwise mutual information of two
    codes in a history (O. Levy and Y. Goldberg, "Neural word embedding as implicit matrix factorization", NIPS 2014,
    section 5), found by N. Halko, P. Martinsson and J. Tropp, "Finding structure with randomness", SIAM Review 2011,
    algorithm 4.4.
    """
    from sklearn.utils.extmath import randomized_svd

    vectors = np.zeros((size, dimension), dtype=np.float32)
    information = _mutual_information(np.unique(histories[-MOST_HISTORIES:], axis=0), size)
    if not information.nnz:
        return vectors
    rank = min(dimension, size)
    left, strengths, _ = randomized_svd(information, rank, n_iter=POWER_ROUNDS, random_state=0)
    found = left * strengths
    # Without the rows that are 0 but for rounding.
    known = np.flatnonzero(np.diff(information.indptr))
    vectors[known, :rank] = found[known] / np.linalg.norm(found[known], axis=1, keepdims=True).clip(min=SHORTEST)
    return vectors


def _mutual_information(histories: Codes, size: int) -> csr_matrix:
    """Positive pointwise mutual information of each two codes that some history has both of, (size, size)."""
    row, place = np.nonzero(histories)
    member = csr_matrix((np.ones(len(row), np.float32), (row, histories[row, place])), shape=(len(histories), size))
    member.sum_duplicates()
    member.data[:] = 1.0
    together = member.T @ member
    together = (together - diags(together.diagonal())).tocoo()
    total = np.asarray(together.sum(axis=1)).ravel()
    is_pair = together.data > 0
    first, second, count = together.row[is_pair], together.col[is_pair], together.data[is_pair].astype(np.float64)
    told = np.log(count * total.sum() / (total[first] * total[second]))
    positive = told > 0
    return csr_matrix((told[positive], (first[positive], second[positive])), shape=(size, size))
