"""Vectors of what stands together in histories."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest

from ml.data.cooccurrence import cooccurrence_vectors

HISTORIES = [[1, 2, 3], [1, 2], [4, 5, 4], [4, 5, 6], [3, 1], [6, 5], [7]]


def padded(histories: list[list[int]], length: int = 5) -> np.ndarray:
    return np.array([history + [0] * (length - len(history)) for history in histories], dtype=np.int32)


def test_the_vectors_are_those_of_mutual_information_counted_by_hand() -> None:
    """Against plain counting and numpy's decomposition."""
    together = Counter(pair for history in HISTORIES for pair in permutations(set(history), 2))
    total = Counter(first for first, _ in together.elements())
    information = np.zeros((8, 8))
    for (first, second), count in together.items():
        information[first, second] = max(0.0, np.log(count * together.total() / (total[first] * total[second])))
    left, strengths, _ = np.linalg.svd(information)
    expected = (left * strengths)[:, :4]
    length = np.linalg.norm(expected, axis=1, keepdims=True)
    expected = np.divide(expected, length, out=np.zeros_like(expected), where=length > 1e-9)

    found = cooccurrence_vectors(padded(HISTORIES), size=8, dimension=4)
    assert found @ found.T == pytest.approx(expected @ expected.T, abs=1e-4)


def test_what_has_the_same_company_is_near_though_it_never_meets() -> None:
    histories = [[1, 3], [2, 3], [1, 4], [2, 4], [5, 7], [6, 7], [5, 8], [6, 8]]
    vectors = cooccurrence_vectors(padded(histories), size=9, dimension=4)
    assert vectors[1] @ vectors[2] == pytest.approx(1.0, abs=1e-4)
    assert vectors[1] @ vectors[5] == pytest.approx(0.0, abs=1e-4)


def test_what_is_said_twice_counts_once() -> None:
    once = cooccurrence_vectors(padded(HISTORIES), size=8, dimension=3)
    twice = cooccurrence_vectors(padded([*HISTORIES, *HISTORIES, [7, 7, 7]]), size=8, dimension=3)
    assert np.array_equal(once, twice)


@pytest.mark.parametrize("histories", [[], [[1], [2]], [[0], [0]]])
def test_without_pairs_nothing_is_known(histories: list[list[int]]) -> None:
    vectors = cooccurrence_vectors(padded(histories).reshape(-1, 5), size=4, dimension=8)
    assert vectors.shape == (4, 8)
    assert not vectors.any()


def test_more_dimensions_than_codes_are_filled_up() -> None:
    vectors = cooccurrence_vectors(padded([[1, 2]]), size=3, dimension=24)
    assert vectors.shape == (3, 24)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([0.0, 1.0, 1.0])
