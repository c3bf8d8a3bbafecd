"""Tuning a text encoder on labelled texts: texts of one intent come to lie close together, around its prototype."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ml.nn.losses import half_precision
from ml.nn.names import Device
from ml.nn.text_encoder import TextEncoder
from ml.training.environment import device_named
from ml.training.layer_rates import layer_groups, warm_up_and_fall

Codes = NDArray[np.int64]

OUT_OF_SCOPE = -1
# Batches are cut from so many texts of like length, so that short ones need little padding.
BATCHES_IN_POOL = 16
TOKENS_READ = 64


@dataclass(frozen=True)
class Tuning:
    """How an encoder is tuned. The rate is that of the last layer; each layer below learns `layer_decay` times as fast,
    and the table of words stays. `contrast` weighs the supervised contrastive loss beside the cross-entropy."""

    steps: int
    batch: int = 32
    learning_rate: float = 2e-4
    layer_decay: float = 0.8
    prototype_rate: float = 1e-2
    temperature: float = 0.05
    smoothing: float = 0.05
    contrast: float = 0.5
    device: Device = "cpu"


def tune_on_intents(
    encoder: TextEncoder,
    texts: Sequence[str],
    codes: Codes,
    names: Sequence[str],
    tuning: Tuning,
    *,
    seed: int,
    tick: Callable[[int], None] = lambda step: None,
) -> TextEncoder:
    """A copy of the encoder for these intents; codes[i] is an index into `names`, or OUT_OF_SCOPE.

    Cross-entropy over the cosines to one prototype an intent, which starts as the mean of its texts and of its name,
    together with the supervised contrastive loss (Khosla et al., 2020, equation 2) of the batch. A text out of scope
    shall be equally far from all prototypes (Hendrycks et al., 2019, section 3). The copy lies on the device that it
    was trained on, and is deterministic by seed on the CPU.
    """
    device = device_named(tuning.device)
    model = copy.deepcopy(encoder.model).to(device)
    tuned = TextEncoder(model, encoder.tokenizer)
    texts = [*texts, *map(name_in_words, names)]
    codes = np.concatenate([codes, np.arange(len(names))])
    means = _means(encoder.encode(texts), codes, len(names))
    prototypes = nn.Parameter(torch.from_numpy(means).to(device))
    groups = [
        *layer_groups(model, learning_rate=tuning.learning_rate, layer_decay=tuning.layer_decay),
        {"params": [prototypes], "lr": tuning.prototype_rate},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warm_up_and_fall(step, tuning.steps))
    half = device.type == "cuda" or half_precision(device)
    torch.manual_seed(seed)
    model.train()
    for step, rows in enumerate(_batches(texts, codes, tuning, seed)):
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
            vectors = tuned.embed([texts[row] for row in rows], tokens_read=TOKENS_READ)
        wanted = torch.from_numpy(codes[rows]).to(device)
        loss = _loss(vectors.float(), wanted, functional.normalize(prototypes, dim=1), tuning)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_([weight for group in optimizer.param_groups for weight in group["params"]], 1.0)
        optimizer.step()
        schedule.step()
        tick(step + 1)
    return TextEncoder(model.requires_grad_(False), encoder.tokenizer)


def name_in_words(name: str) -> str:
    """An intent's name as a text: lost_or_stolen_card says what its customers write about."""
    return name.replace("_", " ").lower()


def _loss(vectors: Tensor, codes: Tensor, prototypes: Tensor, tuning: Tuning) -> Tensor:
    intents = len(prototypes)
    known = codes != OUT_OF_SCOPE
    target = torch.full((len(codes), intents), 1.0 / intents, device=codes.device)
    sharp = functional.one_hot(codes[known], intents).float()
    target[known] = (1.0 - tuning.smoothing) * sharp + tuning.smoothing / intents
    loss = functional.cross_entropy(vectors @ prototypes.T / tuning.temperature, target)
    return loss + tuning.contrast * _contrast(vectors, codes, tuning.temperature) if tuning.contrast else loss


def _contrast(vectors: Tensor, codes: Tensor, temperature: float) -> Tensor:
    """Mean over the texts that have another one of their intent in the batch; 0 where none has."""
    itself = torch.eye(len(codes), dtype=torch.bool, device=codes.device)
    same = (codes[:, None] == codes) & ~itself & (codes != OUT_OF_SCOPE)[:, None]
    log_share = (vectors @ vectors.T / temperature).masked_fill(itself, -1e9).log_softmax(dim=1)
    pairs = same.sum(dim=1)
    each = -(log_share * same).sum(dim=1) / pairs.clamp(min=1)
    return each.sum() / (pairs > 0).sum().clamp(min=1)


def _means(vectors: NDArray[np.float32], codes: Codes, intents: int) -> NDArray[np.float32]:
    sums = np.zeros((intents, vectors.shape[1]), dtype=np.float32)
    known = codes != OUT_OF_SCOPE
    np.add.at(sums, codes[known], vectors[known])
    return sums / np.linalg.norm(sums, axis=1, keepdims=True).clip(min=1e-9)


def _batches(texts: Sequence[str], codes: Codes, tuning: Tuning, seed: int) -> Iterator[Codes]:
    """`steps` batches of pairs: passes over all texts, each text beside another one of its intent, so that the
    contrastive loss has something to draw together however many intents there are."""
    generator = np.random.default_rng(seed)
    lengths = np.array([len(text) for text in texts])
    made = 0
    while True:
        pairs = _pairs(codes, generator)
        longest = np.array([lengths[pair].max() for pair in pairs])
        size = max(1, tuning.batch // 2)
        batches: list[Codes] = []
        for begin in range(0, len(pairs), size * BATCHES_IN_POOL):
            alike = np.arange(begin, min(begin + size * BATCHES_IN_POOL, len(pairs)))
            alike = alike[np.argsort(longest[alike], kind="stable")]
            batches += [
                np.concatenate([pairs[number] for number in alike[start : start + size]])
                for start in range(0, len(alike), size)
            ]
        for number in generator.permutation(len(batches)):
            if made == tuning.steps:
                return
            made += 1
            yield batches[number]


def _pairs(codes: Codes, generator: np.random.Generator) -> list[Codes]:
    """All rows in random order, two of one intent at a time; the odd one of an intent stands alone."""
    pairs: list[Codes] = []
    for code in np.unique(codes):
        rows = generator.permutation(np.flatnonzero(codes == code))
        pairs += [rows[start : start + 2] for start in range(0, len(rows), 2)]
    return [pairs[number] for number in generator.permutation(len(pairs))]
