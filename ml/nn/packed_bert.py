"""A BERT encoder for answering on a processor: texts stand one behind the other without padding, query, key and value
are one product, and weights lie in memory as the processor multiplies them.

What makes a short text slow is not its arithmetic but everything around it: of 12 ms that the layers of transformers
took for three sentences, multiplying took 4. Its tensors: T tokens of all texts, N texts, D dimension.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

Linear = Callable[[Tensor], Tensor]


def can_pack(model: Any) -> bool:
    """Whether the model is a BERT as `PackedBert` computes it, and this build of torch has the products for it."""
    config = model.config
    is_bert: bool = config.model_type == "bert" and config.hidden_act == "gelu" and not config.is_decoder
    return is_bert and torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


class PackedBert:
    """`model` of transformers with its weights in `kind`; sums, norms and attention stay float32. For inference
    alone."""

    def __init__(self, model: Any, kind: torch.dtype) -> None:
        embeddings, config = model.embeddings, model.config
        self.kind, self.heads, self.epsilon = kind, config.num_attention_heads, config.layer_norm_eps
        self.words = embeddings.word_embeddings.weight.detach()
        # All tokens are of the first kind of segment.
        self.places = (embeddings.position_embeddings.weight + embeddings.token_type_embeddings.weight[0]).detach()
        self.norm = embeddings.LayerNorm
        self.layers = [self._layer(layer) for layer in model.encoder.layer]

    def means(self, texts: Sequence[Sequence[int]]) -> Tensor:
        """(N, D): the mean of the last states of each text, which is given by its tokens."""
        lengths = [len(text) for text in texts]
        text_T = torch.tensor([number for number, length in enumerate(lengths) for _ in range(length)])
        tokens_T = torch.tensor([token for text in texts for token in text])
        places_T = torch.tensor([place for length in lengths for place in range(length)])
        states_TD = functional.embedding(tokens_T, self.words) + functional.embedding(places_T, self.places)
        states_TD = self._normal(states_TD, self.norm)
        mask_TT = _own_text(text_T)
        scale = (states_TD.shape[1] // self.heads) ** -0.5
        for both, out, first_norm, up, down, last_norm in self.layers:
            query, key, value = (
                both(states_TD.to(self.kind)).float().view(len(tokens_T), 3, self.heads, -1).permute(1, 2, 0, 3)
            )
            # For a few short texts these three take a third of what torch's fused attention does.
            weights = torch.baddbmm(mask_TT, query, key.transpose(1, 2), alpha=scale).softmax(dim=2)
            seen_TD = torch.bmm(weights, value).transpose(0, 1).reshape(states_TD.shape)
            states_TD = self._normal(states_TD + out(seen_TD.to(self.kind)), first_norm)
            states_TD = self._normal(states_TD + down(up(states_TD.to(self.kind))), last_norm)
        return torch.stack([part.sum(dim=0) / max(1, len(part)) for part in states_TD.split(lengths)])

    def _layer(self, layer: Any) -> tuple[Linear, Linear, nn.LayerNorm, Linear, Linear, nn.LayerNorm]:
        attention, kind = layer.attention, self.kind
        parts = [attention.self.query, attention.self.key, attention.self.value]
        both = packed_linear(
            torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts]), kind=kind
        )
        out, up, down = attention.output.dense, layer.intermediate.dense, layer.output.dense
        return (
            both,
            packed_linear(out.weight, out.bias, kind=kind),
            attention.output.LayerNorm,
            packed_linear(up.weight, up.bias, kind=kind, activation="gelu"),
            packed_linear(down.weight, down.bias, kind=kind),
            layer.output.LayerNorm,
        )

    def _normal(self, states_TD: Tensor, norm: nn.LayerNorm) -> Tensor:
        return functional.layer_norm(states_TD, norm.normalized_shape, norm.weight, norm.bias, self.epsilon)


def _own_text(text_T: Tensor) -> Tensor:
    """What attention adds, (T, T): a token sees those of its own text alone."""
    others_TT = text_T[:, None] != text_T
    return torch.zeros(others_TT.shape).masked_fill_(others_TT, -torch.inf)


def packed_linear(weight: Tensor, bias: Tensor, *, kind: torch.dtype, activation: str = "none") -> Linear:
    """inputs W' + b and what follows, with the weights laid out once; the operations behind torch's own compiler."""
    laid_out = torch.ops.mkldnn._reorder_linear_weight(weight.detach().to(kind), None)
    bias = bias.detach().to(kind)
    multiply = torch.ops.mkldnn._linear_pointwise.default
    return lambda inputs: multiply(inputs, laid_out, bias, activation, [], "none")
