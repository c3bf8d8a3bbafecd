"""Log-probabilities and log-likelihoods over a large catalogue in bounded memory."""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional

# Logits held at once, in elements: 32 M float32 logits are 128 MB.
LOGITS_IN_MEMORY = 32 * 2**20
LEAST_PROBABILITY = 1e-38
# Logits that a processor works on at once, in bytes: what stays in its cache is several times as fast to come back to.
LOGITS_IN_CACHE = 4 * 2**20


def half_precision(device: torch.device) -> bool:
    """Whether this device multiplies bfloat16 matrices faster than float32 ones. Graphics processors cast by autocast
    instead."""
    return device.type == "cpu" and bool(torch.cpu.get_capabilities().get("avx512_bf16"))


class SoftmaxCrossEntropy(torch.autograd.Function):
    """The sum of weight * -log softmax(states E' + bias)[target] over the positions, in chunks of positions.

    The gradients are made along with the value, chunk by chunk, so that logits are computed once, never leave the
    cache and are never stored (as in cut cross-entropy: Wijmans et al., 2024, section 4).
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        states_ND: Tensor,
        table_JD: Tensor,
        bias_J: Tensor,
        target_N: Tensor,
        weight_N: Tensor | None,
        half: bool,
    ) -> Tensor:
        kind = torch.bfloat16 if half else states_ND.dtype
        states, table, bias = states_ND.to(kind), table_JD.to(kind), bias_J.to(kind)
        rows = _rows_at_once(states, len(table_JD))
        buffer = states.new_empty(min(rows, len(states)), len(table_JD))
        total = states_ND.new_zeros(())
        states_gradient = torch.empty_like(states_ND)
        table_gradient, bias_gradient = torch.zeros_like(table_JD), torch.zeros_like(bias_J)
        for begin in range(0, len(states), rows):
            part = slice(begin, begin + rows)
            target_R1 = target_N[part, None]
            residual = buffer[: len(target_R1)]
            torch.addmm(bias, states[part], table.T, out=residual)
            torch.softmax(residual, dim=1, out=residual)
            probability_R1 = residual.gather(1, target_R1)
            loss_R = -probability_R1[:, 0].to(total.dtype).clamp_min(LEAST_PROBABILITY).log()
            # d loss / d logit_j = p_j - [j is the target]
            residual.scatter_(1, target_R1, probability_R1 - 1.0)
            if weight_N is not None:
                loss_R = loss_R * weight_N[part]
                residual *= weight_N[part, None].to(kind)
            total += loss_R.sum()
            states_gradient[part] = residual @ table
            table_gradient += residual.T @ states[part]
            bias_gradient += residual.sum(dim=0, dtype=bias_J.dtype)
        ctx.save_for_backward(states_gradient, table_gradient, bias_gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None, None]:
        states_gradient, table_gradient, bias_gradient = ctx.saved_tensors  # type: ignore[attr-defined]
        return gradient * states_gradient, gradient * table_gradient, gradient * bias_gradient, None, None, None


def _rows_at_once(states: Tensor, items: int) -> int:
    """Positions whose logits fit the cache of a processor, or the memory set aside on a graphics processor."""
    if states.is_cuda:
        return max(1, LOGITS_IN_MEMORY // items)
    return max(16, LOGITS_IN_CACHE // (items * states.element_size()))


def softmax_cross_entropy(
    states_ND: Tensor,
    table_JD: Tensor,
    bias_J: Tensor,
    target_N: Tensor,
    *,
    weight_N: Tensor | None = None,
    half: bool = False,
) -> Tensor:
    """Sum over the positions of weight * -log softmax(target), a scalar; the quickest way where no more is asked for.

    table (items, D), target_N 0-based, weight 1 where None. With `half` the logits are bfloat16: twice as fast where
    `half_precision`, with gradients good to about 1%.
    """
    return SoftmaxCrossEntropy.apply(states_ND, table_JD, bias_J, target_N, weight_N, half)


class SoftmaxLogProbability(torch.autograd.Function):
    """log softmax(states E' + bias)[target] over the whole catalogue, in chunks of positions.

    While all chunks fit LOGITS_IN_MEMORY their probabilities are kept for the backward pass; otherwise the backward
    pass computes them again, so that memory stays bounded whatever the number of positions.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, states_ND: Tensor, table_JD: Tensor, bias_J: Tensor, target_N: Tensor) -> Tensor:
        rows = max(1, min(1024, LOGITS_IN_MEMORY // len(table_JD)))
        fits = len(states_ND) * len(table_JD) <= LOGITS_IN_MEMORY
        results, kept = [], []
        for states, target in zip(states_ND.split(rows), target_N.split(rows), strict=True):
            # One softmax is several times as fast as logsumexp; a probability that underflows to 0 counts as the least.
            probability = torch.addmm(bias_J, states, table_JD.T).softmax(dim=1)
            results.append(probability.gather(1, target[:, None])[:, 0].clamp_min(LEAST_PROBABILITY).log())
            if fits:
                kept.append(probability)
        ctx.save_for_backward(states_ND, table_JD, bias_J, target_N)
        ctx.kept, ctx.rows = kept, rows  # type: ignore[attr-defined]
        return torch.cat(results)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient_N: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        states_ND, table_JD, bias_J, target_N = ctx.saved_tensors  # type: ignore[attr-defined]
        rows, kept = ctx.rows, ctx.kept  # type: ignore[attr-defined]
        states_gradient = torch.empty_like(states_ND)
        table_gradient, bias_gradient = torch.zeros_like(table_JD), torch.zeros_like(bias_J)
        for index, begin in enumerate(range(0, len(states_ND), rows)):
            part = slice(begin, begin + rows)
            states, gradient, target = states_ND[part], gradient_N[part], target_N[part]
            probability = kept[index] if kept else torch.addmm(bias_J, states, table_JD.T).softmax(dim=1)
            # d log p_target / d logit_j = [j is the target] - p_j
            probability.mul_(-gradient[:, None])
            probability.scatter_add_(1, target[:, None], gradient[:, None])
            states_gradient[part] = probability @ table_JD
            table_gradient.addmm_(probability.T, states)
            bias_gradient += probability.sum(dim=0)
        return states_gradient, table_gradient, bias_gradient, None


def softmax_log_probability(states_ND: Tensor, table_JD: Tensor, bias_J: Tensor, target_N: Tensor) -> Tensor:
    """Exact log-probability of each target, (N,). table (items, D), target_N 0-based."""
    return SoftmaxLogProbability.apply(states_ND, table_JD, bias_J, target_N)


def sampled_log_probability(
    states_ND: Tensor, table_JD: Tensor, bias_J: Tensor, target_N: Tensor, proposal_J: Tensor, negatives: int
) -> Tensor:
    """Estimated log-probability of each target, (N,), from `negatives` items drawn from `proposal_J` for all positions.

    The normaliser is exp(target) plus the importance-weighted sum over the drawn items (logQ correction: Bengio and
    Senecal, 2008; Yi et al., 2019), which is unbiased for the full sum; a draw that hits the target counts nothing.
    """
    drawn_S = torch.multinomial(proposal_J, negatives, replacement=True)
    correction_S = (negatives * proposal_J[drawn_S]).log()
    logits_NS = torch.addmm(bias_J[drawn_S] - correction_S, states_ND, table_JD[drawn_S].T)
    logits_NS = logits_NS.masked_fill(drawn_S == target_N[:, None], -torch.inf)
    target_logit_N = (states_ND * table_JD[target_N]).sum(dim=1) + bias_J[target_N]
    return target_logit_N - torch.cat([target_logit_N[:, None], logits_NS], dim=1).logsumexp(dim=1)


def gbce_log_likelihood(
    states_ND: Tensor, table_JD: Tensor, bias_J: Tensor, target_N: Tensor, negatives: int, calibration: float
) -> Tensor:
    """beta log sigmoid(target logit) + sum over drawn items of log(1 - sigmoid(logit)), (N,), to be maximised.

    Generalised binary cross-entropy (gSASRec: Petrov and Macdonald, 2023, section on gBCE). `negatives` items, at most
    as many as there are, are drawn uniformly for all positions; a draw that hits the target counts nothing, so that
    another item is met at the rate alpha = negatives / items. With the calibration t in 0..1,
    beta = alpha (t (1 - 1 / alpha) + 1 / alpha). At t = 0 it is 1, which is plain binary cross-entropy, whose sigmoids
    are far too high; at t = 1 it is alpha, and sigmoid(logit) estimates the item's probability.

    The softmax of the logits, by which items are ranked and mixed, does not depend on t at the optimum: it is
    proportional to the odds p / (1 - p), so that it is close to p where all p are small and too sure of a likely item.
    """
    negatives = min(negatives, len(table_JD))
    alpha = negatives / len(table_JD)
    beta = alpha * (calibration * (1.0 - 1.0 / alpha) + 1.0 / alpha)
    drawn_S = torch.randint(len(table_JD), (negatives,), device=table_JD.device)
    logits_NS = torch.addmm(bias_J[drawn_S], states_ND, table_JD[drawn_S].T)
    refused_NS = functional.logsigmoid(-logits_NS).masked_fill(drawn_S == target_N[:, None], 0.0)
    target_logit_N = (states_ND * table_JD[target_N]).sum(dim=1) + bias_J[target_N]
    return beta * functional.logsigmoid(target_logit_N) + refused_NS.sum(dim=1)
