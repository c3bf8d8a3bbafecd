"""The chance of a click from categorical fields, numbers, and what the subject did before.

Target attention: G. Zhou et al., "Deep interest network for click-through rate prediction", KDD 2018, section 4.3
(weights that do not sum to 1, so that much of the same says more). Members that share all but a few vectors:
Y. Gorishniy, A. Kotelnikov and A. Babenko, "TabM: advancing tabular deep learning with parameter-efficient ensembling",
ICLR 2025, section 3.3, after Y. Wen et al., "BatchEnsemble", ICLR 2020. Pairs of fields: S. Rendle, "Factorization
machines", ICDM 2010, equation 5. Numbers in bins: Y. Gorishniy, I. Rubachev and A. Babenko, "On embeddings for
numerical features in tabular deep learning", NeurIPS 2022, section 3.2.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

# The start of attended sums, so that a long history does not drown the fields.
ATTENDED_SCALE = 0.2
EMBEDDING_SPREAD = 0.05


@dataclass(frozen=True)
class ClickBatch:
    """fields (B, F) codes, numbers (B, M) with NaN for unknown, history (B, L) codes of the target field, 0 padding."""

    fields: Tensor
    numbers: Tensor
    history: Tensor

    @classmethod
    def of(cls, fields: NDArray[np.int32], numbers: NDArray[np.float32], history: NDArray[np.int32]) -> "ClickBatch":
        return cls(
            torch.from_numpy(fields.astype(np.int64)),
            torch.from_numpy(np.array(numbers, dtype=np.float32)),
            torch.from_numpy(history.astype(np.int64)),
        )

    def to(self, device: torch.device) -> "ClickBatch":
        return ClickBatch(self.fields.to(device), self.numbers.to(device), self.history.to(device))


class MemberLinear(nn.Module):
    """One linear layer for all members; each has only its own scales of inputs and outputs, and its bias."""

    def __init__(self, inputs: int, outputs: int, members: int, *, is_first: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs))
        nn.init.kaiming_uniform_(self.weight.T, a=math.sqrt(5))
        # Random scales of the first inputs alone are what makes the members differ.
        self.scale_in = nn.Parameter((torch.randn if is_first else torch.ones)(members, 1, inputs))
        self.scale_out = nn.Parameter(torch.ones(members, 1, outputs))
        self.bias = nn.Parameter(torch.zeros(members, 1, outputs))

    def forward(self, x_KBD: Tensor) -> Tensor:
        return (x_KBD * self.scale_in) @ self.weight * self.scale_out + self.bias


class ClickNetwork(nn.Module):
    """`sizes`: codes of each field, 0 included; `target`: place of the field that the history is made of.

    `number_dropout` is the share of training rows that go without their numbers: where a number such as earlier clicks
    says nearly everything, the fields would otherwise learn little for the rows that have none. Each number is told as
    it is and by how far it has come through each of `number_bins` bins, so that the first layer finds its steps and
    turns; the bins hold equally many training rows.
    """

    offsets: Tensor
    mean: Tensor
    deviation: Tensor
    bin_start: Tensor
    bin_scale: Tensor

    def __init__(
        self,
        sizes: list[int],
        numbers: int,
        target: int,
        *,
        dimension: int,
        hidden: int,
        layers: int,
        members: int,
        attention: int,
        dropout: float,
        embedding_dropout: float,
        number_dropout: float,
        number_bins: int = 0,
    ) -> None:
        super().__init__()
        self.target, self.number_dropout = target, number_dropout
        offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        self.register_buffer("offsets", torch.from_numpy(offsets.astype(np.int64)), persistent=False)
        self.register_buffer("mean", torch.zeros(numbers))
        self.register_buffer("deviation", torch.ones(numbers))
        # Networks that were stored before there were bins have none.
        self.register_buffer("bin_start", torch.zeros(numbers, number_bins), persistent=number_bins > 0)
        self.register_buffer("bin_scale", torch.zeros(numbers, number_bins), persistent=number_bins > 0)
        self.embedding = nn.Embedding(int(sum(sizes)), dimension)
        nn.init.normal_(self.embedding.weight, std=EMBEDDING_SPREAD)
        self.linear = nn.Embedding(int(sum(sizes)), 1)
        nn.init.zeros_(self.linear.weight)
        self.attention = (
            nn.Sequential(nn.Linear(4 * dimension, attention), nn.PReLU(), nn.Linear(attention, 1))
            if attention
            else None
        )
        width = (len(sizes) + (1 if attention else 0)) * dimension + (2 + number_bins) * numbers
        self.hidden = nn.ModuleList(
            MemberLinear(width if layer == 0 else hidden, hidden, members, is_first=layer == 0)
            for layer in range(layers)
        )
        self.dropout, self.embedding_dropout = nn.Dropout(dropout), nn.Dropout(embedding_dropout)
        self.out = nn.Parameter(torch.randn(members, hidden, 1) / math.sqrt(hidden))
        self.bias = nn.Parameter(torch.zeros(members, 1, 1))

    def standardise_by(self, numbers: NDArray[np.float32]) -> None:
        """Scale numbers (n, M) to mean 0 and deviation 1, and place their bins, by what is known of these rows."""
        known = np.ma.masked_invalid(numbers)
        self.mean.copy_(torch.from_numpy(known.mean(axis=0).filled(0.0).astype(np.float32)))
        deviation = known.std(axis=0).filled(1.0).astype(np.float32)
        self.deviation.copy_(torch.from_numpy(np.where(deviation > 0, deviation, 1.0)))
        shares = np.linspace(0.0, 1.0, self.bin_start.shape[1] + 1)
        for place, column in enumerate(known.T):
            # Where one value is frequent bins fall together; those that are left over, of scale 0, say nothing.
            edges = np.unique(np.quantile(column.compressed(), shares)) if column.count() else np.zeros(1)
            self.bin_start[place, : len(edges) - 1] = torch.from_numpy(edges[:-1])
            self.bin_scale[place, : len(edges) - 1] = torch.from_numpy(1.0 / np.diff(edges))

    def forward(self, batch: ClickBatch) -> Tensor:
        """Logits of a click by each member, (K, B)."""
        place = batch.fields + self.offsets
        field_BFD = self.embedding(place)
        inputs = [self.embedding_dropout(field_BFD).flatten(1), *self._numbers(batch.numbers)]
        if self.attention is not None:
            inputs.append(self._attended(batch.history, field_BFD[:, self.target]))
        x = torch.cat(inputs, dim=1)[None]
        for layer in self.hidden:
            x = self.dropout(torch.relu(layer(x)))
        member_KB = (x @ self.out + self.bias)[..., 0]
        total_BD = field_BFD.sum(dim=1)
        pairs_B = 0.5 * (total_BD.square() - field_BFD.square().sum(dim=1)).sum(dim=1)
        return member_KB + pairs_B + self.linear(place)[..., 0].sum(dim=1)

    def probability(self, batch: ClickBatch) -> Tensor:
        """The members' mean, (B,)."""
        return torch.sigmoid(self(batch)).mean(dim=0)

    def penalty(self) -> Tensor:
        """The sum of the squared embeddings; () ."""
        return self.embedding.weight.square().sum()

    def _numbers(self, numbers_BM: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Standardised numbers, 0 where unknown, (B, M); which are unknown, (B, M); and the way through the bins of
        each, from 0 to 1, (B, M x bins)."""
        unknown = numbers_BM.isnan()
        if self.training and self.number_dropout:
            unknown = unknown | (torch.rand(len(numbers_BM), 1) < self.number_dropout)
        scaled = (numbers_BM - self.mean) / self.deviation
        passed_BMT = ((numbers_BM[..., None] - self.bin_start) * self.bin_scale).clamp(0.0, 1.0)
        passed = passed_BMT.masked_fill(unknown[..., None], 0.0).flatten(1)
        return scaled.masked_fill(unknown, 0.0), unknown.float(), passed

    def _attended(self, history_BL: Tensor, target_BD: Tensor) -> Tensor:
        """The sum of the history's vectors, each by how much it has to do with the target, (B, D)."""
        assert self.attention is not None
        event_BLD = self.embedding(history_BL + self.offsets[self.target])
        target_BLD = target_BD[:, None].expand_as(event_BLD)
        both = torch.cat([event_BLD, target_BLD, event_BLD - target_BLD, event_BLD * target_BLD], dim=2)
        weight_BL1 = self.attention(both) * (history_BL > 0)[..., None]
        return ATTENDED_SCALE * (weight_BL1 * event_BLD).sum(dim=1)
