"""A pointer that repeats an item of the history, as in pointer-generator networks (See et al., 2017)."""

import math

import torch
from torch import Tensor, arange, nn

# The log-probability given to a target that the history does not hold; exp(-30) vanishes beside any other term.
NEVER = -30.0


class CopyHead(nn.Module):
    """Chooses which earlier event's item comes again, by content and by how many events ago it was, and how likely a
    repeat is at all. Where people come back to what they saw, this is worth more than any item embedding.

    `after` holds what asks at each position, as in AttentionPooling.
    """

    def __init__(self, dimension: int, max_length: int) -> None:
        super().__init__()
        self.query = nn.Linear(dimension, dimension, bias=False)
        self.key = nn.Linear(dimension, dimension, bias=False)
        self.gate = nn.Linear(dimension, 1)
        # Starts as weight 1 / (events ago), which is the best simple rule.
        self.recency = nn.Parameter(-torch.log(torch.arange(1, max_length + 1).float()))

    def forward(
        self, states_BLD: Tensor, after_BLD: Tensor, item_BL: Tensor, target_BL: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Log-probability that each position's target is copied from position or before, and the gate logit: (B, L)."""
        length = states_BLD.shape[1]
        lag_TL = arange(length, device=item_BL.device)[:, None] - arange(length, device=item_BL.device)
        logit_BTL = self.query(after_BLD) @ self.key(states_BLD).transpose(1, 2) / math.sqrt(states_BLD.shape[2])
        logit_BTL = logit_BTL + self.recency[lag_TL.clamp(min=0)]
        logit_BTL = logit_BTL.masked_fill((lag_TL < 0) | (item_BL == 0)[:, None, :], NEVER)
        log_weight_BTL = logit_BTL.log_softmax(dim=2)
        same_BTL = (item_BL[:, None, :] == target_BL[:, :, None]) & (lag_TL >= 0)
        copied = log_weight_BTL.masked_fill(~same_BTL, NEVER).logsumexp(dim=2)
        return copied, self.gate(after_BLD)[..., 0]

    def last(self, states_BLD: Tensor, after_BLD: Tensor, item_BL: Tensor, length_B: Tensor) -> tuple[Tensor, Tensor]:
        """Copy weights of the events after the last one, (B, L), summing to 1, and the gate logit, (B,)."""
        last_BD = after_BLD[arange(len(states_BLD), device=item_BL.device), length_B - 1]
        logit_BL = torch.einsum("bd,bld->bl", self.query(last_BD), self.key(states_BLD)) / math.sqrt(last_BD.shape[1])
        lag_BL = (length_B - 1)[:, None] - arange(item_BL.shape[1], device=item_BL.device)
        logit_BL = logit_BL + self.recency[lag_BL.clamp(min=0)]
        logit_BL = logit_BL.masked_fill((lag_BL < 0) | (item_BL == 0), NEVER)
        return logit_BL.softmax(dim=1) * (item_BL > 0), self.gate(last_BD)[:, 0]
