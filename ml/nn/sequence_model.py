"""The next-item network: event embedding, encoder, attention pooling and tied output, with an optional copy head."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ml.data.batches import EventBatch
from ml.data.item_features import ItemFeatures
from ml.nn.copying import CopyHead
from ml.nn.encoders import ENCODERS, BidirectionalTransformer
from ml.nn.inputs import EventEmbedding
from ml.nn.losses import gbce_log_likelihood, sampled_log_probability, softmax_log_probability
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
class Ranking(Reading):
    """A reading, and what it says of all J items."""

    probability: Tensor  # (B, J)
    generated: Tensor  # (B, J) softmax of the logits


class SequenceModel(nn.Module):
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

    def log_probability(
        self, batch: EventBatch, target: Tensor, *, proposal: Tensor | None = None, negatives: int = 0
    ) -> Tensor:
        """Log-probability of each real target, (N,), positions in row-major order.

        target (B, L) holds item codes, 0 where there is nothing to predict. With a `proposal` distribution over the
        items the softmax is estimated from `negatives` samples, otherwise it is exact. A bidirectional encoder sees
        none of the events that are targets, so that only some may be at a time.
        """
        chosen = target > 0
        states, after = self._encode(batch, chosen)
        # The loss runs in full precision also where the encoder ran in half.
        pooled = self.pooling(states, after)[chosen].float()
        wanted = target[chosen] - 1
        if proposal is None:
            generated = softmax_log_probability(pooled, self.table, self.bias, wanted)
        else:
            generated = sampled_log_probability(pooled, self.table, self.bias, wanted, proposal, negatives)
        if self.copying is None:
            return generated
        copied, gate = self.copying(states, after, self._seen_items(batch, chosen), target)
        copied, gate = copied[chosen].float(), gate[chosen].float()
        return torch.logaddexp(functional.logsigmoid(-gate) + generated, functional.logsigmoid(gate) + copied)

    def gbce(self, batch: EventBatch, target: Tensor, *, negatives: int, calibration: float) -> Tensor:
        """The gBCE log-likelihood of each real target, (N,), as in `log_probability`. It knows no copy head."""
        chosen = target > 0
        states, after = self._encode(batch, chosen)
        pooled = self.pooling(states, after)[chosen].float()
        return gbce_log_likelihood(pooled, self.table, self.bias, target[chosen] - 1, negatives, calibration)

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
        events = self.embedding(batch)
        if isinstance(self.encoder, BidirectionalTransformer):
            return self.encoder(events, batch.length, asked)
        states = self.encoder(events)
        return states, states

    def _seen_items(self, batch: EventBatch, asked: Tensor) -> Tensor:
        """The items that a target may be copied from, (B, L); 0 where the event is masked."""
        if not isinstance(self.encoder, BidirectionalTransformer):
            return batch.item
        return batch.item.masked_fill(functional.pad(asked[:, :-1], (1, 0)), 0)
