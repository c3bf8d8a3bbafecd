import numpy as np
import pytest
import torch
from torch.nn import functional

from ml.nn import losses
from ml.nn.losses import (
    gbce_log_likelihood,
    sampled_log_probability,
    softmax_cross_entropy,
    softmax_log_probability,
)


def problem(positions: int = 50, items: int = 30) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(positions, 8, generator=generator, dtype=torch.float64, requires_grad=True)
    table = torch.randn(items, 8, generator=generator, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(items, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.randint(items, (positions,), generator=generator)
    return states, table, bias, target


@pytest.mark.parametrize("in_memory", [10**6, 100])  # keeps the probabilities, or computes them twice
def test_the_chunked_softmax_equals_the_plain_one_in_value_and_gradient(
    monkeypatch: pytest.MonkeyPatch, in_memory: int
) -> None:
    monkeypatch.setattr(losses, "LOGITS_IN_MEMORY", in_memory)
    states, table, bias, target = problem()
    importance = torch.linspace(0.0, 2.0, len(target), dtype=torch.float64)
    mine = softmax_log_probability(states, table, bias, target)
    plain = torch.addmm(bias, states, table.T).log_softmax(dim=1).gather(1, target[:, None])[:, 0]
    torch.testing.assert_close(mine, plain)
    parameters = (states, table, bias)
    mine_gradient = torch.autograd.grad((mine * importance).sum(), parameters)
    plain_gradient = torch.autograd.grad((plain * importance).sum(), parameters)
    torch.testing.assert_close(mine_gradient, plain_gradient)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("positions", [1, 50])
def test_the_cross_entropy_equals_the_plain_one_in_value_and_gradient(
    monkeypatch: pytest.MonkeyPatch, weighted: bool, positions: int
) -> None:
    monkeypatch.setattr(losses, "LOGITS_IN_CACHE", 1)  # 16 positions at once
    states, table, bias, target = problem(positions)
    weight = torch.linspace(0.5, 2.0, positions, dtype=torch.float64) if weighted else None
    mine = softmax_cross_entropy(states, table, bias, target, weight_N=weight)
    each = functional.cross_entropy(torch.addmm(bias, states, table.T), target, reduction="none")
    plain = (each * weight).sum() if weight is not None else each.sum()
    torch.testing.assert_close(mine, plain)
    parameters = (states, table, bias)
    torch.testing.assert_close(torch.autograd.grad(3 * mine, parameters), torch.autograd.grad(3 * plain, parameters))


def test_the_cross_entropy_in_half_precision_is_close() -> None:
    states, table, bias, target = problem()
    parameters = (states, table, bias)
    full, half = (softmax_cross_entropy(*parameters, target, half=half) for half in (False, True))
    torch.testing.assert_close(half, full, rtol=0.01, atol=0.0)
    gradients = (torch.autograd.grad(loss, parameters) for loss in (half, full))
    for rough, exact in zip(*gradients, strict=True):
        assert (rough - exact).norm() < 0.02 * exact.norm()


def test_no_positions_give_no_loss_and_no_gradient() -> None:
    states, table, bias, target = problem()
    nothing = softmax_log_probability(states[:0], table, bias, target[:0])
    assert nothing.shape == (0,)
    for loss in (nothing.sum(), softmax_cross_entropy(states[:0], table, bias, target[:0])):
        (gradient,) = torch.autograd.grad(loss, (table,))
        assert not gradient.any()


def test_the_sampled_softmax_approaches_the_full_one_whatever_items_are_drawn_from() -> None:
    torch.manual_seed(0)
    states, table, bias, target = problem(positions=20)
    proposal = torch.rand(30, dtype=torch.float64) + 0.1
    full = softmax_log_probability(states, table, bias, target)
    sampled = sampled_log_probability(states, table, bias, target, proposal / proposal.sum(), 200_000)
    torch.testing.assert_close(sampled, full, rtol=0.03, atol=0.03)


@pytest.mark.parametrize("calibration", [0.0, 0.75, 1.0])
def test_gbce_equals_the_formula_of_the_paper(calibration: float) -> None:
    states, table, bias, target = problem()
    torch.manual_seed(5)
    mine = gbce_log_likelihood(states, table, bias, target, 12, calibration)

    torch.manual_seed(5)
    drawn = torch.randint(30, (12,)).numpy()
    logits = (states @ table.T + bias).detach().numpy()
    sigmoid = 1.0 / (1.0 + np.exp(-logits))
    alpha = 12 / 30
    beta = alpha * (calibration * (1 - 1 / alpha) + 1 / alpha)
    for row, wanted in enumerate(target.tolist()):
        others = [item for item in drawn if item != wanted]
        expected = np.log(sigmoid[row, wanted] ** beta) + np.log(1 - sigmoid[row, others]).sum()
        assert float(mine[row].detach()) == pytest.approx(expected)


def test_gbce_without_calibration_is_binary_cross_entropy() -> None:
    states, table, bias, target = problem()
    torch.manual_seed(5)
    mine = gbce_log_likelihood(states, table, bias, target, 12, 0.0)
    torch.manual_seed(5)
    drawn = torch.randint(30, (12,))
    logits = states @ table.T + bias
    one = torch.ones(())
    for row, wanted in enumerate(target.tolist()):
        negative = logits[row, drawn[drawn != wanted]]
        entropy = functional.binary_cross_entropy_with_logits(logits[row, wanted], one.double())
        entropy = entropy + functional.binary_cross_entropy_with_logits(negative, 0 * negative, reduction="sum")
        torch.testing.assert_close(mine[row], -entropy)


@pytest.mark.parametrize("calibration", [0.0, 1.0])
def test_the_softmax_after_gbce_follows_the_odds_and_only_calibration_1_gives_true_sigmoids(calibration: float) -> None:
    """One context, five items with known probabilities: only the biases are trained."""
    torch.manual_seed(0)
    wanted = torch.tensor([0.4, 0.3, 0.15, 0.1, 0.05])
    bias = torch.zeros(5, requires_grad=True)
    optimizer = torch.optim.Adam([bias], lr=0.05)
    target = torch.multinomial(wanted, 4096, replacement=True)
    frequency = torch.bincount(target, minlength=5) / 4096
    averaged = torch.zeros(5)
    for step in range(1000):
        likelihood = gbce_log_likelihood(torch.zeros(4096, 1), torch.zeros(5, 1), bias, target, 2, calibration)
        optimizer.zero_grad()
        (-likelihood.mean()).backward()
        optimizer.step()
        averaged += bias.detach() / 500 if step >= 500 else 0
    odds = frequency / (1 - frequency)
    torch.testing.assert_close(averaged.softmax(dim=0), odds / odds.sum(), atol=0.03, rtol=0)
    assert torch.allclose(averaged.sigmoid(), frequency, atol=0.04) == (calibration == 1.0)
