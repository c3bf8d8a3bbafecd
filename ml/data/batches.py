"""Batches of event sequences: right-padded, and cut so that a batch holds sequences of about the same length."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.data.columns import EventColumns

Indices = NDArray[np.int64]

# Bucket 0 is the first event of a sequence; bucket 1 + b holds gaps of 2^b - 1 to 2^(b + 1) - 2 seconds, so that the
# last one begins at 34 years.
GAP_BUCKETS = 32
HOURS_OF_WEEK = 7 * 24


@dataclass
class EventBatch:
    """The one batch type of every encoder; B sequences padded on the right to L events.

    item (B, L) int64 codes, 0 = none; type (B, L) int64 codes, 0 = unknown; gap (B, L) int64 buckets of the time since
    the event before; value (B, L) float32, NaN = absent; length (B,) int64 events that are not padding; hour (B, L)
    int64 hours since Monday 0:00 UTC, 0 to 167, or one for all.
    """

    item: Tensor
    type: Tensor
    gap: Tensor
    value: Tensor
    length: Tensor
    hour: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.long))

    def to(self, device: torch.device) -> "EventBatch":
        return EventBatch(**{part.name: getattr(self, part.name).to(device) for part in fields(self)})

    def real(self) -> Tensor:
        """Which positions hold an event, (B, L) bool."""
        return torch.arange(self.item.shape[1], device=self.item.device) < self.length[:, None]


def gap_buckets(time: NDArray[np.float64]) -> Indices:
    """Logarithmic buckets of the seconds since the event before, along the last axis; the first event gets bucket 0."""
    gap = np.maximum(np.diff(time, axis=-1), 0.0)
    bucket = 1 + np.floor(np.log2(1.0 + gap)).astype(np.int64)
    first = np.zeros((*time.shape[:-1], 1), dtype=np.int64)
    return np.concatenate([first, np.minimum(bucket, GAP_BUCKETS - 1)], axis=-1)


def hours_of_week(time: NDArray[np.float64]) -> Indices:
    """Hours since the last Monday 0:00 UTC, 0 to 167, of Unix times in seconds."""
    # 1970 began on a Thursday, three days after a Monday.
    return (np.floor(time / 3600.0).astype(np.int64) + 3 * 24) % HOURS_OF_WEEK


def make_batch(
    item: NDArray, type: NDArray, time: NDArray, value: NDArray, length: Indices
) -> EventBatch:  # all but length are (B, L); what stands beyond a sequence's length is ignored
    """Turn padded arrays of model codes into an EventBatch."""
    padding = np.arange(item.shape[1]) >= length[:, None]
    return EventBatch(
        item=torch.from_numpy(np.where(padding, 0, item).astype(np.int64)),
        type=torch.from_numpy(np.where(padding, 0, type).astype(np.int64)),
        gap=torch.from_numpy(np.where(padding, 0, gap_buckets(time))),
        value=torch.from_numpy(np.where(padding, np.nan, value).astype(np.float32)),
        length=torch.from_numpy(length.astype(np.int64)),
        hour=torch.from_numpy(np.where(padding, 0, hours_of_week(time))),
    )


def gather_batch(columns: EventColumns, start: Indices, end: Indices) -> EventBatch:
    """The events start[b] to end[b] - 1 of a log as one batch. Type codes shift by one: 0 is the unknown type."""
    length = end - start
    position = start[:, None] + np.arange(length.max())
    index = np.minimum(position, columns.events - 1)
    return make_batch(
        columns.item[index], columns.type[index].astype(np.int64) + 1, columns.time[index], columns.value[index], length
    )


def training_windows(start: Indices, end: Indices, *, length: int, generator: np.random.Generator) -> tuple:
    """Cut each subject's events into windows of at most `length` inputs, each followed by its last target.

    The cut falls at a random phase, so that over the epochs every event is seen with contexts of different length.
    Returns (start, end) of the windows' inputs; the targets are the events one further on.
    """
    inputs = np.maximum(end - start - 1, 0)
    phase = np.where(inputs > length, generator.integers(0, length, len(start)), 0)
    first = np.where(phase > 0, phase, np.minimum(inputs, length))
    windows = np.where(inputs > 0, 1 + -(-(inputs - first) // length), 0)
    order = np.arange(windows.sum()) - np.repeat(np.cumsum(windows) - windows, windows)
    base, offset, limit = (np.repeat(column, windows) for column in (start, first, start + inputs))
    window_start = np.where(order == 0, base, base + offset + (order - 1) * length)
    window_end = np.minimum(base + offset + order * length, limit)
    return window_start, window_end


def length_buckets(length: Indices, *, tokens: int, generator: np.random.Generator) -> Iterator[Indices]:
    """Index arrays of batches that hold at most `tokens` padded positions, or a single longer sequence.

    Sequences of like length share a batch; which of the equals do, and the order of the batches, is random.
    """
    shuffled = generator.permutation(len(length))
    order = shuffled[np.argsort(-length[shuffled], kind="stable")]
    batches = []
    position = 0
    while position < len(order):
        size = max(1, tokens // int(length[order[position]]))
        batches.append(order[position : position + size])
        position += size
    for index in generator.permutation(len(batches)):
        yield batches[index]
