"""Stochastic rankings whose propensities are known exactly."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def plackett_luce(
    scores: ArrayLike, count: int, temperature: float, generator: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Draw a ranking without replacement: each next item with probability softmax(scores / temperature) of those left.

    Drawn as the top of scores / temperature plus Gumbel noise (Kool et al., 2019). scores (items,) are logits, such
    as log-probabilities. Returns indices and propensities, both (min(count, items),): each item's probability of
    being drawn at its rank, given those before it. Temperature 0 is the greedy ranking, each with propensity 1.
    Raises ValueError for a negative temperature, a negative count or scores that are not numbers.
    """
    logits = np.asarray(scores, dtype=np.float64)
    if temperature < 0.0 or count < 0:
        raise ValueError("temperature and count must be 0 or more")
    if np.isnan(logits).any() or np.isposinf(logits).any():
        raise ValueError("scores must be numbers; minus infinity stands for an item that can not be drawn")
    possible = np.flatnonzero(np.isfinite(logits))
    logits = logits[possible]
    count = min(count, len(logits))
    if temperature == 0.0:
        greedy = np.argsort(-logits, kind="stable")[:count]
        return possible[greedy], np.ones(count)
    logits = logits / temperature
    order = np.argsort(-(logits + generator.gumbel(size=len(logits))), kind="stable")
    ranked = logits[order]
    # What is left at rank r weighs the sum of exp over ranks r and after.
    left = np.logaddexp.accumulate(ranked[::-1])[::-1]
    return possible[order[:count]], np.exp(ranked - left)[:count]
