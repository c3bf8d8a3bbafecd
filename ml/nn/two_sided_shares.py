"""What the two-sided network answers, with the share of each event, for the few transactions of a request.

The network is small and a request has one row, so that nearly all of its time would be torch's own for each operation.
Here numpy does what lies around the encoders, and the LSTM too, for both sides at once; that both say the same is
tested. S counts the sides.
"""

from collections.abc import Callable, Sequence
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
_HALF = np.float32(0.5)
_ROOT_OF_2 = np.float32(2.0**0.5)
_ROOT_OF_2_PI = np.float32((2.0 * np.pi) ** 0.5)


@dataclass(frozen=True)
class Shares:
    """logit (B,); for each side and event (S, B, L): attention, which with that of "no event" sums to 1; its part."""

    logit: Table
    attention: Table
    part: Table


@dataclass(frozen=True)
class Linear:
    """x @ weight (in, out) + bias (out,); of several layers at once (S, in, out) and (S, 1, out)."""

    weight: Table
    bias: Table

    @classmethod
    def of(cls, layer: nn.Linear) -> "Linear":
        return cls(np.ascontiguousarray(_array(layer.weight).T), _array(layer.bias))

    @classmethod
    def of_sides(cls, layers: Sequence[nn.Linear]) -> "Linear":
        each = [cls.of(layer) for layer in layers]
        return cls(np.stack([one.weight for one in each]), np.stack([one.bias for one in each])[:, None])

    def __call__(self, value: Table) -> Table:
        return value @ self.weight + self.bias


@dataclass(frozen=True)
class LSTMStates:
    """The `LSTMEncoder` of each side. Of each layer the weights of what comes in (S, D, 4 D), of the state (S, D, 4 D)
    and the bias (S, 1, 4 D), for the gates in the order input, forget, output and cell.

    The gates but the cell's are sigmoids, which are had by one tanh with the cell's, since sigmoid(x) is
    (1 + tanh(x / 2)) / 2: their weights are halved here.
    """

    layers: list[tuple[Table, Table, Table]]
    scale: Table
    shift: Table
    epsilon: float

    @classmethod
    def of(cls, encoders: Sequence[LSTMEncoder]) -> "LSTMStates":
        norms = [encoder.norm for encoder in encoders]
        sides = [[[_gates(each) for each in layer] for layer in encoder.lstm.all_weights] for encoder in encoders]
        layers = []
        for layer in zip(*sides, strict=True):
            coming, state, bias, second_bias = (np.stack(each) for each in zip(*layer, strict=True))
            layers.append((coming, state, (bias + second_bias)[:, None]))
        return cls(
            layers=layers,
            scale=np.stack([_array(norm.weight) for norm in norms])[:, None, None],
            shift=np.stack([_array(norm.bias) for norm in norms])[:, None, None],
            epsilon=norms[0].eps,
        )

    def __call__(self, events_SBLD: Table) -> Table:
        states_SBLD = events_SBLD
        for layer in self.layers:
            states_SBLD = _lstm(states_SBLD, *layer)
        summed_SBLD = states_SBLD + events_SBLD
        centred_SBLD = summed_SBLD - summed_SBLD.mean(axis=-1, keepdims=True)
        variance_SBL1 = (centred_SBLD * centred_SBLD).mean(axis=-1, keepdims=True)
        return centred_SBLD / np.sqrt(variance_SBL1 + np.float32(self.epsilon)) * self.scale + self.shift


def _gates(weights: Tensor) -> Table:
    """torch's weights (4 D, ...) of the gates input, forget, cell and output, as LSTMStates has them (..., 4 D)."""
    first, forget, cell, output = np.split(_array(weights), 4)
    return np.ascontiguousarray(np.concatenate([_HALF * first, _HALF * forget, _HALF * output, cell]).T)


