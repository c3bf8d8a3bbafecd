"""The next-item network: event embedding, encoder, attention pooling and tied output, with an optional copy head."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ml.data.batches import EventBatch
from ml.data.item_features import ItemFeatures
from ml.nn.copying import CopyHead
from ml.nn.encoders import ENCODERS, BidirectionalTransformer
from ml.nn.heads import PredictionHeads
from ml.nn.inputs import EventEmbedding
from ml.nn.losses import (
    gbce_log_likelihood,
    sampled_log_probability,
    softmax_cross_entropy,
    softmax_log_probability,
)
from ml.nn.pooling import AttentionPooling


@dataclass
class Reading:
    """What the network makes of each of B sequences of L events, before it looks at the items.

    The generated logit of an item is pooled . its vector + its bias; pooled is the exact sum over the events i of
    weight[b, i] * content[b, i]. The item's probability is (1 - copy_share) softmax(logit) + copy_share * (copy_weight
    summed over the events with that item).
    """

    pooled: Tensor  # (B, D)
    weight: Tensor  # (B, L)
    content: Tensor  # (B, L, D)
    copy_share: Tensor  # (B,)
    copy_weight: Tensor  # (B, L)
    item: Tensor  # (B, L) item codes

    @torch.inference_mode()
    def logit_shares(self, row: int, vectors_KD: Tensor) -> Tensor:
        """What each event adds to the logits of the items with these output vectors, (L, K)."""
        return self.weight[row, :, None] * (self.content[row] @ vectors_KD.T)


@dataclass
class Encoded:
    """B sequences of L events after the encoder: what the outputs of the network are made of."""

    states: Tensor  # (B, L, D) of the events
    after: Tensor  # (B, L, D) what asks for the event after each
    pooled: Tensor  # (B, L, D) of every prefix
    items: Tensor  # (B, L) codes of the items that may be copied, 0 where the event is masked


@dataclass
class Ranking(Reading):
    """A reading, and what it says of all J items."""

    probability: Tensor  # (B, J)
    generated: Tensor  # (B, J) softmax of the logits


class SequenceModel(nn.Module):
    """`prediction_heads` names what is predicted besides the next item, `learn_loss_weights` lets the losses of all of
    them weigh themselves; see PredictionHeads."""

    def __init__(
        self,
        *,
        items: int,
        types: int,
        encoder: str,
        dimension: int,
        layers: int,
        heads: int,
        dropout: float,
        max_length: int,
        inputs: tuple[str, ...],
        copying: bool,
        attribute_values: int = 0,
        text_dimension: int = 0,
        id_dropout: float = 0.0,
        prediction_heads: Sequence[str] = (),
        learn_loss_weights: bool = False,
    ) -> None:
        super().__init__()
        self.embedding = EventEmbedding(
            items=items,
            types=types,
            dimension=dimension,
            inputs=inputs,
            dropout=dropout,
            attribute_values=attribute_values,
            text_dimension=text_dimension,
            id_dropout=id_dropout,
        )
        self.encoder = ENCODERS[encoder](
            dimension=dimension, layers=layers, heads=heads, dropout=dropout, max_length=max_length
        )
        self.pooling = AttentionPooling(dimension)
        self.bias = nn.Parameter(torch.zeros(items))
        self.copying = CopyHead(dimension, max_length) if copying else None
        self.prediction_heads = (
            PredictionHeads(prediction_heads, dimension=dimension, types=types, learn_weights=learn_loss_weights)
            if prediction_heads
            else None
        )

    @property
    def table(self) -> Tensor:
        """Item vectors shared by input and output, (J, D); row j is item code j + 1."""
        return self.embedding.item_vectors()[1:]

    def with_items(self, features: ItemFeatures) -> "SequenceModel":
        """A copy that also knows these new items, by their content alone. Their bias is the trained ones' median.

        Raises ValueError where this model does not know items by content, or not by this one.
        """
        grown = copy.deepcopy(self)
        grown.embedding.grow(features)
        usual = self.bias.detach().median().expand(features.items)
        grown.bias = nn.Parameter(torch.cat([self.bias.detach(), usual]))
        return grown.train(self.training)

    def encode(self, batch: EventBatch, asked: Tensor) -> Encoded:
        """`asked` (B, L) bool: where the event after is to be predicted. A bidirectional encoder sees none of those
        events, so that only some may be asked for at a time."""
        states, after = self._encode(batch, asked)
        return Encoded(states, after, self.pooling(states, after), self._seen_items(batch, asked))

    def log_probability(
        self, batch: EventBatch, target: Tensor, *, proposal: Tensor | None = None, negatives: int = 0
    ) -> Tensor:
        """Log-probability of each real target, (N,), positions in row-major order.

        target (B, L) holds item codes, 0 where there is nothing to predict. With a `proposal` distribution over the
        items the softmax is estimated from `negatives` samples, otherwise it is exact.
        """
        encoded = self.encode(batch, target > 0)
        return self.item_log_probability(encoded, target, proposal=proposal, negatives=negatives)

    def item_log_probability(
        self, encoded: Encoded, target: Tensor, *, proposal: Tensor | None = None, negatives: int = 0
    ) -> Tensor:
        """`log_probability` of what is encoded already."""
        chosen = target > 0
        # The loss runs in full precision also where the encoder ran in half.
        pooled = encoded.pooled[chosen].float()
        wanted = target[chosen] - 1
        if proposal is None:
            generated = softmax_log_probability(pooled, self.table, self.bias, wanted)
        else:
            generated = sampled_log_probability(pooled, self.table, self.bias, wanted, proposal, negatives)
        if self.copying is None:
            return generated
        copied, gate = self.copying(encoded.states, encoded.after, encoded.items, target)
        copied, gate = copied[chosen].float(), gate[chosen].float()
        return torch.logaddexp(functional.logsigmoid(-gate) + generated, functional.logsigmoid(gate) + copied)

    def cross_entropy(
        self, encoded: Encoded, target: Tensor, *, weight: Tensor | None = None, half: bool = False
    ) -> Tensor:
        """The sum of weight * -log probability over the real targets, a scalar, by the exact softmax; see
        `log_probability` and `softmax_cross_entropy`. weight (N,). It knows no copy head."""
        chosen = target > 0
        pooled = encoded.pooled[chosen].float()
        return softmax_cross_entropy(pooled, self.table, self.bias, target[chosen] - 1, weight_N=weight, half=half)

    def gbce(self, encoded: Encoded, target: Tensor, *, negatives: int, calibration: float) -> Tensor:
        """The gBCE log-likelihood of each real target, (N,), as in `log_probability`. It knows no copy head."""
        chosen = target > 0
        pooled = encoded.pooled[chosen].float()
        return gbce_log_likelihood(pooled, self.table, self.bias, target[chosen] - 1, negatives, calibration)

    @torch.inference_mode()
    def outlook(self, batch: EventBatch, activity: Tensor) -> dict[str, Tensor]:
        """What the prediction heads say after the last event of each sequence, whose activity (B,) is given; see
        PredictionHeads.probabilities. Raises ValueError for a model without heads."""
        if self.prediction_heads is None:
            raise ValueError("this model predicts the next item alone; train it with the setting prediction_heads")
        states, after = self._encode(batch, torch.zeros_like(batch.item, dtype=torch.bool))
        weight, content = self.pooling.last(states, after, batch.length)
        pooled = torch.einsum("bl,bld->bd", weight, content).float()
        return self.prediction_heads.probabilities(pooled, activity)

    @torch.inference_mode()
    def rank(self, batch: EventBatch) -> Ranking:
        """Probabilities of all items after the last event of each sequence, and the parts they are made of."""
        reading = self.read(batch)
        generated = torch.addmm(self.bias, reading.pooled, self.table.T).softmax(dim=1)
        if self.copying is None:
            return Ranking(**vars(reading), probability=generated, generated=generated)
        probability = generated * (1.0 - reading.copy_share)[:, None]
        # Column -1 of a padded event would be another item; its weight is 0, so clamping to column 0 adds nothing.
        probability.scatter_add_(1, (batch.item - 1).clamp(min=0), reading.copy_share[:, None] * reading.copy_weight)
        return Ranking(**vars(reading), probability=probability, generated=generated)

    def pooled_after(self, events_BLD: Tensor, length_B: Tensor) -> Tensor:
        """The pooled vectors, (B, D), after sequences of these event vectors; differentiable in them."""
        asked = torch.zeros(events_BLD.shape[:2], dtype=torch.bool, device=events_BLD.device)
        weight, content = self.pooling.last(*self._encode_events(events_BLD, length_B, asked), length_B)
        return torch.einsum("bl,bld->bd", weight, content)

    @torch.inference_mode()
    def read(self, batch: EventBatch) -> Reading:
        """What `rank` needs before it looks at the items."""
        states, after = self._encode(batch, torch.zeros_like(batch.item, dtype=torch.bool))
        weight, content = self.pooling.last(states, after, batch.length)
        pooled = torch.einsum("bl,bld->bd", weight, content).float()
        if self.copying is None:
            nothing = torch.zeros_like(weight)
            return Reading(pooled, weight, content, nothing[:, 0], nothing, batch.item)
        copy_weight, gate = self.copying.last(states, after, batch.item, batch.length)
        return Reading(pooled, weight, content, gate.sigmoid(), copy_weight, batch.item)

    def _encode(self, batch: EventBatch, asked: Tensor) -> tuple[Tensor, Tensor]:
        """States of the events, and the states that ask for the event after each, (B, L, D); `asked` (B, L) bool."""
        return self._encode_events(self.embedding(batch), batch.length, asked)

    def _encode_events(self, events: Tensor, length: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
        if isinstance(self.encoder, BidirectionalTransformer):
            return self.encoder(events, length, asked)
        states = self.encoder(events)
        return states, states

    def _seen_items(self, batch: EventBatch, asked: Tensor) -> Tensor:
        """The items that a target may be copied from, (B, L); 0 where the event is masked."""
        if not isinstance(self.encoder, BidirectionalTransformer):
            return batch.item
        return batch.item.masked_fill(functional.pad(asked[:, :-1], (1, 0)), 0)
