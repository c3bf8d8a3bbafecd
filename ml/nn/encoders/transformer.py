"""Transformers of pre-normalised blocks with learned positions: one that looks back, and one that looks both ways."""

import torch
from torch import Tensor, arange, nn
from torch.nn import functional


class CausalTransformer(nn.Module):
    """GPT-like: no event sees a later one (Kang and McAuley, 2018, use it on items)."""

    def __init__(self, *, dimension: int, layers: int, heads: int, dropout: float, max_length: int) -> None:
        super().__init__()
        self.position = nn.Embedding(max_length, dimension)
        nn.init.normal_(self.position.weight, std=0.02)
        self.blocks = nn.ModuleList(TransformerBlock(dimension, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dimension)

    def forward(self, events_BLD: Tensor) -> Tensor:
        states_BLD = events_BLD + self.position(arange(events_BLD.shape[1], device=events_BLD.device))
        for block in self.blocks:
            states_BLD = block(states_BLD)
        return self.norm(states_BLD)


class BidirectionalTransformer(nn.Module):
    """BERT-like: every place sees all others, and what is to be predicted is masked (BERT4Rec: Sun et al., 2019).

    A sequence of n events has n + 1 places; the last one is always the mask, where the next event will stand.
    """

    def __init__(self, *, dimension: int, layers: int, heads: int, dropout: float, max_length: int) -> None:
        super().__init__()
        self.mask = nn.Parameter(torch.randn(dimension) * dimension**-0.5)
        self.position = nn.Embedding(max_length + 1, dimension)
        nn.init.normal_(self.position.weight, std=0.02)
        self.blocks = nn.ModuleList(TransformerBlock(dimension, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dimension)

    def forward(self, events_BLD: Tensor, length_B: Tensor, asked_BL: Tensor) -> tuple[Tensor, Tensor]:
        """States of the events and of the places after them, (B, L, D) each.

        Where `asked` (B, L) bool is true, the event after the one there is to be predicted, and is masked everywhere.
        """
        place_P = arange(events_BLD.shape[1] + 1, device=events_BLD.device)
        real_BP = place_P <= length_B[:, None]
        masked_BP = functional.pad(asked_BL, (1, 0)) | (place_P == length_B[:, None])
        states_BPD = torch.where(masked_BP[..., None], self.mask, functional.pad(events_BLD, (0, 0, 0, 1)))
        states_BPD = states_BPD + self.position(place_P)
        for block in self.blocks:
            states_BPD = block(states_BPD, real_BP[:, None, None, :])
        states_BPD = self.norm(states_BPD)
        return states_BPD[:, :-1], states_BPD[:, 1:]


class TransformerBlock(nn.Module):
    def __init__(self, dimension: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.attention_norm = nn.LayerNorm(dimension)
        self.query_key_value = nn.Linear(dimension, 3 * dimension)
        self.attention_out = nn.Linear(dimension, dimension)
        self.feed_norm = nn.LayerNorm(dimension)
        self.feed_in = nn.Linear(dimension, 4 * dimension)
        self.feed_out = nn.Linear(4 * dimension, dimension)

    def forward(self, states_BLD: Tensor, visible: Tensor | None = None) -> Tensor:
        """`visible`, bool, broadcasts to (B, heads, L, L): which places each one sees; without it, none after it."""
        mixed_BLD = attend(self.query_key_value(self.attention_norm(states_BLD)), self.heads, visible)
        states_BLD = states_BLD + self._drop(self.attention_out(mixed_BLD))
        hidden_BLF = functional.gelu(self.feed_in(self.feed_norm(states_BLD)))
        return states_BLD + self._drop(self.feed_out(hidden_BLF))

    def _drop(self, states: Tensor) -> Tensor:
        return functional.dropout(states, self.dropout, self.training)


def attend(query_key_value: Tensor, heads: int, visible: Tensor | None = None) -> Tensor:
    """Multi-head attention from queries, keys and values side by side, (B, L, 3 D), to (B, L, D); causal unless
    `visible` says which places each one sees."""
    batch, length, width = query_key_value.shape
    split = query_key_value.view(batch, length, 3, heads, width // (3 * heads))
    query_BHLK, key_BHLK, value_BHLK = split.permute(2, 0, 3, 1, 4)
    mixed_BHLK = functional.scaled_dot_product_attention(
        query_BHLK, key_BHLK, value_BHLK, attn_mask=visible, is_causal=visible is None
    )
    return mixed_BHLK.transpose(1, 2).reshape(batch, length, width // 3)
