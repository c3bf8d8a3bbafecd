"""The network's probability of an item, shared among the events that it read.

With g the copy share, the probability is (1 - g) softmax + g copied. What is copied is owed to the events that it is
copied from. The softmax's part is shared by one of the METHODS:

- content: among the events that raise the item above the others, in proportion to how much each does. Its logit is an
  exact sum over the events (AttentionPooling); what an event adds to all items alike moves no probability, and is left
  out by comparing with the mean item under the softmax, as the softmax's gradient does. Costs next to nothing.
- attention: in proportion to the weights of the pooling, whatever the item.
- integrated_gradients: by Sundararajan et al. (2017), section 3, of the logarithm of the softmax. It is the only one
  that follows an event through the encoder, and so the only one that can say that an event speaks against an item. It
  costs STEPS passes through the network for each item, there and back.
"""

import numpy as np
import torch
from torch import Tensor

from ml.data.batches import EventBatch
from ml.explain import Method
from ml.nn.sequence_model import Reading, SequenceModel

# Points of the Gauss-Legendre rule along the path: enough for parts that sum to the score within a thousandth.
STEPS = 24
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
        softmax_LK, _ = integrated_gradients(model, one_sequence(batch, row), column_K)
    else:
        share_LK = _by_attention(reading, row)
        if method == "content":
            share_LK = _by_content(reading, row, model.table[column_K], usual_D)
        softmax_LK = share_LK[:length] * generated_K
    base_K = (generated_K - softmax_LK.sum(dim=0)).clamp(min=0.0)
    copied_LK = reading.copy_weight[row, :length, None] * (reading.item[row, :length, None] == codes_K)
    copy = reading.copy_share[row]
    return ((1.0 - copy) * softmax_LK + copy * copied_LK) * known_K, (1.0 - copy) * base_K * known_K


@torch.no_grad()
def usual_item(model: SequenceModel, generated_J: Tensor) -> Tensor:
    """The mean item vector under a softmax over all items, (D,), of those that are likely where these are most of it:
    to read all of a large catalogue would take as long as to score it."""
    likely = generated_J > LIKELY
    if generated_J[likely].sum() < 0.5:
        return generated_J @ model.table
    column = likely.nonzero()[:, 0]
    share = generated_J[column]
    return (share / share.sum()) @ model.table[column]


def _by_content(reading: Reading, row: int, vectors_KD: Tensor, usual_D: Tensor) -> Tensor:
    logit_LK = reading.logit_shares(row, vectors_KD)
    raised_LK = (logit_LK - reading.logit_shares(row, usual_D[None])).clamp(min=0.0)
    # An item far down the list stands below the likely ones whatever happened: what raises it at all is named then.
    raised_LK = torch.where(raised_LK.sum(dim=0) > 0.0, raised_LK, logit_LK.clamp(min=0.0))
    return raised_LK / raised_LK.sum(dim=0).clamp(min=1e-12)


def _by_attention(reading: Reading, row: int) -> Tensor:
    return reading.weight[row, :, None]


@torch.no_grad()
def integrated_gradients(
    model: SequenceModel, sequence: EventBatch, column_K: Tensor, steps: int = STEPS
) -> tuple[Tensor, Tensor]:
    """Integrated gradients of K items (0-based) by event, (L, K), and the softmax at the baseline, (K,).

    The path leads to the events of the one `sequence` from a baseline where all events are alike: the mean of them and
    of an event of which nothing is known, a vector of 0, so that a lone event is not its own baseline. From 0 alone the
    path is dominated by how encoders normalise what they read, and names events less faithfully.

    What is integrated is the logarithm of the softmax p: of p itself, nearly all would stem from the end of the path,
    where p is largest. Parts of log p become parts of p by the logarithmic mean (p1 - p0) / log(p1 / p0) (the additive
    index of Ang, 2004, section 3), so that both together are the softmax at the path's end (completeness), but for the
    error of the sum over `steps` points.
    """
    events_LD = model.embedding(sequence)[0]
    table_JD = model.table
    node, weight = np.polynomial.legendre.leggauss(steps)
    place = (node + 1.0) / 2.0
    # Most happens near the baseline, where encoders normalise what is short: points at place^3 are densest there. The
    # ends come with weight 0, for their values alone.
    points_S = torch.tensor([0.0, *place**3, 1.0]).to(events_LD)
    weights_S = torch.tensor(weight / 2.0 * 3.0 * place**2).to(events_LD)
    baseline_D = events_LD.sum(dim=0) / (len(events_LD) + 1)
    change_LD = events_LD - baseline_D
    path_SLD = baseline_D + points_S[:, None, None] * change_LD
    pooled_SD = model.pooled_after(path_SLD, sequence.length.expand(len(path_SLD)))
    log_SJ = torch.addmm(model.bias, pooled_SD, table_JD.T).log_softmax(dim=1)
    # d log softmax_k / d pooled = vector_k - the mean vector under the softmax
    slope_SKD = table_JD[column_K] - (log_SJ[1:-1].exp() @ table_JD)[:, None]
    attributed_KL = torch.zeros(len(column_K), len(events_LD)).to(events_LD)
    items_at_once = max(1, PATHS_AT_ONCE // steps)
    for begin in range(0, len(column_K), items_at_once):
        part = slice(begin, begin + items_at_once)
        gradient_SKLD = _path_gradients(model, path_SLD[1:-1], slope_SKD[:, part], sequence.length)
        attributed_KL[part] = torch.einsum("s,skld,ld->kl", weights_S, gradient_SKLD, change_LD)
    before_K, after_K = log_SJ[0, column_K], log_SJ[-1, column_K]
    return attributed_KL.T * _logarithmic_mean(before_K, after_K), before_K.exp()


def _logarithmic_mean(log_a: Tensor, log_b: Tensor) -> Tensor:
    """(b - a) / (log b - log a); a where both are the same."""
    ratio = log_b - log_a
    small = ratio.abs() < 1e-6
    return log_a.exp() * torch.where(small, 1.0, ratio.expm1() / torch.where(small, 1.0, ratio))


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
