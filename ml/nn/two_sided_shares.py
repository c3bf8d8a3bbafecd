"""What the two-sided network answers, with the share of each event, for the few transactions of a request.

The network is small and a request has one row, so that nearly all of its time would be torch's own for each operation.
Here numpy does what lies around the encoders; that both say the same is tested.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import erf
from torch import Tensor, nn

from ml.data.party_sequences import SIDES, SideSequences, Table
from ml.nn.encoders import LSTMEncoder
from ml.nn.two_sided import MOST_DEVIATIONS, AttentionPooling, TwoSidedNetwork

# Steps of the path along which a score is shared among the events.
STEPS = 16
_PATH = ((np.arange(STEPS, dtype=np.float32) + np.float32(0.5)) / np.float32(STEPS))[:, None, None]
_ROOT_OF_2 = np.float32(2.0**0.5)
_ROOT_OF_2_PI = np.float32((2.0 * np.pi) ** 0.5)


@dataclass(frozen=True)
class Shares:
    """logit (B,); by side, for each event (B, L): its attention, which with that of "no event" sums to 1; its part."""

    logit: Table
    attention: dict[str, Table]
    part: dict[str, Table]


@dataclass(frozen=True)
class Linear:
    """x @ weight (in, out) + bias (out,)."""

    weight: Table
    bias: Table

    @classmethod
    def of(cls, layer: nn.Linear) -> "Linear":
        return cls(np.ascontiguousarray(_array(layer.weight).T), _array(layer.bias))

    def __call__(self, value: Table) -> Table:
        return value @ self.weight + self.bias


@dataclass(frozen=True)
class LSTMStates:
    """`LSTMEncoder`, past what torch's modules do around its operation."""

    weights: list[Tensor]
    layers: int
    scale: Table
    shift: Table
    epsilon: float

    @classmethod
    def of(cls, encoder: LSTMEncoder) -> "LSTMStates":
        lstm, norm = encoder.lstm, encoder.norm
        weights = [each.detach() for layer in lstm.all_weights for each in layer]
        return cls(weights, lstm.num_layers, _array(norm.weight), _array(norm.bias), norm.eps)

    @torch.inference_mode()
    def __call__(self, events_BLD: Table) -> Table:
        start = torch.zeros(self.layers, len(events_BLD), events_BLD.shape[2])
        events = torch.from_numpy(events_BLD)
        states, *_ = torch.lstm(events, (start, start), self.weights, True, self.layers, 0.0, False, False, True)
        summed_BLD = states.numpy() + events_BLD
        centred_BLD = summed_BLD - summed_BLD.mean(axis=-1, keepdims=True)
        variance_BL1 = (centred_BLD * centred_BLD).mean(axis=-1, keepdims=True)
        return centred_BLD / np.sqrt(variance_BL1 + np.float32(self.epsilon)) * self.scale + self.shift


