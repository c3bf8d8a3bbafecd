import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.data.batches import gap_buckets, gather_batch, length_buckets, make_batch, training_windows
from ml.data.columns import EventColumns


@settings(max_examples=200)
@given(lengths=st.lists(st.integers(0, 30), min_size=1, max_size=8), length=st.integers(1, 9), seed=st.integers(0, 99))
def test_windows_use_every_transition_exactly_once(lengths: list[int], length: int, seed: int) -> None:
    end = np.cumsum(lengths)
    start = end - lengths
    window_start, window_end = training_windows(start, end, length=length, generator=np.random.default_rng(seed))
    covered = [input_event for s, e in zip(window_start, window_end, strict=True) for input_event in range(s, e)]
    expected = [event for s, e in zip(start, end, strict=True) for event in range(s, e - 1)]
    assert covered == expected
    assert (window_end - window_start <= length).all()
    assert (window_end > window_start).all()


@settings(max_examples=100)
@given(lengths=st.lists(st.integers(1, 50), min_size=1, max_size=60), tokens=st.integers(50, 300))
def test_buckets_hold_each_sequence_once_within_the_token_budget(lengths: list[int], tokens: int) -> None:
    length = np.array(lengths)
    batches = list(length_buckets(length, tokens=tokens, generator=np.random.default_rng(0)))
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    assert all(length[batch].max() * len(batch) <= tokens for batch in batches)


def test_like_lengths_share_a_bucket_so_that_little_is_padded() -> None:
    length = np.random.default_rng(0).geometric(0.05, 2000).clip(1, 200)
    batches = list(length_buckets(length, tokens=4096, generator=np.random.default_rng(0)))
    padded = sum(int(length[batch].max()) * len(batch) for batch in batches)
    assert padded < 1.3 * length.sum()


def test_gap_buckets_grow_with_the_logarithm_of_the_gap() -> None:
    assert gap_buckets(np.array([0.0, 0.0, 1.0, 4.0, 3.0, 1e12])).tolist() == [0, 1, 2, 3, 1, 31]


def test_what_stands_in_the_padding_does_not_matter() -> None:
    length = np.array([2, 3])
    clean = np.array([[1, 2, 0], [3, 4, 5]])
    dirty = np.array([[1, 2, 9], [3, 4, 5]])
    time, value = np.array([[1.0, 2.0, 7.0], [1.0, 2.0, 3.0]]), np.ones((2, 3))
    one, other = make_batch(clean, clean, time, value, length), make_batch(dirty, dirty, time + 5.0, value, length)
    for name in ("item", "type", "gap", "length"):
        assert torch.equal(getattr(one, name), getattr(other, name))
    assert one.real().tolist() == [[True, True, False], [True, True, True]]
    assert bool(one.value[0, 2].isnan())


def test_a_batch_gathers_a_subjects_events(log: EventColumns) -> None:
    start, end = np.array([0, int(log.offsets[3])]), np.array([4, int(log.offsets[3]) + 2])
    batch = gather_batch(log, start, end)
    assert batch.item[0].tolist() == log.item[:4].tolist()
    assert batch.item[1].tolist() == [*log.item[end[1] - 2 : end[1]].tolist(), 0, 0]
    assert (batch.type[0] - 1).tolist() == log.type[:4].tolist()
