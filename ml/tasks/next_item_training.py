"""What the trainer needs for the next-item task: a fresh network, its batches and its loss, within a memory budget."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.data.batches import gather_batch, length_buckets, training_windows
from ml.data.columns import EventColumns
from ml.data.splits import Split
from ml.evaluation.untrained import Untrained
from ml.nn.losses import LOGITS_IN_MEMORY
from ml.nn.sequence_model import SequenceModel
from ml.tasks.config import NextItemConfig

Indices = NDArray[np.int64]
Window = tuple[Indices, Indices]

# Above this many items the full softmax costs more than it teaches, and the sampled one takes over.
FULL_SOFTMAX_ITEMS = 10_000
# A copy head pays when at least this share of the training events repeats one of the items just before.
WORTHWHILE_REPEATS = 0.02
# Weights, gradients, Adam's two moments, the best weights, and one copy on its way to the checkpoint.
COPIES_OF_WEIGHTS = 6


def network_arguments(columns: EventColumns, split: Split, settings: NextItemConfig) -> dict[str, Any]:
    """The keyword arguments of SequenceModel, which the artifact keeps to rebuild it. JSON-able."""
    copying = settings.copying
    if copying is None:
        copying = repeat_share(columns, split, settings.rule_window) >= WORTHWHILE_REPEATS
    return {
        "items": len(columns.items),
        "types": len(columns.types),
        "encoder": settings.encoder,
        "dimension": settings.dimension,
        "layers": settings.layers,
        "heads": settings.heads,
        "dropout": settings.dropout,
        "max_length": settings.max_length,
        "inputs": list(settings.inputs),
        "copying": copying,
    }


def build_network(arguments: dict[str, Any], untrained: Untrained) -> SequenceModel:
    """A fresh network whose item biases start at the items' log-popularity, so that it need not learn that first."""
    model = SequenceModel(**arguments)
    floor = 0.1 * float(untrained.popularity[untrained.popularity > 0].min())
    with torch.no_grad():
        model.bias.copy_(torch.from_numpy(np.log(untrained.popularity + floor)))
    return model


def repeat_share(columns: EventColumns, split: Split, window: int) -> float:
    """The share of training events that concern one of the subject's `window` events before."""
    events = training_events(split)
    item, subject = columns.item[events], columns.subject_of_events()[events]
    repeated = np.zeros(len(events), dtype=bool)
    for distance in range(1, window + 1):
        same = (item[distance:] == item[:-distance]) & (subject[distance:] == subject[:-distance])
        repeated[distance:] |= same & (item[distance:] > 0)
    return float(repeated.mean()) if len(repeated) else 0.0


def training_events(split: Split) -> Indices:
    """Row numbers of the training events, in order."""
    length = split.train_end - split.train_start
    shift = np.repeat(split.train_start - (np.cumsum(length) - length), length)
    return shift + np.arange(length.sum())


def epoch_batches(split: Split, settings: NextItemConfig, epoch: int, *, fresh: Indices | None = None) -> list[Window]:
    """The windows of each batch of an epoch; the same whenever the same epoch is asked for.

    With `fresh`, each subject's first row that the model has not learned from yet, only windows with a target from
    there on, and `replay` times as many of the others.
    """
    generator = np.random.default_rng([settings.seed, epoch])
    start, end = training_windows(split.train_start, split.train_end, length=settings.max_length, generator=generator)
    if fresh is not None:
        subject = np.searchsorted(split.train_start, start, side="right") - 1
        is_new = end >= fresh[subject]
        old = generator.permutation(np.flatnonzero(~is_new))[: round(settings.replay * np.count_nonzero(is_new))]
        kept = np.concatenate([np.flatnonzero(is_new), old])
        start, end = start[kept], end[kept]
    buckets = length_buckets(end - start, tokens=settings.batch_tokens, generator=generator)
    return [(start[chosen], end[chosen]) for chosen in buckets]


def window_targets(columns: EventColumns, start: Indices, end: Indices) -> Tensor:
    """The item of the event after each input, (B, L) int64 codes; 0 on padding and before an event without an item."""
    position = start[:, None] + np.arange((end - start).max())
    following = np.minimum(position + 1, columns.events - 1)
    return torch.from_numpy(np.where(position < end[:, None], columns.item[following], 0).astype(np.int64))


def make_loss(
    model: SequenceModel, columns: EventColumns, settings: NextItemConfig, untrained: Untrained
) -> Callable[[Window], Tensor]:
    """Mean negative log-probability of the targets of one batch."""
    device = model.bias.device
    proposal = _proposal(untrained).to(device) if sampled(settings, len(columns.items)) else None

    def loss(window: Window) -> Tensor:
        start, end = window
        target = window_targets(columns, start, end).to(device)
        batch = gather_batch(columns, start, end).to(device)
        log_probability = model.log_probability(batch, target, proposal=proposal, negatives=settings.negatives)
        # A batch without any target (events without items only) has nothing to teach, and no mean.
        return -log_probability.sum() / max(1, len(log_probability))

    return loss


def sampled(settings: NextItemConfig, items: int) -> bool:
    return settings.loss == "sampled" or (settings.loss == "auto" and items > FULL_SOFTMAX_ITEMS)


def check_memory(model: SequenceModel, settings: NextItemConfig, items: int) -> None:
    """Raises ValueError where training would not fit memory_budget_mb, before anything is allocated for it."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    tokens = max(settings.batch_tokens, settings.max_length)
    logits = tokens * settings.negatives * 4 if sampled(settings, items) else 3 * max(LOGITS_IN_MEMORY, items)
    activations = tokens * settings.dimension * settings.layers * 32 + tokens * settings.max_length * 8
    needed = 4 * (COPIES_OF_WEIGHTS * parameters + logits + activations) / 2**20
    if needed > settings.memory_budget_mb:
        raise ValueError(
            f"training on {items} items needs about {needed:.0f} MB, above memory_budget_mb = "
            f"{settings.memory_budget_mb}; lower dimension, batch_tokens or negatives, or raise the budget"
        )


def _proposal(untrained: Untrained) -> Tensor:
    """Where negatives are drawn from: half by damped popularity, half uniformly, so that no item is never drawn."""
    damped = untrained.popularity.astype(np.float64) ** 0.75
    return torch.from_numpy(0.5 * damped / damped.sum() + 0.5 / len(damped)).float()