@dataclass(frozen=True)
class Pooling:
    """`AttentionPooling`; key and query are folded into one, since only their product is asked for."""

    query: Linear
    key: Linear
    none: Table

    @classmethod
    def of(cls, pooling: AttentionPooling) -> "Pooling":
        return cls(Linear.of(pooling.query), Linear.of(pooling.key), _array(pooling.none))

    def __call__(self, asked_BD: Table, states_BLD: Table, length_B: NDArray[np.int64]) -> tuple[Table, Table]:
        """Nothing and the events (B, 1 + L, D), and their weights (B, 1 + L)."""
        none_B1D = np.broadcast_to(self.none, (len(asked_BD), 1, len(self.none)))
        all_BMD = np.concatenate([none_B1D, states_BLD], axis=1)
        query_BD = self.query(asked_BD)
        scores_BM = (all_BMD @ (query_BD @ self.key.weight.T)[..., None])[..., 0] + query_BD @ self.key.bias[:, None]
        scores_BM *= np.float32(len(self.none) ** -0.5)
        real_BM = np.arange(all_BMD.shape[1]) <= length_B[:, None]
        scores_BM[~real_BM] = -np.inf
        weight_BM = np.exp(scores_BM - scores_BM.max(axis=1, keepdims=True))
        return all_BMD, weight_BM / weight_BM.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class SharingNetwork:
    """A trained TwoSidedNetwork as a request asks it."""

    mean: Table
    scale: Table
    transaction: tuple[Linear, Linear]
    event: Linear
    kind: Table
    encode: dict[str, Callable[[Table], Table]]
    pooling: dict[str, Pooling]
    head: tuple[Linear, Linear]

    @classmethod
    def of(cls, network: TwoSidedNetwork) -> "SharingNetwork":
        return cls(
            mean=_array(network.mean),
            scale=_array(network.scale),
            transaction=_two(network.transaction),
            event=Linear.of(network.event),
            kind=_array(network.kind.weight),
            encode={side: _encoder(network.encoders[side]) for side in SIDES},
            pooling={side: Pooling.of(network.pooling[side]) for side in SIDES},  # type: ignore[arg-type]
            head=_two(network.head),
        )

    def shares(self, features: Table, sides: Mapping[str, SideSequences]) -> Shares:
        """How the logits are shared among the events; features (B, F), NaN where unknown.

        Integrated gradients (Sundararajan et al., 2017) of what attention adds of each event, from none of the events
        to all of them: the parts sum to the difference that the events make to the head, up to the steps of the path.
        The gradients are written out, since finding them anew would take longer than all the rest.
        """
        asked_BD = self._asked(features)
        read = {side: self._read(side, asked_BD, sides[side]) for side in SIDES}
        first, last = self.head
        before_BD = first(_row(asked_BD, *(all_BMD[:, 0] * weight_BM[:, :1] for all_BMD, weight_BM in read.values())))
        after_BD = first(
            _row(asked_BD, *((weight_BM[:, None] @ all_BMD)[:, 0] for all_BMD, weight_BM in read.values()))
        )
        # The head's first layer is linear, so that the path is straight behind it too.
        slope_BD = gelu_slope(before_BD + _PATH * (after_BD - before_BD)).mean(axis=0)
        gradients = ((slope_BD * last.weight[:, 0]) @ first.weight.T).reshape(len(features), len(SIDES) + 1, -1)
        part = {
            side: weight_BM[:, 1:] * (all_BMD[:, 1:] @ gradients[:, number, :, None])[..., 0]
            for number, (side, (all_BMD, weight_BM)) in enumerate(read.items(), start=1)
        }
        return Shares(last(gelu(after_BD))[:, 0], {side: weight[:, 1:] for side, (_, weight) in read.items()}, part)

    def _asked(self, features: Table) -> Table:
        known = ~np.isnan(features)
        compressed = np.sign(features) * np.log1p(np.abs(features))
        standard = np.where(known, (compressed - self.mean) / self.scale, np.float32(0.0))
        first, last = self.transaction
        inputs = _row(standard.clip(-MOST_DEVIATIONS, MOST_DEVIATIONS), known.astype(np.float32))
        return last(gelu(first(inputs)))

    def _read(self, side: str, asked_BD: Table, sequences: SideSequences) -> tuple[Table, Table]:
        states_BLD = self.event(sequences.events) + self.kind[sequences.type]
        # An encoder may not take a batch without a single event.
        if states_BLD.shape[1]:
            states_BLD = self.encode[side](states_BLD)
        return self.pooling[side](asked_BD, states_BLD, sequences.length)


def _encoder(encoder: nn.Module) -> Callable[[Table], Table]:
    """Events (B, L, D) to states (B, L, D)."""
    return LSTMStates.of(encoder) if isinstance(encoder, LSTMEncoder) else partial(_encode, encoder)


@torch.inference_mode()
def _encode(encoder: nn.Module, events_BLD: Table) -> Table:
    states: Table = encoder(torch.from_numpy(events_BLD)).numpy()
    return states


def gelu(value: Table) -> Table:
    """The Gaussian error linear unit (Hendrycks and Gimpel, 2016): x Phi(x)."""
    return np.float32(0.5) * value * (np.float32(1.0) + erf(value / _ROOT_OF_2))


def gelu_slope(value: Table) -> Table:
    """The derivative of the GELU: Phi(x) + x phi(x)."""
    density = np.exp(np.float32(-0.5) * value * value) / _ROOT_OF_2_PI
    return np.float32(0.5) * (np.float32(1.0) + erf(value / _ROOT_OF_2)) + value * density


def _row(*parts: Table) -> Table:
    return np.concatenate(parts, axis=1)


def _two(layers: nn.Sequential) -> tuple[Linear, Linear]:
    first, last = (Linear.of(layer) for layer in layers if isinstance(layer, nn.Linear))
    return first, last


def _array(weights: Tensor) -> Table:
    values: Table = weights.detach().numpy()
    return values