def _lstm(events_SBLD: Table, coming_SDG: Table, state_SDG: Table, bias_S1G: Table) -> Table:
    """The states of a layer after each event (Hochreiter and Schmidhuber, 1997, with the forget gate of Gers et al.,
    2000)."""
    sides, batch, length, size = events_SBLD.shape
    coming_SBLG = (events_SBLD.reshape(sides, -1, size) @ coming_SDG + bias_S1G).reshape(sides, batch, length, -1)
    states_LSBD = np.empty((length, sides, batch, size), dtype=np.float32)
    state_SBD, cell_SBD = np.zeros((2, sides, batch, size), dtype=np.float32)
    # Made once and written into at each event: an array of its own costs about as much as what is done with it.
    gates_SBG = np.empty((sides, batch, 4 * size), dtype=np.float32)
    sigmoids = gates_SBG[..., : 3 * size]
    take, keep, tell, new = (gates_SBG[..., gate * size : (gate + 1) * size] for gate in range(4))
    for coming_SBG, told_SBD in zip(coming_SBLG.transpose(2, 0, 1, 3), states_LSBD, strict=True):
        np.matmul(state_SBD, state_SDG, out=gates_SBG)
        gates_SBG += coming_SBG
        np.tanh(gates_SBG, out=gates_SBG)
        sigmoids += 1
        sigmoids *= _HALF
        cell_SBD *= keep
        new *= take
        cell_SBD += new
        state_SBD = np.tanh(cell_SBD, out=told_SBD)
        state_SBD *= tell
    return states_LSBD.transpose(1, 2, 0, 3)


@dataclass(frozen=True)
class Pooling:
    """`AttentionPooling` of each side; key and query are folded into one, since only their product is asked for.

    none (S, D).
    """

    query: Linear
    key: Linear
    none: Table

    @classmethod
    def of(cls, sides: Sequence[AttentionPooling]) -> "Pooling":
        return cls(
            query=Linear.of_sides([pooling.query for pooling in sides]),
            key=Linear.of_sides([pooling.key for pooling in sides]),
            none=np.stack([_array(pooling.none) for pooling in sides]),
        )

    def __call__(self, asked_BD: Table, states_SBLD: Table, length_SB: NDArray[np.int64]) -> tuple[Table, Table]:
        """Nothing and the events (S, B, 1 + L, D), and their weights (S, B, 1 + L)."""
        sides, batch, _, size = states_SBLD.shape
        none_SB1D = np.broadcast_to(self.none[:, None, None], (sides, batch, 1, size))
        all_SBMD = np.concatenate([none_SB1D, states_SBLD], axis=2)
        query_SBD = self.query(asked_BD)
        asking_SBD1 = (query_SBD @ self.key.weight.transpose(0, 2, 1))[..., None]
        scores_SBM = (all_SBMD @ asking_SBD1)[..., 0] + query_SBD @ self.key.bias.transpose(0, 2, 1)
        scores_SBM *= np.float32(size**-0.5)
        scores_SBM[np.arange(all_SBMD.shape[2]) > length_SB[..., None]] = -np.inf
        weight_SBM = np.exp(scores_SBM - scores_SBM.max(axis=2, keepdims=True))
        return all_SBMD, weight_SBM / weight_SBM.sum(axis=2, keepdims=True)


