"""Training a dual encoder on accepted replies: the other replies of a batch are a pair's wrong answers."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ml.data.reply_pairs import CustomerEvent, Rows
from ml.data.vocabulary import Vocabulary
from ml.nn.device import device_of
from ml.nn.reply_encoder import ReplyEncoder
from ml.serving.reply_inputs import AskedTexts, ReplyTexts, bags_of, event_batch

WARM_UP_STEPS = 20
LEAST_RATE = 0.02
NEVER = -1e9


@dataclass(frozen=True)
class Examples:
    """Pairs as the network reads them; equal replies have equal `codes` (pairs,)."""

    asked: AskedTexts
    replies: ReplyTexts
    events: list[list[CustomerEvent]]
    codes: Rows
    vocabulary: Vocabulary


@dataclass(frozen=True)
class ReplyTuning:
    """`stop_after` epochs of a schedule that falls over all `epochs`."""

    epochs: int
    stop_after: int
    batch: int
    learning_rate: float
    temperature: float
    seed: int


def train_reply_encoder(
    network: ReplyEncoder,
    examples: Examples,
    rows: Rows,
    tuning: ReplyTuning,
    *,
    judge: Callable[[], float] | None = None,
    tick: Callable[[int, int], None] = lambda step, steps: None,
) -> tuple[int, list[float]]:
    """Train in place on these pairs, and return after how many epochs the weights are that it has then, with the score
    of each epoch: the epoch's that `judge` scored best, or without it the last one's. Deterministic by seed, given a
    seeded torch."""
    optimizer = torch.optim.Adam(network.parameters(), lr=tuning.learning_rate, fused=True)
    batches = batches_of(len(rows), tuning.batch)
    steps = batches * tuning.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    scores: list[float] = []
    best: tuple[int, dict[str, Tensor]] | None = None
    for epoch in range(tuning.stop_after):
        network.train()
        order = np.random.default_rng([tuning.seed, epoch]).permutation(rows)
        for number in range(batches):
            chosen = order[number * tuning.batch : (number + 1) * tuning.batch]
            loss = contrast(network, examples, chosen, tuning.temperature)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            tick(epoch * batches + number + 1, batches * tuning.stop_after)
        network.eval()
        if judge is not None:
            scores.append(judge())
            if scores[-1] == max(scores):
                best = epoch + 1, copy.deepcopy(network.state_dict())
    if best is None:
        return tuning.stop_after, scores
    network.load_state_dict(best[1])
    return best[0], scores


def batches_of(pairs: int, batch: int) -> int:
    """In one epoch; what is left over waits for another one."""
    return max(1, pairs // batch)


def contrast(network: ReplyEncoder, examples: Examples, rows: Rows, temperature: float) -> Tensor:
    """The mean of both cross-entropies, of the replies for each conversation and the other way round; a reply with the
    same text as the wanted one is no wrong answer."""
    asked, replies = examples.asked.rows(rows), examples.replies.rows(rows)
    events, device = None, device_of(network)
    if network.events is not None:
        events = event_batch([examples.events[row] for row in rows], examples.vocabulary).to(device)
    left, _ = network.conversation(asked.bags().to(device), torch.from_numpy(asked.text).to(device), events)
    right = network.reply(bags_of(replies.counts).to(device), torch.from_numpy(replies.text).to(device))
    codes = examples.codes[rows]
    same = torch.from_numpy((codes[:, None] == codes) & ~np.eye(len(codes), dtype=bool)).to(device)
    logits = (left @ right.T / temperature).masked_fill(same, NEVER)
    own = torch.arange(len(rows), device=device)
    return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2.0


def _rate(step: int, steps: int) -> float:
    return min(1.0, (step + 1) / WARM_UP_STEPS) * max(LEAST_RATE, 1.0 - step / steps)
