"""Masked prediction over one row of features: what the rest of the row does not lead one to expect is unusual."""

import torch
from torch import Tensor, nn


class MaskedFeatures(nn.Module):
    """Foretells the features of one group, such as all that measure the amount, from those of the other groups.

    A whole group is hidden at once: its features say nearly the same, and each would give away the others. groups
    (features,) numbers the group of each feature from 0.
    """

    def __init__(self, groups: list[int], hidden: int) -> None:
        super().__init__()
        features = len(groups)
        self.layers = nn.Sequential(
            nn.Linear(2 * features, hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Linear(hidden, features),
        )
        masks = torch.arange(max(groups) + 1)[:, None] == torch.tensor(groups)
        self.register_buffer("masks", masks.float(), persistent=False)
        self.masks: Tensor

    def forward(self, rows: Tensor, masked: Tensor) -> Tensor:
        """Rows (n, features) of about unit spread with the features where `masked` (n, features) is 1 hidden."""
        foretold: Tensor = self.layers(torch.cat([rows * (1.0 - masked), masked], dim=1))
        return foretold

    def loss(self, rows: Tensor) -> Tensor:
        """Mean squared error of one group of each row, drawn at random."""
        masked = self.masks[torch.randint(len(self.masks), (len(rows),))]
        return ((self(rows, masked) - rows).square() * masked).sum() / masked.sum()

    def unexpected(self, rows: Tensor) -> Tensor:
        """How far each feature lies above what is foretold from the other groups, squared, (n, features); what is
        lower is no alarm."""
        unexpected = torch.zeros_like(rows)
        for mask in self.masks:
            masked = mask.expand_as(rows)
            unexpected += (rows - self(rows, masked)) * masked
        return unexpected.clamp_min(0.0).square()
