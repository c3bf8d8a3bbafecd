"""Lists for a whole log at once, without reasons: what a mailing or a nightly export asks for."""

import numpy as np
import torch
from numpy.typing import NDArray

from ml.data.batches import gather_batch
from ml.data.columns import EventColumns
from ml.data.splits import Cases
from ml.serving.scorer import Scorer

# Histories encoded at once (more of them leave the processor's cache), and scores held at once, in elements.
MOST_AT_ONCE = 32
SCORES_IN_MEMORY = 4 * 2**20


def top_lists(
    scorer: Scorer, columns: EventColumns, cases: Cases, *, count: int, max_length: int, exclude_seen: bool
) -> NDArray[np.int64]:
    """The `count` best item codes after each case's history, best first, (cases, count); 0 where a list is short.

    Item codes are those of `columns`, which must be the scorer's. With `exclude_seen` no item of the history comes
    back. They are the items that the scorer's predictor puts first, but for the order among equals.
    """
    items = len(columns.items)
    count = min(count, items)
    lists = np.zeros((len(cases), count), dtype=np.int64)
    size = max(1, min(MOST_AT_ONCE, SCORES_IN_MEMORY // items))
    # Like lengths together, so that a batch is padded little.
    order = np.argsort(np.minimum(cases.target - cases.start, max_length), kind="stable")
    for begin in range(0, len(order), size):
        chosen = order[begin : begin + size]
        part = cases.take(chosen)
        scores, _ = scorer.scores(gather_batch(columns, np.maximum(part.start, part.target - max_length), part.target))
        if exclude_seen:
            row, code = _seen(columns, part)
            scores[row, code - 1] = -1.0
        best, place = torch.from_numpy(scores).topk(count, dim=1)
        lists[chosen] = np.where(best.numpy() >= 0.0, place.numpy() + 1, 0)
    return lists


def _seen(columns: EventColumns, cases: Cases) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The case and the item code of every event of the histories that has an item."""
    length = cases.target - cases.start
    row = np.repeat(np.arange(len(cases)), length)
    event = np.arange(len(row)) + np.repeat(cases.start - (np.cumsum(length) - length), length)
    code = columns.item[event].astype(np.int64)
    return row[code > 0], code[code > 0]
