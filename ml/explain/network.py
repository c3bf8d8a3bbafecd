"""The network's probability of an item, shared among the events that it read.

With g the copy share, the probability is (1 - g) softmax + g copied. What is copied is owed to the events that it is
copied from. The softmax's part is shared by one of the METHODS:

- content: among the events that raise the item above the others, in proportion to how much each does. Its logit is an
  exact sum over the events (AttentionPooling); what an event adds to all items alike moves no probability, and is left
  out by comparing with the mean item under the softmax, as the softmax's gradient does.
- attention: in proportion to the weights of the pooling, whatever the item.
- integrated_gradients: by Sundararajan et al. (2017), section 3. It is the only one that follows an event through the
  encoder, and so the only one that can say that an event speaks against an item.
"""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ml.data.batches import EventBatch
from ml.nn.sequence_model import Reading, SequenceModel

Method = Literal["content", "attention", "integrated_gradients"]
METHODS: tuple[Method, ...] = ("content", "attention", "integrated_gradients")

# Points of the Gauss-Legendre rule along the path; 16 miss the difference to the baseline by a thousandth or less.
STEPS = 16
# Sequences that go through the encoder at once.
PATHS_AT_ONCE = 512
# Less likely items hardly move the mean.
LIKELY = 1e-4


@torch.no_grad()
def shared_probability(
    model: SequenceModel,
    reading: Reading,
    batch: EventBatch,
    row: int,
    codes_K: Tensor,
    generated_K: Tensor,
    usual_D: Tensor,
    method: Method,
) -> tuple[Tensor, Tensor]:
    """Parts of the network's probabilities of K items by event, (L, K), and the parts owed to none, (K,).

    `reading` is what the model makes of the batch, `row` the sequence that is asked about, and L its length; codes 0
    are items that the model has never heard of. generated_K holds the softmax of the known ones, usual_D the mean item
    vector under it.
    """
    length = int(batch.length[row])
    known_K = (codes_K > 0).to(generated_K)
    column_K = (codes_K - 1).clamp(min=0)
    if method == "integrated_gradients":
        softmax_LK, base_K = integrated_gradients(model, one_sequence(batch, row), column_K)
    else:
        share_LK = _by_attention(reading, row)
        if method == "content":
            share_LK = _by_content(reading, row, model.table[column_K] - usual_D)
        softmax_LK, base_K = share_LK[:length] * generated_K, torch.zeros_like(generated_K)
    copied_LK = reading.copy_weight[row, :length, None] * (reading.item[row, :length, None] == codes_K)
    copy = reading.copy_share[row]
    return ((1.0 - copy) * softmax_LK + copy * copied_LK) * known_K, (1.0 - copy) * base_K * known_K


def method_named(name: str) -> Method:
    """Raises ValueError that lists the methods."""
    for method in METHODS:
        if method == name:
            return method
    raise ValueError(f"attribution '{name}' is unknown; use {', '.join(METHODS)}")


def usual_item(model: SequenceModel, generated_J: Tensor) -> Tensor:
    """The mean item vector under a softmax over all items, (D,), of those that are likely where these are most of it:
    to read all of a large catalogue would take as long as to score it."""
    likely = generated_J > LIKELY
    if generated_J[likely].sum() < 0.5:
        return generated_J @ model.table
    column = likely.nonzero()[:, 0]
    share = generated_J[column]
    return (share / share.sum()) @ model.table[column]


def _by_content(reading: Reading, row: int, above_KD: Tensor) -> Tensor:
    raised_LK = reading.logit_shares(row, above_KD).clamp(min=0.0)
    return raised_LK / raised_LK.sum(dim=0).clamp(min=1e-12)


def _by_attention(reading: Reading, row: int) -> Tensor:
    return reading.weight[row, :, None]


@torch.no_grad()
def integrated_gradients(
    model: SequenceModel, sequence: EventBatch, column_K: Tensor, steps: int = STEPS
) -> tuple[Tensor, Tensor]:
    """Integrated gradients of the softmax of K items (0-based) by event, (L, K), and the softmax at the baseline, (K,).

    The path leads from events of which nothing is known, vectors of 0, to those of the one `sequence`; together both
    are the softmax at its end (completeness), but for the error of the sum over `steps` points.
    """
    events_LD = model.embedding(sequence)[0]
    table_JD = model.table
    # The baseline's point comes with weight 0, for its value alone.
    node, weight = np.polynomial.legendre.leggauss(steps)
    points_S = torch.tensor([0.0, *(node + 1.0) / 2.0]).to(events_LD)
    weights_S = torch.tensor([0.0, *weight / 2.0]).to(events_LD)
    path_SLD = points_S[:, None, None] * events_LD
    pooled_SD = model.pooled_after(path_SLD, sequence.length.expand(len(path_SLD)))
    softmax_SJ = torch.addmm(model.bias, pooled_SD, table_JD.T).softmax(dim=1)
    base_K = softmax_SJ[0, column_K]
    # d softmax_k / d pooled = softmax_k (vector_k - mean vector under the softmax)
    slope_SKD = softmax_SJ[:, column_K, None] * (table_JD[column_K] - (softmax_SJ @ table_JD)[:, None])
    attributed_KL = torch.zeros(len(column_K), len(events_LD)).to(events_LD)
    items_at_once = max(1, PATHS_AT_ONCE // steps)
    for begin in range(0, len(column_K), items_at_once):
        part = slice(begin, begin + items_at_once)
        gradient_SKLD = _path_gradients(model, path_SLD[1:], slope_SKD[1:, part], sequence.length)
        attributed_KL[part] = torch.einsum("s,skld,ld->kl", weights_S[1:], gradient_SKLD, events_LD)
    return attributed_KL.T, base_K


def _path_gradients(model: SequenceModel, path_SLD: Tensor, slope_SKD: Tensor, length: Tensor) -> Tensor:
    """Gradients of slope . pooled by the event vectors at each point of the path, (S, K, L, D)."""
    steps, items = slope_SKD.shape[:2]
    # cuDNN's recurrent kernels go backwards in training mode only.
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        events = path_SLD[:, None].expand(-1, items, -1, -1).flatten(0, 1).detach().requires_grad_()
        pooled = model.pooled_after(events, length.expand(steps * items))
        (gradient,) = torch.autograd.grad((pooled * slope_SKD.flatten(0, 1)).sum(), events)
    return gradient.unflatten(0, (steps, items))


def one_sequence(batch: EventBatch, row: int) -> EventBatch:
    """A batch of one row, without its padding."""
    length = int(batch.length[row])
    rows = {name: part if part.dim() == 0 else part[row : row + 1] for name, part in vars(batch).items()}
    return EventBatch(**{name: part[:, :length] if part.dim() == 2 else part for name, part in rows.items()})
