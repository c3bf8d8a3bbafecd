"""Prediction heads: what else is read off the pooled vector of a prefix, besides the next item."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ml.data.activity import ACTIVITIES_OF_TYPE
from ml.nn.names import NEXT_ITEM, NEXT_TYPE

# A position whose outcome is not known.
NO_LABEL = -1
# How the buffers begin that hold what counting says; a warm start counts anew.
COUNTED = "counted_"


class PredictionHeads(nn.Module):
    """One hidden layer and one output for each head: next_type chooses among the event types, every other head says
    how likely something is. All add to what counting says, the next type's by the last type, the others' by the
    activity (see ml.data.activity): the output weights start at 0, so that a head which has learned nothing answers the
    rates given to `start_at`.

    With `learn_weights` there is a log-variance for each loss, the next item's included.
    """

    def __init__(self, names: Sequence[str], *, dimension: int, types: int, learn_weights: bool) -> None:
        super().__init__()
        sizes = {name: types if name == NEXT_TYPE else 1 for name in names}
        groups = {name: (types + 1) * (1 if name == NEXT_TYPE else ACTIVITIES_OF_TYPE) for name in names}
        self.hidden = nn.ModuleDict({name: nn.Linear(dimension, dimension) for name in names})
        outputs = {name: nn.Linear(dimension, size) for name, size in sizes.items()}
        for name, output in outputs.items():
            nn.init.zeros_(output.weight)
            nn.init.zeros_(output.bias)
            self.register_buffer(f"{COUNTED}{name}", torch.zeros(groups[name], sizes[name]))
        self.output = nn.ModuleDict(outputs)
        losses = (NEXT_ITEM, *names) if learn_weights else ()
        self.log_variance = nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in losses})

    @torch.no_grad()
    def start_at(self, rates: Mapping[str, NDArray[np.float64]]) -> None:
        """What counting says: by head, the rates (groups, outcomes) of each group of events, none of them 0."""
        for name, rate in rates.items():
            logit = np.log(rate) if name == NEXT_TYPE else np.log(rate[:, 1:]) - np.log(rate[:, :1])
            self.get_buffer(f"{COUNTED}{name}").copy_(torch.from_numpy(logit))

    def probabilities(self, pooled_BD: Tensor, activity_B: Tensor) -> dict[str, Tensor]:
        """By head: (B, types) of next_type, whose rows sum to 1, and (B,) of every other one."""
        logits = {name: self._logits(name, pooled_BD, activity_B) for name in self.output}
        return {
            name: logit_BK.softmax(dim=1) if name == NEXT_TYPE else logit_BK[:, 0].sigmoid()
            for name, logit_BK in logits.items()
        }

    def losses(self, pooled_BLD: Tensor, activity_BL: Tensor, label_BL: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The mean cross-entropy of each head over its labelled positions; a head without one has no loss.

        Labels are int64: an event type code from 0, or 0 and 1; NO_LABEL where the outcome is not known.
        """
        losses = {}
        for name, label in label_BL.items():
            known = label != NO_LABEL
            if not known.any():
                continue
            # The loss runs in full precision also where the encoder ran in half.
            logit_NK = self._logits(name, pooled_BLD[known].float(), activity_BL[known])
            if name == NEXT_TYPE:
                losses[name] = functional.cross_entropy(logit_NK, label[known])
            else:
                wanted = label[known].to(logit_NK.dtype)
                losses[name] = functional.binary_cross_entropy_with_logits(logit_NK[:, 0], wanted)
        return losses

    def balance(self, losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
        """One scalar out of the losses of a batch: their sum by `weights`, 1 for a name that is not there.

        With learned weights: the sum of exp(-s) loss + s / 2 over the losses, where s = log sigma^2 is the
        log-variance of each (Kendall, Gal and Cipolla, 2018, equation 10 for classification), which for a steady loss
        is least at exp(-s) = 1 / (2 loss).
        """
        if not self.log_variance:
            return torch.stack([weights.get(name, 1.0) * loss for name, loss in losses.items()]).sum()
        weighted = [
            torch.exp(-self.log_variance[name]) * loss + self.log_variance[name] / 2 for name, loss in losses.items()
        ]
        return torch.stack(weighted).sum()

    def learned_weights(self) -> dict[str, float]:
        """exp(-s) of each loss; empty where the weights are set."""
        return {name: float(torch.exp(-s.detach())) for name, s in self.log_variance.items()}

    def _logits(self, name: str, pooled_ND: Tensor, activity_N: Tensor) -> Tensor:
        """(N, types) of next_type, (N, 1) of every other head."""
        hidden: Tensor = self.hidden[name](pooled_ND)
        learned: Tensor = self.output[name](functional.gelu(hidden))
        group = activity_N // ACTIVITIES_OF_TYPE if name == NEXT_TYPE else activity_N
        return self.get_buffer(f"{COUNTED}{name}")[group] + learned
