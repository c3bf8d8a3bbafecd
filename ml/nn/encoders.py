"""Sequence encoders behind one interface: (B, L, D) events in, (B, L, D) states out, none of which sees a later event.

Sequences are padded on the right, so that causality alone keeps the padding out of every real position.
"""

from torch import Tensor, arange, nn
from torch.nn import functional


class LSTMEncoder(nn.Module):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997), with a residual path around it."""

    def __init__(self, *, dimension: int, layers: int, heads: int, dropout: float, max_length: int) -> None:
        super().__init__()
        between = dropout if layers > 1 else 0.0
        self.lstm = nn.LSTM(dimension, dimension, num_layers=layers, dropout=between, batch_first=True)
        self.norm = nn.LayerNorm(dimension)

    def forward(self, events_BLD: Tensor) -> Tensor:
        states_BLD, _ = self.lstm(events_BLD)
        return self.norm(states_BLD + events_BLD)


class CausalTransformer(nn.Module):
    """A GPT-like stack of pre-normalised blocks with learned positions (Kang and McAuley, 2018, use it on items)."""

    def __init__(self, *, dimension: int, layers: int, heads: int, dropout: float, max_length: int) -> None:
        super().__init__()
        self.position = nn.Embedding(max_length, dimension)
        nn.init.normal_(self.position.weight, std=0.02)
        self.blocks = nn.ModuleList(CausalBlock(dimension, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dimension)

    def forward(self, events_BLD: Tensor) -> Tensor:
        states_BLD = events_BLD + self.position(arange(events_BLD.shape[1], device=events_BLD.device))
        for block in self.blocks:
            states_BLD = block(states_BLD)
        return self.norm(states_BLD)


class CausalBlock(nn.Module):
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

    def forward(self, states_BLD: Tensor) -> Tensor:
        states_BLD = states_BLD + self._drop(self._attend(self.attention_norm(states_BLD)))
        hidden_BLF = functional.gelu(self.feed_in(self.feed_norm(states_BLD)))
        return states_BLD + self._drop(self.feed_out(hidden_BLF))

    def _attend(self, states_BLD: Tensor) -> Tensor:
        batch, length, dimension = states_BLD.shape
        split = self.query_key_value(states_BLD).view(batch, length, 3, self.heads, dimension // self.heads)
        query_BHLK, key_BHLK, value_BHLK = split.permute(2, 0, 3, 1, 4)
        mixed_BHLK = functional.scaled_dot_product_attention(query_BHLK, key_BHLK, value_BHLK, is_causal=True)
        return self.attention_out(mixed_BHLK.transpose(1, 2).reshape(batch, length, dimension))

    def _drop(self, states: Tensor) -> Tensor:
        return functional.dropout(states, self.dropout, self.training)


ENCODERS: dict[str, type[nn.Module]] = {"lstm": LSTMEncoder, "transformer": CausalTransformer}
