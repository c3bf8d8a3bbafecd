"""Sequence encoders: (B, L, D) events in, (B, L, D) states out.

Sequences are padded on the right. In all but the bidirectional one no state sees a later event, so that causality alone
keeps the padding out of every real position.
"""

from torch import nn

from ml.nn.encoders.gated import GatedTransformer
from ml.nn.encoders.recurrent import GRUEncoder, LSTMEncoder
from ml.nn.encoders.transformer import BidirectionalTransformer, CausalTransformer

ENCODERS: dict[str, type[nn.Module]] = {
    "lstm": LSTMEncoder,
    "gru": GRUEncoder,
    "transformer": CausalTransformer,
    "gated": GatedTransformer,
    "bidirectional": BidirectionalTransformer,
}

__all__ = [
    "ENCODERS",
    "BidirectionalTransformer",
    "CausalTransformer",
    "GRUEncoder",
    "GatedTransformer",
    "LSTMEncoder",
]
