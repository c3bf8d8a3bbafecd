"""A ranker whose score is a sum with one part for each feature, so that each item's score explains itself."""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

# The last rank of each bucket of positions; what comes after the last is one more bucket.
BUCKET_ENDS = (*range(1, 11), 15, 20, 30, 50, 100)
BUCKETS = len(BUCKET_ENDS) + 1
# Standardised features beyond this say no more.
FURTHEST = 5.0


def position_bucket(rank: ArrayLike) -> NDArray[np.int64]:
    """Bucket of each rank (from 1): one for each of the first ten, then wider ones."""
    return np.searchsorted(BUCKET_ENDS, np.asarray(rank), side="left").astype(np.int64)


class AdditiveRanker(nn.Module):
    """score(x) = sum over features f of g_f(x_f), where g_f is a line plus a small network and g_f(mean) = 0.

    A generalised additive model for ranking (Zhuang et al., 2021, WSDM). A missing feature (NaN) counts as its mean and
    adds nothing. In training a term of the position alone is added to the score (PAL: Guo et al., 2019, RecSys, whose
    product of probabilities is a sum here, within the softmax over a list): it takes what an item owes to its place,
    and is left out where items are ranked.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.slope = nn.Parameter(torch.zeros(features))
        self.inner = nn.Parameter(torch.randn(features, hidden))
        self.inner_bias = nn.Parameter(torch.randn(features, hidden))
        self.outer = nn.Parameter(torch.zeros(features, hidden))
        self.position = nn.Parameter(torch.zeros(BUCKETS))

    def standardise_by(self, features: NDArray[np.float32]) -> None:
        """Take mean and scale from the features (rows, F) of training, without what is missing in them."""
        known = np.where(np.isnan(features), np.nan, features).astype(np.float64)
        empty = np.isnan(known).all(axis=0)
        known[:, empty] = 0.0
        scale = np.nanstd(known, axis=0)
        self.mean.copy_(torch.from_numpy(np.nanmean(known, axis=0)))
        # A feature that never varies says nothing, and a new value of it should not say much.
        self.scale.copy_(torch.from_numpy(np.where(scale > 1e-6, scale, 1.0)))

    def parts(self, features: Tensor) -> Tensor:
        """What each feature adds to the score: features (..., F), parts (..., F)."""
        standard = ((features - self.mean) / self.scale).nan_to_num(0.0).clamp(-FURTHEST, FURTHEST)
        bent = torch.tanh(standard[..., None] * self.inner + self.inner_bias) - torch.tanh(self.inner_bias)
        return standard * self.slope + (bent * self.outer).sum(dim=-1)

    def forward(self, features: Tensor) -> Tensor:
        """Scores without the position, (...)."""
        return self.parts(features).sum(dim=-1)

    def penalty(self) -> Tensor:
        """Sum of the squares of what features add by. The position is free: where a feature and the position tell the
        same, the position is to have it."""
        return self.slope.square().sum() + self.outer.square().sum()
