"""Attention over the encoded events, whose weights come out with the result."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class AttentionPooling(nn.Module):
    """pooled_t = sum over i <= t of weight_ti (W state_i), with weights that sum to 1: a plain weighted sum, so that
    whatever is linear in the pooled vector splits exactly into one share per event.

    `after` holds what asks at each position: the state itself, or where the encoder masks the next event, that one's.

    A learned share of the weight goes to the newest state outright. Without it training first has to discover that
    the last event matters most, which takes several epochs.
    """

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.query = nn.Linear(dimension, dimension, bias=False)
        self.key = nn.Linear(dimension, dimension, bias=False)
        self.content = nn.Linear(dimension, dimension, bias=False)
        nn.init.eye_(self.content.weight)
        self.newest = nn.Parameter(torch.zeros(()))  # logit of that share

    def forward(self, states_BLD: Tensor, after_BLD: Tensor) -> Tensor:
        """The pooled vector of every prefix, (B, L, D)."""
        query, key, content = self.query(after_BLD), self.key(states_BLD), self.content(states_BLD)
        # A dimension for the one head: without it the kernel that needs no (L, L) weights in memory is not chosen.
        attended = functional.scaled_dot_product_attention(
            query[:, None], key[:, None], content[:, None], is_causal=True
        )
        attended = attended[:, 0]
        newest = content if after_BLD is states_BLD else self.content(after_BLD)
        return torch.lerp(attended, newest, self.newest.sigmoid())

    def last(self, states_BLD: Tensor, after_BLD: Tensor, length_B: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (B, L), which sum to 1 over each sequence, and contents (B, L, D) of the whole sequences.

        The last event's content is the mean of its own and of the newest state's, by their weights.
        """
        rows = torch.arange(len(states_BLD), device=states_BLD.device)
        newest = rows, length_B - 1
        after_BD = after_BLD[newest]
        logit_BL = torch.einsum("bd,bld->bl", self.query(after_BD), self.key(states_BLD))
        padding_BL = torch.arange(states_BLD.shape[1], device=states_BLD.device) >= length_B[:, None]
        logit_BL = (logit_BL / math.sqrt(states_BLD.shape[2])).masked_fill(padding_BL, -math.inf)
        share = self.newest.sigmoid()
        weight_BL = logit_BL.softmax(dim=1) * (1.0 - share)
        weight_BL[newest] += share
        content_BLD = self.content(states_BLD)
        if after_BLD is not states_BLD:
            part_B1 = (share / weight_BL[newest])[:, None]
            content_BLD[newest] = torch.lerp(content_BLD[newest], self.content(after_BD), part_B1)
        return weight_BL, content_BLD
