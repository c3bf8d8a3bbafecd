"""A causal transformer that stays trainable when it is deep: each sub-layer passes a gate on its way in.

Gated residuals after LiGR (Borisyuk et al., 2025, section on learnable gated normalisation; eSASRec takes them over for
items), feed-forward layers with SwiGLU (Shazeer, 2020).
"""

import torch
from torch import Tensor, arange, nn
from torch.nn import functional

from ml.nn.encoders.transformer import attend


class GatedTransformer(nn.Module):
    """state <- state + sigmoid(W state) * sublayer(norm(state)) in each of the 2 * layers sub-layers."""

    def __init__(self, *, dimension: int, layers: int, heads: int, dropout: float, max_length: int) -> None:
        super().__init__()
        self.position = nn.Embedding(max_length, dimension)
        nn.init.normal_(self.position.weight, std=0.02)
        self.blocks = nn.ModuleList(GatedBlock(dimension, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dimension)

    def forward(self, events_BLD: Tensor) -> Tensor:
        states_BLD = events_BLD + self.position(arange(events_BLD.shape[1], device=events_BLD.device))
        for block in self.blocks:
            states_BLD = block(states_BLD)
        return self.norm(states_BLD)


class GatedBlock(nn.Module):
    def __init__(self, dimension: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(dimension)
        self.query_key_value = nn.Linear(dimension, 3 * dimension)
        self.attention_out = nn.Linear(dimension, dimension)
        self.attention_gate = nn.Linear(dimension, dimension)
        self.feed_norm = nn.LayerNorm(dimension)
        # Three matrices of 8/3 the width hold as many weights as the usual two of 4 times the width.
        hidden = 8 * dimension // 3
        self.feed_in = nn.Linear(dimension, 2 * hidden)
        self.feed_out = nn.Linear(hidden, dimension)
        self.feed_gate = nn.Linear(dimension, dimension)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states_BLD: Tensor) -> Tensor:
        mixed_BLD = attend(self.query_key_value(self.attention_norm(states_BLD)), self.heads)
        attended = self.dropout(self.attention_out(mixed_BLD))
        states_BLD = states_BLD + torch.sigmoid(self.attention_gate(states_BLD)) * attended
        opened, content = self.feed_in(self.feed_norm(states_BLD)).chunk(2, dim=-1)
        fed = self.dropout(self.feed_out(functional.silu(opened) * content))
        return states_BLD + torch.sigmoid(self.feed_gate(states_BLD)) * fed
