"""A dual encoder: conversations and replies as vectors of length 1, whose product says how well they go together."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ml.data.batches import EventBatch
from ml.nn.bags import Bags, BagSums
from ml.nn.encoders import GRUEncoder
from ml.nn.inputs import EventEmbedding
from ml.nn.pooling import AttentionPooling

# The last message, those shortly before it, and all older ones.
FIELDS = 3


class ReplyEncoder(nn.Module):
    """Texts are bags of hashed terms (`buckets`), which any script has, and where `text_dimension` is above 0 also
    vectors of a pretrained encoder. A customer's events, where there are `types` of them, are read by a recurrent
    network and pooled by attention that the conversation asks. What concerns the conversation is added up.

    Henderson et al. (2017), "Efficient natural language response suggestion for Smart Reply", section 4, train such
    encoders on n-grams.
    """

    def __init__(
        self,
        *,
        buckets: int,
        dimension: int,
        dropout: float,
        word_dropout: float,
        text_dimension: int = 0,
        items: int = 0,
        types: int = 0,
    ) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(buckets, dimension) * 0.1)
        self.word_dropout = word_dropout
        self.fields = nn.ModuleList(_field(dimension, dropout) for _ in range(FIELDS))
        self.reply_field = _field(dimension, dropout)
        self.asked_text = nn.Linear(text_dimension, dimension, bias=False) if text_dimension else None
        self.reply_text = nn.Linear(text_dimension, dimension, bias=False) if text_dimension else None
        self.asked_layer, self.reply_layer = _layer(dimension, dropout), _layer(dimension, dropout)
        self.events = EventReader(items, types, dimension, dropout) if types else None

        # What rebuilds the network, beside the buckets.
        self.shape = {"dimension": dimension, "text_dimension": text_dimension, "items": items, "types": types}

    def conversation(
        self, fields: Bags, text: Tensor | None = None, events: EventBatch | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Vectors (B, D) of conversations, and the attention to each event (B, L), None without events.

        `fields` holds B bags for each of FIELDS, one after the other; text (B, text_dimension) pretrained vectors.
        """
        asked_FBD = self._sums(fields).view(FIELDS, -1, self.table.shape[1])
        asked = torch.stack([layer(part) for layer, part in zip(self.fields, asked_FBD, strict=True)]).sum(dim=0)
        if self.asked_text is not None and text is not None:
            asked = asked + self.asked_text(text)
        weight = None
        if self.events is not None and events is not None:
            pooled, weight = self.events(events, asked)
            asked = asked + pooled
        return functional.normalize(asked + self.asked_layer(asked), dim=1), weight

    def reply(self, bags: Bags, text: Tensor | None = None) -> Tensor:
        """Vectors (B, D)."""
        reply = self.reply_field(self._sums(bags))
        if self.reply_text is not None and text is not None:
            reply = reply + self.reply_text(text)
        return functional.normalize(reply + self.reply_layer(reply), dim=1)

    def _sums(self, bags: Bags) -> Tensor:
        if not self.training:
            return bags.sums(self.table)
        bags = bags._replace(weight=functional.dropout(bags.weight, self.word_dropout))
        found: Tensor = BagSums.apply(self.table, bags, bags.transposed(len(self.table)))
        return found


class EventReader(nn.Module):
    """Recent events as one vector. No events give zeros, so that a customer who did nothing is told by words alone."""

    def __init__(self, items: int, types: int, dimension: int, dropout: float) -> None:
        super().__init__()
        self.embedding = EventEmbedding(
            items=items, types=types, dimension=dimension, inputs=("type", "gap", "value"), dropout=dropout
        )
        self.encoder = GRUEncoder(dimension=dimension, layers=1, heads=1, dropout=dropout, max_length=0)
        self.pooling = AttentionPooling(dimension)

    def forward(self, batch: EventBatch, asked_BD: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled vectors (B, D), and weights (B, L) that sum to 1 where there are events."""
        weight_BL = asked_BD.new_zeros(batch.item.shape)
        pooled_BD = torch.zeros_like(asked_BD)
        rows = torch.nonzero(batch.length).ravel()
        if not len(rows):
            return pooled_BD, weight_BL
        some = EventBatch(**{name: _rows(part, rows) for name, part in vars(batch).items()})
        states = self.encoder(self.embedding(some))
        weight, content = self.pooling.last(states, states + asked_BD[rows, None], some.length)
        pooled = torch.einsum("bl,bld->bd", weight, content)
        return pooled_BD.index_copy(0, rows, pooled), weight_BL.index_copy(0, rows, weight)


def _rows(part: Tensor, rows: Tensor) -> Tensor:
    return part[rows] if part.dim() else part


def _field(dimension: int, dropout: float) -> nn.Module:
    return nn.Sequential(nn.LayerNorm(dimension), nn.Dropout(dropout), nn.Linear(dimension, dimension))


def _layer(dimension: int, dropout: float) -> nn.Module:
    return nn.Sequential(nn.GELU(), nn.Dropout(dropout), nn.Linear(dimension, dimension))
