import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.nn.bags import Bags, BagSums

ROWS = 5


@settings(max_examples=100)
@given(bags=st.lists(st.lists(st.tuples(st.integers(0, ROWS - 1), st.floats(-2, 2))), min_size=1))
def test_sums_and_their_gradients_are_those_of_the_dense_matrix(bags: list[list[tuple[int, float]]]) -> None:
    entries = [entry for bag in bags for entry in bag]
    made = Bags(
        torch.tensor([0, *(len(bag) for bag in bags)]).cumsum(0),
        torch.tensor([row for row, _ in entries], dtype=torch.long),
        torch.tensor([weight for _, weight in entries], dtype=torch.float32),
    )
    dense = torch.zeros(len(bags), ROWS)
    for number, bag in enumerate(bags):
        for row, weight in bag:
            dense[number, row] += weight
    table = torch.arange(ROWS * 3.0).reshape(ROWS, 3).requires_grad_()
    expected = dense @ table
    found = BagSums.apply(table, made, made.transposed(ROWS))
    torch.testing.assert_close(found, expected)
    weights = torch.linspace(-1, 1, expected.numel()).reshape(expected.shape)
    torch.testing.assert_close(*(torch.autograd.grad((sums * weights).sum(), table)[0] for sums in (found, expected)))
