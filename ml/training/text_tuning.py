"""Tuning a text encoder on behaviour: texts of items that follow each other come to lie close together."""

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ml.nn.text_encoder import TextEncoder
from ml.training.layer_rates import warm_up_and_fall

Items = NDArray[np.int64]

# Only the last layers learn: the first ones know the language, and leaving them alone halves a step.
TUNED_LAYERS = 2
PAIRS_AT_ONCE = 64
# A title, and a few words more: a step on whole descriptions would take minutes from the training itself.
TOKENS_READ = 32
LEARNING_RATE = 1e-4
TEMPERATURE = 0.05
NEVER = -1e9


def tune_text_encoder(
    encoder: TextEncoder,
    texts: Sequence[str],
    first: Items,
    second: Items,
    *,
    steps: int,
    seed: int,
    tick: Callable[[int], None] = lambda step: None,
) -> TextEncoder:
    """A copy that was tuned on pairs: item second[p] (0-based, into `texts`) came right after item first[p].

    A softmax over the batch's second items, each logit less the log of how often its item is drawn (Yi et al., 2019,
    sections 3 and 4). `tick(step)` is called after each step. Raises ValueError where no pair has two texts.
    """
    has_text = np.array([bool(text.strip()) for text in texts])
    usable = has_text[first] & has_text[second] & (first != second)
    first, second = first[usable], second[usable]
    if not len(first):
        raise ValueError("no two items with a text follow each other in the log; use text_encoder frozen")
    log_share = np.log(np.bincount(second, minlength=len(texts)).clip(min=1) / len(second))
    model = copy.deepcopy(encoder.model)
    tuned = _last_layers(model)
    optimizer = torch.optim.AdamW(tuned, lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warm_up_and_fall(step, steps))
    generator = np.random.default_rng(seed)
    # Dropout stays off: few steps on short texts do not overfit, and the batch is the noise.
    tuning = TextEncoder(model, encoder.tokenizer)
    for step in range(steps):
        pair = generator.integers(len(first), size=PAIRS_AT_ONCE)
        loss = _contrast(tuning, texts, first[pair], second[pair], torch.from_numpy(log_share[second[pair]]).float())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(tuned, 1.0)
        optimizer.step()
        schedule.step()
        tick(step + 1)
    return TextEncoder(model.requires_grad_(False), encoder.tokenizer)


def _contrast(encoder: TextEncoder, texts: Sequence[str], first: Items, second: Items, log_share: Tensor) -> Tensor:
    items, place = np.unique(np.concatenate([first, second]), return_inverse=True)
    vectors = encoder.embed([texts[item] for item in items], tokens_read=TOKENS_READ)
    left, right = vectors[place[: len(first)]], vectors[place[len(first) :]]
    logits = left @ right.T / TEMPERATURE - log_share
    same = torch.from_numpy((second[:, None] == second) & ~np.eye(len(second), dtype=bool))
    # Another pair's item that is the wanted one too is no wrong answer.
    return functional.cross_entropy(logits.masked_fill(same, NEVER), torch.arange(len(first)))


def _last_layers(model: nn.Module) -> list[nn.Parameter]:
    """Freezes all but the last layers of the longest stack of layers, and gives these layers' weights."""
    model.requires_grad_(False)
    stacks = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    if not stacks:
        raise ValueError("this text encoder has no stack of layers to tune; use text_encoder frozen")
    layers = max(stacks, key=len)[-TUNED_LAYERS:].requires_grad_(True)
    return list(layers.parameters())
