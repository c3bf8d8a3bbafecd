"""Events as vectors: item and what is known of it, event type, time and value, each of which can be switched off."""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from ml.data.batches import GAP_BUCKETS, EventBatch
from ml.data.item_features import ItemFeatures
from ml.nn.bags import Bags, BagSums


class EventEmbedding(nn.Module):
    """The sum of the embeddings of an event's parts. The item vectors are shared with the output (tied embeddings)."""

    def __init__(
        self,
        *,
        items: int,
        types: int,
        dimension: int,
        inputs: tuple[str, ...],
        dropout: float,
        attribute_values: int = 0,
        text_dimension: int = 0,
        id_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.item_table = nn.Embedding(items + 1, dimension, padding_idx=0)
        nn.init.normal_(self.item_table.weight, std=dimension**-0.5)
        with torch.no_grad():
            self.item_table.weight[0].zero_()
        self.type_table = _table(types + 1, dimension) if "type" in inputs else None
        self.gap_table = _table(GAP_BUCKETS, dimension) if "gap" in inputs else None
        self.value_projection = nn.Linear(2, dimension, bias=False) if "value" in inputs else None
        self.hour_table = _table(24, dimension) if "hour" in inputs else None
        self.day_table = _table(7, dimension) if "hour" in inputs else None
        with_content = "attributes" in inputs or "text" in inputs
        self.content = ItemContent(attribute_values, text_dimension, dimension) if with_content else None
        self.id_dropout = id_dropout
        self.dropout = nn.Dropout(dropout)
        self._composed: Tensor | None = None

    def item_vectors(self) -> Tensor:
        """The vector of every item code, (items + 1, D), row 0 zero: an item's own vector plus that of its content.

        They are composed once for each training step, and once for all of an evaluation.
        """
        if self.content is None:
            return self.item_table.weight
        if self._composed is None:
            self._composed = self._own_vectors() + self.content()
        return self._composed

    def forward(self, batch: EventBatch) -> Tensor:
        """(B, L, D)."""
        if torch.is_grad_enabled():
            self._composed = None
        embedded = functional.embedding(batch.item, self.item_vectors(), padding_idx=0)
        if self.type_table is not None:
            embedded = embedded + self.type_table(batch.type)
        if self.gap_table is not None:
            embedded = embedded + self.gap_table(batch.gap)
        if self.value_projection is not None:
            embedded = embedded + self.value_projection(_value_features(batch.value))
        if self.hour_table is not None and self.day_table is not None:
            embedded = embedded + self.hour_table(batch.hour % 24) + self.day_table(batch.hour // 24)
        return self.dropout(embedded)

    def train(self, mode: bool = True) -> "EventEmbedding":
        # Weights change between one evaluation and the next, and with them the composed vectors.
        self._composed = None
        return super().train(mode)

    def describe(self, features: ItemFeatures) -> None:
        """Say what the items are. Raises ValueError where the network has no use for it, or the sizes differ."""
        self._composed = None
        self._known_content().describe(features)

    def grow(self, features: ItemFeatures) -> None:
        """Append items that are known by their content alone. Raises ValueError as `describe` does."""
        self.describe(self._known_content().features.extend(features))
        weight = self.item_table.weight
        grown = torch.cat([weight.detach(), weight.new_zeros(features.items, weight.shape[1])])
        self.item_table = nn.Embedding.from_pretrained(grown, freeze=False, padding_idx=0)

    def _known_content(self) -> "ItemContent":
        if self.content is None:
            raise ValueError("this model knows items by id alone; train it with the input attributes or text")
        return self.content

    def _own_vectors(self) -> Tensor:
        """The trained vectors. While training, those of a random share `id_dropout` of the items are left out, so that
        an item without one finds its place among the others by content alone (as Volkovs et al., 2017, drop inputs).
        """
        own = self.item_table.weight
        if not (self.training and self.id_dropout):
            return own
        return own * (torch.rand(len(own), 1, device=own.device) >= self.id_dropout)


class ItemContent(nn.Module):
    """Item vectors out of attributes and text: per attribute the mean of its values' embeddings, plus a projection of
    the text embedding. What describes the items is no weight: it is set by `describe` and stored beside the weights."""

    features: ItemFeatures
    # Buffers: the values of each item, the items of each value, and the texts.
    offsets: Tensor
    code: Tensor
    share: Tensor
    value_offsets: Tensor
    value_item: Tensor
    value_share: Tensor
    text: Tensor

    def __init__(self, values: int, text_dimension: int, dimension: int) -> None:
        super().__init__()
        self.value_table = _table(values, dimension) if values else None
        self.text_projection = nn.Linear(text_dimension, dimension, bias=False) if text_dimension else None
        for name in ("offsets", "code", "share", "value_offsets", "value_item", "value_share", "text"):
            self.register_buffer(name, torch.zeros(0), persistent=False)

    def describe(self, features: ItemFeatures) -> None:
        values = 0 if self.value_table is None else self.value_table.num_embeddings
        if self.value_table is not None and features.values != values:
            raise ValueError(f"the items have {features.values} attribute values, the model {values}")
        expected = 0 if self.text_projection is None else self.text_projection.in_features
        if self.text_projection is not None and features.text_dimension != expected:
            raise ValueError(f"text has dimension {features.text_dimension}, the model expects {expected}")
        # What describes the items goes into the artifact; the words themselves are not needed any more.
        self.features = replace(features, text=features.text if self.text_projection is not None else None, texts=None)
        device = self.offsets.device
        bags = Bags(*map(torch.from_numpy, (features.offsets, features.code, features.weights())))
        self.offsets, self.code, self.share = bags.to(device)
        self.value_offsets, self.value_item, self.value_share = bags.transposed(features.values).to(device)
        if self.text_projection is not None and features.text is not None:
            self.text = torch.from_numpy(features.text).to(device)

    def forward(self) -> Tensor:
        """(items + 1, D), row 0 zero."""
        vectors: Tensor | float = 0.0
        if self.value_table is not None:
            values = Bags(self.offsets, self.code, self.share)
            items = Bags(self.value_offsets, self.value_item, self.value_share)
            vectors = BagSums.apply(self.value_table.weight, values, items)
        if self.text_projection is not None:
            vectors = vectors + self.text_projection(self.text.to(self.text_projection.weight.dtype))
        assert isinstance(vectors, Tensor)
        return functional.pad(vectors, (0, 0, 1, 0))


def _table(codes: int, dimension: int) -> nn.Embedding:
    table = nn.Embedding(codes, dimension)
    nn.init.normal_(table.weight, std=dimension**-0.5)
    return table


def _value_features(value: Tensor) -> Tensor:
    """Signed logarithm and presence, (B, L, 2): values may be prices or ratings, of any size, or absent."""
    present = ~torch.isnan(value)
    known = torch.nan_to_num(value)
    return torch.stack([known.sign() * known.abs().log1p(), present.float()], dim=-1)
