"""What the trainer needs for the next-item task: a fresh network, its batches and its loss, within a memory budget."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.data.batches import gather_batch, length_buckets, training_windows
from ml.data.columns import EventColumns
from ml.data.item_features import ItemFeatures
from ml.data.splits import Split
from ml.evaluation.untrained import Untrained
from ml.nn.encoders import BidirectionalTransformer
from ml.nn.losses import LOGITS_IN_MEMORY, half_precision
from ml.nn.sequence_model import Encoded, SequenceModel
from ml.tasks.config import NextItemConfig
from ml.tasks.multi_task import MultiTask, head_arguments

Indices = NDArray[np.int64]
Window = tuple[Indices, Indices]

# Above this many items the full softmax costs more than it teaches, and the sampled one takes over.
FULL_SOFTMAX_ITEMS = 10_000
# A copy head pays when at least this share of the training events repeats one of the items just before.
WORTHWHILE_REPEATS = 0.02
# A bidirectional encoder guesses the last event alone, as it does when it predicts, in this share of the sequences.
LAST_ALONE = 0.1
# Where an encoder that looks both ways learns from prefixes: how many of them for each window of an ordinary epoch.
PREFIXES_PER_WINDOW = 4
# Weights, gradients, Adam's two moments, the best weights, and one copy on its way to the checkpoint.
COPIES_OF_WEIGHTS = 6


def network_arguments(
    columns: EventColumns, split: Split, settings: NextItemConfig, features: ItemFeatures | None
) -> dict[str, Any]:
    """The keyword arguments of SequenceModel, which the artifact keeps to rebuild it. JSON-able."""
    copying = settings.copying
    if copying is None:
        copying = settings.loss != "gbce" and repeat_share(columns, split, settings.rule_window) >= WORTHWHILE_REPEATS
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
        **_content_arguments(features, settings),
        **head_arguments(settings),
    }


def _content_arguments(features: ItemFeatures | None, settings: NextItemConfig) -> dict[str, Any]:
    """Arguments of a network that knows items by content; none for another. Raises ValueError for missing content."""
    wanted = [name for name in settings.inputs if name in ("attributes", "text")]
    if not wanted:
        return {}
    sizes = {"attributes": features.values if features else 0, "text": features.text_dimension if features else 0}
    missing = [name for name in wanted if not sizes[name]]
    if missing:
        raise ValueError(f"the log has no item {' and no '.join(missing)}; write item features beside it first")
    return {
        "attribute_values": sizes["attributes"] if "attributes" in wanted else 0,
        "text_dimension": sizes["text"] if "text" in wanted else 0,
        "id_dropout": settings.id_dropout,
    }


def build_network(
    arguments: dict[str, Any], untrained: Untrained, features: ItemFeatures | None = None
) -> SequenceModel:
    """A fresh network whose item biases start at the items' log-popularity, so that it need not learn that first."""
    model = SequenceModel(**arguments)
    if features is not None and model.embedding.content is not None:
        model.embedding.describe(features)
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
    # With heads the last training event is an input too: the outcome of the days after it may be known.
    train_end = split.train_end + 1 if settings.prediction_heads else split.train_end
    start, end = training_windows(split.train_start, train_end, length=settings.max_length, generator=generator)
    if learns_from_prefixes(settings):
        start, end = prefix_windows(
            split.train_start,
            train_end,
            length=settings.max_length,
            count=PREFIXES_PER_WINDOW * len(start),
            generator=generator,
        )
    if fresh is not None:
        subject = np.searchsorted(split.train_start, start, side="right") - 1
        is_new = end >= fresh[subject]
        old = generator.permutation(np.flatnonzero(~is_new))[: round(settings.replay * np.count_nonzero(is_new))]
        kept = np.concatenate([np.flatnonzero(is_new), old])
        start, end = start[kept], end[kept]
    buckets = length_buckets(end - start, tokens=settings.batch_tokens, generator=generator)
    return [(start[chosen], end[chosen]) for chosen in buckets]


def learns_from_prefixes(settings: NextItemConfig) -> bool:
    """Whether the network is asked about the ends of what it reads alone. Heads ask so of an encoder that looks both
    ways, which sees the outcome of every earlier event."""
    both_ways = settings.encoder == "bidirectional"
    return both_ways and (settings.objective == "next" or bool(settings.prediction_heads))


def prefix_windows(
    start: Indices, end: Indices, *, length: int, count: int, generator: np.random.Generator
) -> tuple[Indices, Indices]:
    """At most `count` windows, each the events up to one that is drawn, at most `length` of them. Every event but each
    subject's last is as likely as any other, so that outcomes are met as often as they come. Returns (start, end)."""
    inputs = np.maximum(end - start - 1, 0)
    chosen = np.sort(generator.permutation(int(inputs.sum()))[:count])
    subject = np.searchsorted(np.cumsum(inputs), chosen, side="right")
    before = np.cumsum(inputs) - inputs
    window_end = start[subject] + (chosen - before[subject]) + 1
    return np.maximum(start[subject], window_end - length), window_end


