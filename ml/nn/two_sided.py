"""A network that reads a transaction beside the recent events of both its sides."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ml.data.party_sequences import CHANNELS, SIDES, SideSequences, Table
from ml.nn.encoders import ENCODERS

# Features beyond so many standard deviations count as so many.
MOST_DEVIATIONS = 5.0


@dataclass(frozen=True)
class RiskBatch:
    """features (B, F), NaN where unknown; by side events (B, L, C), type (B, L) and length (B,)."""

    features: Tensor
    events: dict[str, Tensor]
    type: dict[str, Tensor]
    length: dict[str, Tensor]

    @classmethod
    def of(cls, features: Table, sides: dict[str, SideSequences]) -> "RiskBatch":
        return cls(
            torch.from_numpy(features),
            {side: torch.from_numpy(sequences.events) for side, sequences in sides.items()},
            {side: torch.from_numpy(sequences.type) for side, sequences in sides.items()},
            {side: torch.from_numpy(sequences.length) for side, sequences in sides.items()},
        )

    def to(self, device: torch.device) -> "RiskBatch":
        events, kind, length = (
            {side: tensor.to(device) for side, tensor in sides.items()}
            for sides in (self.events, self.type, self.length)
        )
        return RiskBatch(self.features.to(device), events, kind, length)


class AttentionPooling(nn.Module):
    """Weighs the events by what the transaction asks for (Bahdanau et al., 2015, with scaled dot products).

    A learned "no event" takes part, so that an empty history has a sum too.
    """

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.query = nn.Linear(dimension, dimension)
        self.key = nn.Linear(dimension, dimension)
        self.none = nn.Parameter(torch.zeros(dimension))

    def forward(self, asked_BD: Tensor, states_BLD: Tensor, length_B: Tensor) -> Tensor:
        """What is pooled of none and of each event, weighed by attention, (B, 1 + L, D)."""
        none_B1D = self.none.expand(len(asked_BD), 1, -1)
        all_BMD = torch.cat([none_B1D, states_BLD], dim=1)
        scores_BM = (self.key(all_BMD) * self.query(asked_BD)[:, None]).sum(-1) * all_BMD.shape[-1] ** -0.5
        real_BM = torch.arange(all_BMD.shape[1], device=length_B.device) <= length_B[:, None]
        weight_BM = scores_BM.masked_fill(~real_BM, -torch.inf).softmax(dim=1)
        return weight_BM[..., None] * all_BMD


class TwoSidedNetwork(nn.Module):
    """The logit of fraud from a transaction's features and, by attention, the encoded events of both sides.

    max_length is the most events of one side.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        *,
        features: int,
        types: int,
        encoder: str,
        dimension: int,
        layers: int,
        heads: int,
        dropout: float,
        max_length: int,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.transaction = nn.Sequential(
            nn.Linear(2 * features, 2 * dimension), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * dimension, dimension)
        )
        self.event = nn.Linear(len(CHANNELS), dimension)
        self.kind = nn.Embedding(types + 1, dimension)
        nn.init.normal_(self.kind.weight, std=0.02)
        self.encoders = nn.ModuleDict(
            {
                side: ENCODERS[encoder](
                    dimension=dimension, layers=layers, heads=heads, dropout=dropout, max_length=max_length
                )
                for side in SIDES
            }
        )
        self.pooling = nn.ModuleDict({side: AttentionPooling(dimension) for side in SIDES})
        self.head = nn.Sequential(
            nn.Linear(3 * dimension, dimension), nn.GELU(), nn.Dropout(dropout), nn.Linear(dimension, 1)
        )

    def standardise_by(self, features: Table) -> None:
        """Mean and deviation of the compressed features (rows, F), which are kept with the weights."""
        compressed = compress(torch.from_numpy(features))
        known = ~compressed.isnan()
        count = known.sum(dim=0).clamp(min=1)
        mean = compressed.nan_to_num().sum(dim=0) / count
        variance = (torch.where(known, compressed - mean, 0.0) ** 2).sum(dim=0) / count
        self.mean.copy_(mean)
        self.scale.copy_(variance.sqrt().clamp(min=1e-3))

    def forward(self, batch: RiskBatch) -> Tensor:
        """Logits (B,)."""
        asked_BD, pooled = self._read(batch)
        return self._logit(asked_BD, {side: parts.sum(dim=1) for side, parts in pooled.items()})

    def _read(self, batch: RiskBatch) -> tuple[Tensor, dict[str, Tensor]]:
        known = ~batch.features.isnan()
        standard = ((compress(batch.features) - self.mean) / self.scale).nan_to_num()
        standard = standard.clamp(-MOST_DEVIATIONS, MOST_DEVIATIONS)
        asked_BD = self.transaction(torch.cat([standard, known.float()], dim=1))
        pooled = {}
        for side in SIDES:
            events_BLD = self.event(batch.events[side]) + self.kind(batch.type[side])
            # An encoder may not take a batch without a single event.
            states_BLD = self.encoders[side](events_BLD) if events_BLD.shape[1] else events_BLD
            pooled[side] = self.pooling[side](asked_BD, states_BLD, batch.length[side])
        return asked_BD, pooled

    def _logit(self, asked: Tensor, pooled: dict[str, Tensor]) -> Tensor:
        return self.head(torch.cat([asked, *(pooled[side] for side in SIDES)], dim=-1)).squeeze(-1)


def compress(features: Tensor) -> Tensor:
    """sign(x) log(1 + |x|): amounts and seconds span many orders of size."""
    return features.sign() * features.abs().log1p()
