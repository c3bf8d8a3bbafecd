"""Recurrent networks, which need no positions and read each event once."""

from torch import Tensor, nn


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


class GRUEncoder(nn.Module):
    """Gated recurrent units (Cho et al., 2014; Hidasi et al., 2016, use them on items), with a residual path."""

    def __init__(self, *, dimension: int, layers: int, heads: int, dropout: float, max_length: int) -> None:
        super().__init__()
        between = dropout if layers > 1 else 0.0
        self.gru = nn.GRU(dimension, dimension, num_layers=layers, dropout=between, batch_first=True)
        self.norm = nn.LayerNorm(dimension)

    def forward(self, events_BLD: Tensor) -> Tensor:
        states_BLD, _ = self.gru(events_BLD)
        return self.norm(states_BLD + events_BLD)
