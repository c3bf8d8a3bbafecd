"""What a model of the next item makes of subjects: one vector for each history, from which it would score the items."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ml.data.batches import gather_batch
from ml.data.columns import EventColumns
from ml.data.vocabulary import recode
from ml.serving.next_item import NextItemPredictor

# Events of a batch, padding included.
TOKENS = 8_192


def subject_vectors(
    predictor: NextItemPredictor, columns: EventColumns, subject: NDArray[np.int64], end: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(vectors (n, D), which cases have any event that the model knows (n,)); the others' vectors are 0.

    Case c is what subject[c] did in its events before the row end[c] of the log. As in serving, the last max_length
    events count whose item the model knows.
    """
    known = recode(columns, predictor.vocabulary)
    is_known = known.item > 0
    before = np.concatenate([[0], np.cumsum(is_known)])
    rows = np.flatnonzero(is_known)
    read = replace(known, item=known.item[rows], type=known.type[rows], time=known.time[rows], value=known.value[rows])
    last = before[end]
    first = np.maximum(before[columns.offsets[subject]], last - predictor.max_length)
    length = last - first
    vectors = np.zeros((len(subject), predictor.scorer.model.table.shape[1]), dtype=np.float32)
    device = predictor.scorer.model.bias.device
    order = np.argsort(-length, kind="stable")[: int(np.count_nonzero(length))]
    position = 0
    while position < len(order):
        chosen = order[position : position + max(1, TOKENS // int(length[order[position]]))]
        batch = gather_batch(read, first[chosen], last[chosen]).to(device)
        vectors[chosen] = predictor.scorer.model.read(batch).pooled.float().cpu().numpy()
        position += len(chosen)
    return vectors, length > 0