@dataclass(frozen=True)
class SharingNetwork:
    """A trained TwoSidedNetwork as a request asks it; `encode` makes events (S, B, L, D) states."""

    mean: Table
    scale: Table
    transaction: tuple[Linear, Linear]
    event: Linear
    kind: Table
    encode: Callable[[Table], Table]
    pooling: Pooling
    head: tuple[Linear, Linear]

    @classmethod
    def of(cls, network: TwoSidedNetwork) -> "SharingNetwork":
        return cls(
            mean=_array(network.mean),
            scale=_array(network.scale),
            transaction=_two(network.transaction),
            event=Linear.of(network.event),
            kind=_array(network.kind.weight),
            encode=_encoder([network.encoders[side] for side in SIDES]),
            pooling=Pooling.of([network.pooling[side] for side in SIDES]),  # type: ignore[misc]
            head=_two(network.head),
        )

    def shares(self, features: Table, sequences: SideSequences) -> Shares:
        """How the logits are shared among the events; features (B, F), NaN where unknown; sequences of all first sides
        and then of all second ones (S B).

        Integrated gradients (Sundararajan et al., 2017) of what attention adds of each event, from none of the events
        to all of them: the parts sum to the difference that the events make to the head, up to the steps of the path.
        The gradients are written out, since finding them anew would take longer than all the rest.
        """
        asked_BD = self._asked(features)
        all_SBMD, weight_SBM = self._read(asked_BD, sequences)
        first, last = self.head
        before_BD = first(_row(asked_BD, *(all_SBMD[:, :, 0] * weight_SBM[:, :, :1])))
        after_BD = first(_row(asked_BD, *(weight_SBM[:, :, None] @ all_SBMD)[:, :, 0]))
        # The head's first layer is linear, so that the path is straight behind it too.
        slope_BD = gelu_slope(before_BD + _PATH * (after_BD - before_BD)).mean(axis=0)
        gradients = ((slope_BD * last.weight[:, 0]) @ first.weight.T).reshape(len(features), len(SIDES) + 1, -1, 1)
        part_SBL = weight_SBM[:, :, 1:] * (all_SBMD[:, :, 1:] @ gradients[:, 1:].swapaxes(0, 1))[..., 0]
        return Shares(last(gelu(after_BD))[:, 0], weight_SBM[:, :, 1:], part_SBL)

    def _asked(self, features: Table) -> Table:
        known = ~np.isnan(features)
        compressed = np.sign(features) * np.log1p(np.abs(features))
        standard = np.where(known, (compressed - self.mean) / self.scale, np.float32(0.0))
        first, last = self.transaction
        inputs = _row(standard.clip(-MOST_DEVIATIONS, MOST_DEVIATIONS), known.astype(np.float32))
        return last(gelu(first(inputs)))

    def _read(self, asked_BD: Table, sequences: SideSequences) -> tuple[Table, Table]:
        states_SBLD = self.event(sequences.events) + self.kind[sequences.type]
        states_SBLD = states_SBLD.reshape(len(SIDES), len(asked_BD), *states_SBLD.shape[1:])
        # An encoder may not take a batch without a single event.
        if states_SBLD.shape[2]:
            states_SBLD = self.encode(states_SBLD)
        return self.pooling(asked_BD, states_SBLD, sequences.length.reshape(len(SIDES), -1))


def _encoder(encoders: list[nn.Module]) -> Callable[[Table], Table]:
    if all(isinstance(encoder, LSTMEncoder) for encoder in encoders):
        return LSTMStates.of(encoders)  # type: ignore[arg-type]
    return partial(_encode, encoders)


@torch.inference_mode()
def _encode(encoders: list[nn.Module], events_SBLD: Table) -> Table:
    states = [encode(torch.from_numpy(each)) for encode, each in zip(encoders, events_SBLD, strict=True)]
    return np.stack([each.numpy() for each in states])


def gelu(value: Table) -> Table:
    """The Gaussian error linear unit (Hendrycks and Gimpel, 2016): x Phi(x)."""
    return _HALF * value * (np.float32(1.0) + erf(value / _ROOT_OF_2))


def gelu_slope(value: Table) -> Table:
    """The derivative of the GELU: Phi(x) + x phi(x)."""
    density = np.exp(np.float32(-0.5) * value * value) / _ROOT_OF_2_PI
    return _HALF * (np.float32(1.0) + erf(value / _ROOT_OF_2)) + value * density


def _row(*parts: Table) -> Table:
    return np.concatenate(parts, axis=1)


def _two(layers: nn.Sequential) -> tuple[Linear, Linear]:
    first, last = (Linear.of(layer) for layer in layers if isinstance(layer, nn.Linear))
    return first, last


def _array(weights: Tensor) -> Table:
    values: Table = weights.detach().numpy()
    return values
