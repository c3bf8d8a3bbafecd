"""A small autoencoder over one row of features: what it cannot give back is unusual."""

import torch
from torch import Tensor, nn


class Autoencoder(nn.Module):
    """features -> hidden -> bottleneck -> hidden -> features. In training each feature is hidden at random with
    probability `mask`, so that a feature has to be foretold from the others and is not just copied (denoising as in
    Vincent et al., 2008)."""

    def __init__(self, features: int, hidden: int, bottleneck: int, mask: float) -> None:
        super().__init__()
        self.mask = mask
        self.layers = nn.Sequential(
            nn.Linear(features, hidden),
            nn.GELU(),
            nn.Linear(hidden, bottleneck),
            nn.GELU(),
            nn.Linear(bottleneck, hidden),
            nn.GELU(),
            nn.Linear(hidden, features),
        )

    def forward(self, rows: Tensor) -> Tensor:
        """Rows (n, features) of about unit spread, given back."""
        if self.training:
            rows = rows * (torch.rand_like(rows) >= self.mask)
        given: Tensor = self.layers(rows)
        return given

    def unexpected(self, rows: Tensor) -> Tensor:
        """How far each feature lies above what was foretold, squared, (n, features). What is lower is no alarm."""
        return (rows - self(rows)).clamp_min(0.0).square()
