"""Events as vectors: item, event type, time gap and value, each of which can be switched off."""

import torch
from torch import Tensor, nn

from ml.data.batches import GAP_BUCKETS, EventBatch

INPUTS = ("type", "gap", "value")


class EventEmbedding(nn.Module):
    """The sum of the embeddings of an event's parts. The item table is shared with the output (tied embeddings)."""

    def __init__(self, *, items: int, types: int, dimension: int, inputs: tuple[str, ...], dropout: float) -> None:
        super().__init__()
        self.item_table = nn.Embedding(items + 1, dimension, padding_idx=0)
        nn.init.normal_(self.item_table.weight, std=dimension**-0.5)
        with torch.no_grad():
            self.item_table.weight[0].zero_()
        self.type_table = self._table(types + 1, dimension) if "type" in inputs else None
        self.gap_table = self._table(GAP_BUCKETS, dimension) if "gap" in inputs else None
        self.value_projection = nn.Linear(2, dimension, bias=False) if "value" in inputs else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, batch: EventBatch) -> Tensor:
        """(B, L, D)."""
        embedded = self.item_table(batch.item)
        if self.type_table is not None:
            embedded = embedded + self.type_table(batch.type)
        if self.gap_table is not None:
            embedded = embedded + self.gap_table(batch.gap)
        if self.value_projection is not None:
            embedded = embedded + self.value_projection(_value_features(batch.value))
        return self.dropout(embedded)

    @staticmethod
    def _table(codes: int, dimension: int) -> nn.Embedding:
        table = nn.Embedding(codes, dimension)
        nn.init.normal_(table.weight, std=dimension**-0.5)
        return table


def _value_features(value: Tensor) -> Tensor:
    """Signed logarithm and presence, (B, L, 2): values may be prices or ratings, of any size, or absent."""
    present = ~torch.isnan(value)
    known = torch.nan_to_num(value)
    return torch.stack([known.sign() * known.abs().log1p(), present.float()], dim=-1)
