"""Session neighbours (V-STAN) on the cases of a benchmark: a model without training, beside those with."""

import numpy as np

from ml.data.batches import gather_batch
from ml.data.columns import EventColumns
from ml.data.splits import Split
from ml.evaluation.ranking import pessimistic_ranks
from ml.evaluation.session_neighbors import SessionNeighbors
from ml.evaluation.untrained import recent_items
from ml.tasks.next_item_evaluation import Ranks
from ml.tasks.next_item_training import training_events

# Scores held at once, in elements.
SCORES_IN_MEMORY = 4 * 2**20


def neighbor_ranks(columns: EventColumns, split: Split, *, max_length: int) -> Ranks:
    """1-based ranks of the test targets, (cases,), each subject of the training part being one session."""
    events = training_events(split)
    neighbors = SessionNeighbors.fit(
        columns.item[events],
        columns.subject_of_events()[events],
        columns.time[events],
        items=len(columns.items),
    )
    cases = split.test
    ranks = np.zeros(len(cases), dtype=np.int64)
    size = max(1, SCORES_IN_MEMORY // len(columns.items))
    for begin in range(0, len(cases), size):
        part = cases.take(slice(begin, begin + size))
        start = np.maximum(part.start, part.target - max_length)
        recent = recent_items(gather_batch(columns, start, part.target).item.numpy(), max_length)
        target = columns.item[part.target].astype(np.int64) - 1
        ranks[begin : begin + size] = pessimistic_ranks(neighbors.scores(recent), target)
    return ranks
