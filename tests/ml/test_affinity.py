"""How near a target is to a history."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.serving.affinity import SIGNALS, Affinity

HALF = np.sqrt(0.5)
# Codes 1 and 2 are at right angles, 3 between them, 4 opposite to 1, 5 unknown.
AFFINITY = Affinity(np.array([[0, 0], [1, 0], [0, 1], [HALF, HALF], [-1, 0], [0, 0]], dtype=np.float32))


def signals(history: list[int], target: int) -> dict[str, float]:
    found = AFFINITY.signals(np.array([history], dtype=np.int32), np.array([target], dtype=np.int32))
    return {name: float(values[0]) for name, values in found.items()}


def test_each_signal_is_its_cosine() -> None:
    assert signals([1, 3, 2], target=1) == pytest.approx(
        {
            "affinity_mean": (1 + HALF) / 3,
            "affinity_sum": (1 + HALF) / np.sqrt(3),
            "affinity_nearest": 1.0,
            "affinity_newest": 0.0,
            "has_history": 1.0,
        }
    )
    assert signals([4], target=1)["affinity_nearest"] == pytest.approx(-1.0)


def test_without_a_history_there_is_no_affinity() -> None:
    assert signals([0, 0], target=1) == dict.fromkeys(SIGNALS, 0.0)
    assert signals([], target=1) == dict.fromkeys(SIGNALS, 0.0)


@given(
    history=st.lists(st.integers(1, 5), max_size=6),
    before=st.integers(0, 3),
    after=st.integers(0, 3),
    target=st.integers(0, 5),
)
def test_padding_on_either_side_says_nothing(history: list[int], before: int, after: int, target: int) -> None:
    found = signals([0] * before + history + [0] * after, target)
    assert found == pytest.approx(signals(history, target), abs=1e-6)
    assert all(abs(found[name]) <= 1.0 + 1e-6 for name in SIGNALS if name != "affinity_sum")
