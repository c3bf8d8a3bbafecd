"""The prediction heads on the events after the test time, each beside predictors that only count."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ml.data.batches import gather_batch
from ml.data.columns import EventColumns
from ml.data.splits import Split
from ml.evaluation.classification import binary_metrics, choice_metrics
from ml.nn.names import NEXT_TYPE
from ml.nn.sequence_model import SequenceModel
from ml.tasks.config import NextItemConfig
from ml.tasks.head_labels import Seen, labels, measurable_rows, outcome_groups
from ml.tasks.head_settings import Head
from ml.tasks.multi_task import MultiTask
from ml.tasks.next_item_evaluation import MOST_CASES_AT_ONCE, CaseEvaluator

Indices = NDArray[np.int64]
Probabilities = NDArray[np.float32]
Tick = Callable[[], None]


def measure_heads(
    model: SequenceModel, multi_task: MultiTask, evaluator: CaseEvaluator, split: Split, settings: NextItemConfig
) -> dict[str, dict[str, Any]]:
    """By head: how many cases, the weight of its loss, and the metrics of the model and of the untrained.

    A case is an event since the test time whose outcome the log tells, predicted from its subject's events up to it; at
    most `evaluation_cases` of each head, drawn by the seed.
    """
    columns = evaluator.columns
    rows = {head.name: _sample(measurable_rows(head, columns, split), settings) for head in multi_task.heads}
    asked = np.unique(np.concatenate(list(rows.values())))
    predicted = predict_outcomes(
        model, columns, asked, multi_task.activity, max_length=evaluator.max_length, tick=evaluator.tick
    )
    return {
        head.name: {
            "cases": len(rows[head.name]),
            "weight": _weight(model, multi_task, head),
            "scores": _scores(
                head,
                columns,
                rows[head.name],
                predicted[head.name][np.searchsorted(asked, rows[head.name])],
                multi_task,
            ),
        }
        for head in multi_task.heads
    }


def predict_outcomes(
    model: SequenceModel, columns: EventColumns, rows: Indices, activity: Indices, *, max_length: int, tick: Tick
) -> dict[str, Probabilities]:
    """By head, the probabilities after each of the rows, from the events of its subject up to it; in chunks. `activity`
    is that of every event of the log."""
    first = np.maximum(columns.offsets[columns.subject_of_events()[rows]], rows + 1 - max_length)
    device = model.bias.device
    # Like lengths together, so that a chunk is padded little.
    order = np.argsort(rows - first, kind="stable")
    parts: dict[str, list[Probabilities]] = {}
    for begin in range(0, len(order), MOST_CASES_AT_ONCE):
        chosen = order[begin : begin + MOST_CASES_AT_ONCE]
        batch = gather_batch(columns, first[chosen], rows[chosen] + 1)
        outlook = model.outlook(batch.to(device), torch.from_numpy(activity[rows[chosen]]).to(device))
        for name, probability in outlook.items():
            parts.setdefault(name, []).append(probability.float().cpu().numpy())
        tick()
    place = np.argsort(order)
    return {name: np.concatenate(chunks)[place] for name, chunks in parts.items()}


def _scores(
    head: Head, columns: EventColumns, rows: Indices, predicted: Probabilities, multi_task: MultiTask
) -> dict[str, dict[str, float]]:
    outcome = labels(head, columns, Seen.whole(columns))[rows]
    counted = multi_task.counted[head.name]
    by_group = counted.rate[outcome_groups(head, multi_task.activity[rows])]
    usual = np.tile(counted.overall, (len(rows), 1))
    if head.name == NEXT_TYPE:
        return {
            "model": choice_metrics(predicted, outcome),
            "last_type": choice_metrics(by_group, outcome),
            "base_rate": choice_metrics(usual, outcome),
        }
    return {
        "model": binary_metrics(predicted, outcome),
        "recency_frequency": binary_metrics(by_group[:, 1], outcome),
        "base_rate": binary_metrics(usual[:, 1], outcome),
    }


def _sample(rows: Indices, settings: NextItemConfig) -> Indices:
    order = np.random.default_rng(settings.seed).permutation(len(rows))
    return np.sort(rows[order[: settings.evaluation_cases]])


def _weight(model: SequenceModel, multi_task: MultiTask, head: Head) -> float:
    """What the head's loss counted: as set, or as learned by the best epoch."""
    assert model.prediction_heads is not None
    return model.prediction_heads.learned_weights().get(head.name, multi_task.weights.get(head.name, 1.0))
