"""Sums of table rows, many small ones at once: how attribute values make item vectors."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Bags(NamedTuple):
    """Bag j sums the rows row[offsets[j]] to row[offsets[j + 1] - 1] of a table, each times its weight."""

    offsets: Tensor  # (bags + 1,) int64
    row: Tensor  # (entries,) int64
    weight: Tensor  # (entries,) float32

    def sums(self, table: Tensor) -> Tensor:
        """(bags, D) of a table (rows, D)."""
        return functional.embedding_bag(
            self.row,
            table,
            self.offsets,
            mode="sum",
            per_sample_weights=self.weight.to(table.dtype),
            include_last_offset=True,
        )

    def transposed(self, rows: int) -> "Bags":
        """For each row of the table the bags that it is in."""
        bag = torch.repeat_interleave(torch.diff(self.offsets))
        order = torch.argsort(self.row, stable=True)
        count = torch.bincount(self.row, minlength=rows)
        offsets = torch.cat([count.new_zeros(1), count.cumsum(0)])
        return Bags(offsets, bag[order], self.weight[order])

    def to(self, device: torch.device) -> "Bags":
        return Bags(*(tensor.to(device) for tensor in self))


class BagSums(torch.autograd.Function):
    """`bags.sums(table)`, with the gradient as sums over the transposed bags: a fourth of the time of torch's,
    which adds entry by entry."""

    @staticmethod
    def forward(context: Any, table: Tensor, bags: Bags, transposed: Bags) -> Tensor:
        context.transposed = transposed
        return bags.sums(table)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return context.transposed.sums(gradients[0].contiguous()), None, None
