"""Several losses from one forward pass: the next item's, and those of the prediction heads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.data.activity import activity_of_events
from ml.data.columns import EventColumns
from ml.data.splits import Split
from ml.evaluation.untrained_outcomes import OutcomeRates
from ml.nn.encoders import BidirectionalTransformer
from ml.nn.heads import NO_LABEL
from ml.nn.names import NEXT_ITEM, NEXT_TYPE
from ml.nn.sequence_model import Encoded, SequenceModel
from ml.tasks.config import NextItemConfig
from ml.tasks.head_labels import count_outcomes, training_labels
from ml.tasks.head_settings import UNCERTAINTY, Head, parse_heads

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class MultiTask:
    """What the prediction heads learn from: by head, the label of each event of the log and how often each outcome
    comes; the events' `activity`; and which events are `followed` by one that training may see."""

    heads: list[Head]
    labels: dict[str, NDArray[np.int16]]
    counted: dict[str, OutcomeRates]
    activity: Indices
    followed: NDArray[np.bool_]
    weights: Mapping[str, float]

    @classmethod
    def of_run(cls, columns: EventColumns, split: Split, settings: NextItemConfig) -> "MultiTask | None":
        """None where the next item alone is predicted. Raises ValueError where a head cannot be learned or measured."""
        heads = parse_heads(settings.prediction_heads)
        if not heads:
            return None
        labels = training_labels(heads, columns, split)
        activity = activity_of_events(columns)
        followed = np.zeros(columns.events, dtype=bool)
        followed[:-1] = columns.subject_of_events()[1:] == columns.subject_of_events()[:-1]
        followed[split.train_end[split.train_end > split.train_start] - 1] = False
        return cls(
            heads=heads,
            labels={name: known.astype(np.int16) for name, known in labels.items()},
            counted={head.name: count_outcomes(head, columns, labels[head.name], activity) for head in heads},
            activity=activity,
            followed=followed,
            weights={} if isinstance(settings.loss_weights, str) else settings.loss_weights or {},
        )

    def start(self, model: SequenceModel) -> None:
        """Let the fresh heads of the model answer what counting says."""
        assert model.prediction_heads is not None
        model.prediction_heads.start_at({name: counted.rate for name, counted in self.counted.items()})

    def describe(self) -> dict[str, dict[str, Any]]:
        """What the artifact says of each head: JSON values."""
        return {head.name: {**head.describe(), "rates": self.usual_rates(head.name)} for head in self.heads}

    def usual_rates(self, name: str) -> list[float]:
        """How often each outcome of a head comes: by event type in code order for next_type, else of the outcome 1."""
        overall = self.counted[name].overall
        return [float(rate) for rate in (overall if name == NEXT_TYPE else overall[1:])]

    def with_next_event(self, target: Tensor, start: Indices) -> Tensor:
        """The item targets (B, L) of windows from `start`, 0 where training may not see the event."""
        position = start[:, None] + np.arange(target.shape[1])
        return target * torch.from_numpy(self.followed[np.minimum(position, len(self.followed) - 1)])

    def total(
        self, model: SequenceModel, encoded: Encoded, target: Tensor, item_loss: Tensor, start: Indices, end: Indices
    ) -> Tensor:
        """One scalar out of the loss of the item targets (B, L) and of the heads, for the windows start to end - 1."""
        assert model.prediction_heads is not None
        losses = {NEXT_ITEM: item_loss} if (target > 0).any() else {}
        labels = self._window_labels(start, end)
        if isinstance(model.encoder, BidirectionalTransformer):
            labels = unseen_labels(labels, end - start, (target > 0).cpu())
        labels = {name: label.to(target.device) for name, label in labels.items()}
        position = np.minimum(start[:, None] + np.arange(target.shape[1]), len(self.activity) - 1)
        activity = torch.from_numpy(self.activity[position]).to(target.device)
        losses |= model.prediction_heads.losses(encoded.pooled, activity, labels)
        return model.prediction_heads.balance(losses, self.weights) if losses else item_loss

    def _window_labels(self, start: Indices, end: Indices) -> dict[str, Tensor]:
        """By head, the labels of each window's events, (B, L) int64, NO_LABEL on padding."""
        position = start[:, None] + np.arange((end - start).max())
        index = np.minimum(position, len(self.followed) - 1)
        return {
            name: torch.from_numpy(np.where(position < end[:, None], known[index], NO_LABEL).astype(np.int64))
            for name, known in self.labels.items()
        }


def head_arguments(settings: NextItemConfig) -> dict[str, object]:
    """The arguments of SequenceModel that the settings ask for; none where the next item alone is predicted."""
    heads = parse_heads(settings.prediction_heads)
    if not heads:
        return {}
    return {
        "prediction_heads": [head.name for head in heads],
        "learn_loss_weights": settings.loss_weights == UNCERTAINTY,
    }


def unseen_labels(labels: dict[str, Tensor], length: Indices, masked: Tensor) -> dict[str, Tensor]:
    """The labels that an encoder which looks both ways does not see in its input: of the next type those of `masked`
    events, of outcomes within days those at the end of each window, after which it sees nothing."""
    last = torch.arange(masked.shape[1]) == torch.from_numpy(length)[:, None] - 1
    return {
        name: label.masked_fill(~(last | masked) if name == NEXT_TYPE else ~last, NO_LABEL)
        for name, label in labels.items()
    }
