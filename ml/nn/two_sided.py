"""A network that reads a transaction beside the recent events of both its sides."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ml.data.party_sequences import CHANNELS, SIDES, SideSequences, Table
from ml.nn.encoders import ENCODERS

# The encoders in which no event sees a later one, so that padding on the right stays out.
RISK_ENCODERS = ("lstm", "gru", "transformer")
# Steps of the path along which a score is shared among the events.
STEPS = 16


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


@dataclass(frozen=True)
class Shares:
    """logit (B,); by side, of each event: its attention, which with that of "no event" sums to 1, and its part."""

    logit: Tensor
    attention: dict[str, Tensor]
    part: dict[str, Tensor]


class AttentionPooling(nn.Module):
    """Weighs the events by what the transaction asks for (Bahdanau et al., 2015, with scaled dot products).

    A learned "no event" takes part, so that an empty history has a sum too.
    """

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.query = nn.Linear(dimension, dimension)
        self.key = nn.Linear(dimension, dimension)
        self.none = nn.Parameter(torch.zeros(dimension))

    def forward(self, asked_BD: Tensor, states_BLD: Tensor, length_B: Tensor) -> tuple[Tensor, Tensor]:
        """What is pooled of each event (B, L, D) and of none (B, D), weighed by attention, and the attention (B, L)."""
        none_B1D = self.none.expand(len(asked_BD), 1, -1)
        all_BMD = torch.cat([none_B1D, states_BLD], dim=1)
        scores_BM = (self.key(all_BMD) * self.query(asked_BD)[:, None]).sum(-1) * all_BMD.shape[-1] ** -0.5
        real_BM = torch.arange(all_BMD.shape[1], device=length_B.device) <= length_B[:, None]
        weight_BM = scores_BM.masked_fill(~real_BM, -torch.inf).softmax(dim=1)
        return weight_BM[..., None] * all_BMD, weight_BM[:, 1:]


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
        asked_BD, pooled, _ = self._read(batch)
        return self._logit(asked_BD, {side: parts.sum(dim=1) for side, parts in pooled.items()})

    @torch.inference_mode()
    def shares(self, batch: RiskBatch) -> Shares:
        """How the logit is shared among the events.

        Integrated gradients (Sundararajan et al., 2017) of what attention adds of each event, from none of the events
        to all of them: the parts sum to the difference that the events make to the head, up to the steps of the path.
        The gradients are written out, since finding them anew would take longer than all the rest.
        """
        asked_BD, pooled, attention = self._read(batch)
        first, last = (layer for layer in self.head if isinstance(layer, nn.Linear))
        before_BD = first(torch.cat([asked_BD, *(pooled[side][:, 0] for side in SIDES)], dim=-1))
        after_BD = first(torch.cat([asked_BD, *(pooled[side].sum(dim=1) for side in SIDES)], dim=-1))
        # The head's first layer is linear, so that the path is straight behind it too.
        path_S11 = ((torch.arange(STEPS) + 0.5) / STEPS)[:, None, None]
        slope_BD = gelu_slope(before_BD + path_S11 * (after_BD - before_BD)).mean(dim=0)
        gradients = ((slope_BD * last.weight) @ first.weight).split(asked_BD.shape[-1], dim=-1)[1:]
        part = {
            side: (pooled[side][:, 1:] @ gradient[..., None]).squeeze(-1)
            for side, gradient in zip(SIDES, gradients, strict=True)
        }
        return Shares(last(functional.gelu(after_BD)).squeeze(-1), attention, part)

    def _read(self, batch: RiskBatch) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        known = ~batch.features.isnan()
        standard = ((compress(batch.features) - self.mean) / self.scale).nan_to_num().clamp(-5.0, 5.0)
        asked_BD = self.transaction(torch.cat([standard, known.float()], dim=1))
        pooled, attention = {}, {}
        for side in SIDES:
            events_BLD = self.event(batch.events[side]) + self.kind(batch.type[side])
            # An encoder may not take a batch without a single event.
            states_BLD = self.encoders[side](events_BLD) if events_BLD.shape[1] else events_BLD
            pooled[side], attention[side] = self.pooling[side](asked_BD, states_BLD, batch.length[side])
        return asked_BD, pooled, attention

    def _logit(self, asked: Tensor, pooled: dict[str, Tensor]) -> Tensor:
        return self.head(torch.cat([asked, *(pooled[side] for side in SIDES)], dim=-1)).squeeze(-1)


def gelu_slope(value: Tensor) -> Tensor:
    """The derivative of the GELU (Hendrycks and Gimpel, 2016): Phi(x) + x phi(x)."""
    density = (-0.5 * value * value).exp() / (2.0 * torch.pi) ** 0.5
    return 0.5 * (1.0 + (value / 2.0**0.5).erf()) + value * density


def compress(features: Tensor) -> Tensor:
    """sign(x) log(1 + |x|): amounts and seconds span many orders of size."""
    return features.sign() * features.abs().log1p()