def window_targets(columns: EventColumns, start: Indices, end: Indices) -> Tensor:
    """The item of the event after each input, (B, L) int64 codes; 0 on padding and before an event without an item."""
    position = start[:, None] + np.arange((end - start).max())
    item = columns.item[following_events(columns, start, end)]
    return torch.from_numpy(np.where(position < end[:, None], item, 0).astype(np.int64))


def following_events(columns: EventColumns, start: Indices, end: Indices) -> Indices:
    """The row of the event after each input, (B, L); any row on padding."""
    position = start[:, None] + np.arange((end - start).max())
    return np.minimum(position + 1, columns.events - 1)


def masked_targets(target: Tensor, length: Tensor, share: float) -> Tensor:
    """The targets (B, L) that are asked for at once, the others 0: the last of each sequence, and `share` of the rest.

    Uses torch's random state, so that a resumed run masks what an uninterrupted one would.
    """
    asked = (torch.rand(target.shape) < share) & (torch.rand(len(target), 1) >= LAST_ALONE)
    asked |= torch.arange(target.shape[1]) == length[:, None] - 1
    return target * asked


def target_weights(columns: EventColumns, settings: NextItemConfig) -> NDArray[np.float32]:
    """What a target of each event type counts, (types,), as a share of the heaviest one's.

    Raises ValueError for weights of types that the log does not have, and where no type counts.
    """
    given = settings.type_weights or {}
    unknown = sorted(set(given) - set(columns.types))
    if unknown:
        raise ValueError(
            f"type_weights names {', '.join(unknown)}; the log's event types are {', '.join(columns.types)}"
        )
    weights = np.array([given.get(name, 1.0) for name in columns.types], dtype=np.float32)
    if not weights.max() > 0:
        raise ValueError("type_weights leaves no event type to learn from; give one a weight above 0")
    return weights / weights.max()


def make_loss(
    model: SequenceModel,
    columns: EventColumns,
    settings: NextItemConfig,
    untrained: Untrained,
    multi_task: MultiTask | None = None,
) -> Callable[[Window], Tensor]:
    """Mean negative log-probability of the targets of one batch, each times its type's weight; with `multi_task` in
    balance with the losses of the prediction heads."""
    device = model.bias.device
    by_sample = sampled(settings, len(columns.items)) and settings.loss != "gbce"
    proposal = _proposal(untrained).to(device) if by_sample else None
    weights = target_weights(columns, settings)
    weighted = bool((weights < 1).any())
    masked = isinstance(model.encoder, BidirectionalTransformer)
    mask_share = 0.0 if settings.objective == "next" else settings.mask_share
    exact = settings.loss != "gbce" and proposal is None and model.copying is None
    half = settings.mixed_precision and half_precision(device)

    def item_loss_sum(encoded: Encoded, target: Tensor, weight: Tensor | None) -> Tensor:
        if exact:
            return model.cross_entropy(encoded, target, weight=weight, half=half)
        if settings.loss == "gbce":
            likelihood = model.gbce(encoded, target, negatives=settings.negatives, calibration=settings.calibration)
        else:
            likelihood = model.item_log_probability(encoded, target, proposal=proposal, negatives=settings.negatives)
        return -(likelihood.sum() if weight is None else (likelihood * weight).sum())

    def loss(window: Window) -> Tensor:
        start, end = window
        batch = gather_batch(columns, start, end)
        target = window_targets(columns, start, end)
        if multi_task is not None:
            target = multi_task.with_next_event(target, start)
        if masked:
            target = masked_targets(target, batch.length, mask_share)
        if weighted:
            weight = torch.from_numpy(weights[columns.type[following_events(columns, start, end)]])
            target = target * (weight > 0)
            weight = weight[target > 0].to(device)
        # A batch without any target (events without items only) has nothing to teach, and no mean.
        targets = max(1, int((target > 0).sum()))
        target, batch = target.to(device), batch.to(device)
        encoded = model.encode(batch, target > 0)
        item_loss = item_loss_sum(encoded, target, weight if weighted else None) / targets
        if multi_task is None:
            return item_loss
        return multi_task.total(model, encoded, target, item_loss, start, end)

    return loss


def sampled(settings: NextItemConfig, items: int) -> bool:
    """Whether the loss compares the targets with drawn items only."""
    return settings.loss in ("sampled", "gbce") or (settings.loss == "auto" and items > FULL_SOFTMAX_ITEMS)


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
