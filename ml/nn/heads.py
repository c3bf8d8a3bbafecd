"""Prediction heads: what else is read off the pooled vector of a prefix, besides the next item."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

NEXT_ITEM = "next_item"
NEXT_TYPE = "next_type"
# A position whose outcome is not known.
NO_LABEL = -1


class PredictionHeads(nn.Module):
    """One hidden layer and one output for each head: next_type chooses among the event types, every other head says
    how likely something is.

    The output weights start at 0, so that a head which has learned nothing answers the rates given to `start_at`. With
    `learn_weights` there is a log-variance for each loss, the next item's included.
    """

    def __init__(self, names: Sequence[str], *, dimension: int, types: int, learn_weights: bool) -> None:
        super().__init__()
        self.hidden = nn.ModuleDict({name: nn.Linear(dimension, dimension) for name in names})
        outputs = {name: nn.Linear(dimension, types if name == NEXT_TYPE else 1) for name in names}
        for output in outputs.values():
            nn.init.zeros_(output.weight)
            nn.init.zeros_(output.bias)
        self.output = nn.ModuleDict(outputs)
        losses = (NEXT_ITEM, *names) if learn_weights else ()
        self.log_variance = nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in losses})

    @torch.no_grad()
    def start_at(self, rates: Mapping[str, Sequence[float]]) -> None:
        """Let each head answer these probabilities: one for each event type in code order, or one alone. A rate of 0
        or 1 must not occur."""
        for name, output in self.output.items():
            assert isinstance(output, nn.Linear)
            rate = torch.tensor(rates[name])
            output.bias.copy_(rate.log() if name == NEXT_TYPE else rate.logit())

    def probabilities(self, pooled_BD: Tensor) -> dict[str, Tensor]:
        """By head: (B, types) of next_type, whose rows sum to 1, and (B,) of every other one."""
        logits = {name: self._logits(name, pooled_BD) for name in self.output}
        return {
            name: logit_BK.softmax(dim=1) if name == NEXT_TYPE else logit_BK[:, 0].sigmoid()
            for name, logit_BK in logits.items()
        }

    def losses(self, pooled_BLD: Tensor, label_BL: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The mean cross-entropy of each head over its labelled positions; a head without one has no loss.

        Labels are int64: an event type code from 0, or 0 and 1; NO_LABEL where the outcome is not known.
        """
        losses = {}
        for name, label in label_BL.items():
            known = label != NO_LABEL
            if not known.any():
                continue
            # The loss runs in full precision also where the encoder ran in half.
            logit_NK = self._logits(name, pooled_BLD[known].float())
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

    def _logits(self, name: str, pooled_ND: Tensor) -> Tensor:
        """(N, types) of next_type, (N, 1) of every other head."""
        hidden: Tensor = self.hidden[name](pooled_ND)
        logits: Tensor = self.output[name](functional.gelu(hidden))
        return logits
