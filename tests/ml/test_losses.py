import pytest
import torch

from ml.nn import losses
from ml.nn.losses import sampled_log_probability, softmax_log_probability


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


def test_no_positions_give_no_loss_and_no_gradient() -> None:
    states, table, bias, target = problem()
    nothing = softmax_log_probability(states[:0], table, bias, target[:0])
    assert nothing.shape == (0,)
    (gradient,) = torch.autograd.grad(nothing.sum(), (table,))
    assert not gradient.any()


def test_the_sampled_softmax_approaches_the_full_one_whatever_items_are_drawn_from() -> None:
    torch.manual_seed(0)
    states, table, bias, target = problem(positions=20)
    proposal = torch.rand(30, dtype=torch.float64) + 0.1
    full = softmax_log_probability(states, table, bias, target)
    sampled = sampled_log_probability(states, table, bias, target, proposal / proposal.sum(), 200_000)
    torch.testing.assert_close(sampled, full, rtol=0.03, atol=0.03)
