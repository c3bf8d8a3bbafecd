"""Tuning a cross-encoder: the right passage of each list against wrong ones that the search ranked high."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ml.data.newest import Rows
from ml.data.passage_lists import PassageLists
from ml.nn.cross_encoder import CrossEncoder
from ml.nn.losses import half_precision
from ml.nn.names import Device
from ml.training.environment import device_named
from ml.training.layer_rates import layer_groups, warm_up_and_fall


@dataclass(frozen=True)
class CrossTuning:
    """`negatives` wrong passages stand beside each right one, drawn from the list; a list with fewer is left out."""

    epochs: int
    batch_lists: int
    negatives: int
    tokens: int
    learning_rate: float
    layer_decay: float
    head_rate: float
    seed: int
    device: Device = "cpu"


def tune_cross_encoder(
    start: CrossEncoder,
    lists: PassageLists,
    rows: Rows,
    tuning: CrossTuning,
    *,
    judge: Callable[[CrossEncoder], float],
    tick: Callable[[int, int], None] = lambda step, steps: None,
) -> tuple[CrossEncoder, list[float]]:
    """The copy of `start` that `judge` scored best after any epoch, and the score of each, the first being that of
    `start` as it is. The copy lies on the CPU. Deterministic by seed there, given a seeded torch.

    The loss is the softmax cross-entropy of each right passage among its hard negatives (Gao, Dai and Callan, 2021,
    section 3.2). Raises ValueError where no list has a right passage and enough wrong ones.
    """
    usable = np.array([row for row in rows if _is_usable(lists.right[row], tuning.negatives)], dtype=np.int64)
    if not len(usable):
        raise ValueError(f"no list has a right passage and {tuning.negatives} wrong ones; lower negatives")
    device = device_named(tuning.device)
    model = CrossEncoder(copy.deepcopy(start.model).to(device), start.tokenizer)
    optimizer = torch.optim.AdamW(_groups(model.model, tuning), weight_decay=0.01, fused=True)
    batches = -(-len(usable) // tuning.batch_lists)
    steps = batches * tuning.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warm_up_and_fall(step, steps))
    half = device.type == "cuda" or half_precision(device)
    scores, best = [judge(model)], copy.deepcopy(model.model.state_dict())
    for epoch in range(tuning.epochs):
        generator = np.random.default_rng([tuning.seed, epoch])
        model.model.train()
        for number, chosen in enumerate(np.array_split(generator.permutation(usable), batches)):
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
                logits = _logits(model, lists, chosen, tuning, generator)
            loss = functional.cross_entropy(logits.float(), torch.zeros(len(chosen), dtype=torch.int64, device=device))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_([weight for group in optimizer.param_groups for weight in group["params"]], 1.0)
            optimizer.step()
            schedule.step()
            tick(epoch * batches + number + 1, steps)
        model.model.eval()
        scores.append(judge(model))
        if scores[-1] > max(scores[:-1]):
            best = copy.deepcopy(model.model.state_dict())
    model.model.load_state_dict(best)
    model.model.cpu()
    return model, scores


def _is_usable(right: list[bool], negatives: int) -> bool:
    return any(right) and len(right) - sum(right) >= negatives


def _logits(
    model: CrossEncoder, lists: PassageLists, rows: Rows, tuning: CrossTuning, generator: np.random.Generator
) -> Tensor:
    """(lists, 1 + negatives), the right passage first."""
    asked, passages = [], []
    for row in rows:
        right = np.array(lists.right[row])
        one = generator.choice(np.flatnonzero(right))
        others = generator.choice(np.flatnonzero(~right), tuning.negatives, replace=False)
        asked += [lists.asked[row][place] for place in (one, *others)]
        passages += [lists.passages[row][place] for place in (one, *others)]
    return model.logits(asked, passages, tokens_read=tuning.tokens).view(len(rows), 1 + tuning.negatives)


def _groups(model: nn.Module, tuning: CrossTuning) -> list[dict[str, object]]:
    """The layers, and what lies above them."""
    layers = layer_groups(model, learning_rate=tuning.learning_rate, layer_decay=tuning.layer_decay)
    stack = {id(weight) for group in layers for weight in group["params"]}
    above = [
        weight for name, weight in model.named_parameters() if id(weight) not in stack and "embeddings" not in name
    ]
    for weight in above:
        weight.requires_grad_(True)
    return [*layers, {"params": above, "lr": tuning.head_rate}]
