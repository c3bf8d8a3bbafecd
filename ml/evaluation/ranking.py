"""Full-ranking metrics: the target competes with the whole catalogue, never with a sample of it.

With one target per case at 1-based rank r: HR@k = [r <= k], NDCG@k = [r <= k] / log2(r + 1), MRR@k = [r <= k] / r.
"""

import numpy as np
from numpy.typing import NDArray


def pessimistic_ranks(scores: NDArray[np.floating], target: NDArray[np.integer]) -> NDArray[np.int64]:
    """1-based ranks of the targets; every item that ties with a target ranks before it.

    scores (cases, items); target (cases,) column indices, or -1 for an item outside the catalogue, which ranks last.
    """
    known = target >= 0
    target_score = scores[np.arange(len(scores)), np.where(known, target, 0)]
    ranks = np.count_nonzero(scores >= target_score[:, None], axis=1)
    return np.where(known, ranks, scores.shape[1] + 1)


def top_items(scores: NDArray[np.floating], count: int) -> NDArray[np.int64]:
    """Indices of the `count` best scores, best first; among equals the lower index comes first. scores (items,)."""
    count = min(count, len(scores))
    if count == 0:
        return np.zeros(0, dtype=np.int64)
    threshold = np.partition(scores, len(scores) - count)[len(scores) - count]
    above = np.flatnonzero(scores > threshold)
    tied = np.flatnonzero(scores == threshold)[: count - len(above)]
    return np.concatenate([above[np.argsort(-scores[above], kind="stable")], tied])


def ndcg(ranks: NDArray[np.integer], k: int) -> NDArray[np.float64]:
    """NDCG@k of each case, in [0, 1]."""
    return np.where(ranks <= k, 1.0 / np.log2(ranks + 1.0), 0.0)


def hit_rate(ranks: NDArray[np.integer], k: int) -> NDArray[np.float64]:
    """HR@k of each case, 0 or 1."""
    return (ranks <= k).astype(np.float64)


def reciprocal_rank(ranks: NDArray[np.integer], k: int) -> NDArray[np.float64]:
    """MRR@k of each case, in [0, 1]."""
    return np.where(ranks <= k, 1.0 / ranks, 0.0)


def coverage(lists: NDArray[np.integer], items: int) -> float:
    """The share of the catalogue that appears in at least one list. lists (cases, k) of item indices."""
    return len(np.unique(lists)) / items if items else 0.0


def ranking_metrics(ranks: NDArray[np.integer], ks: tuple[int, ...] = (10, 20)) -> dict[str, float]:
    """Means over the cases, under the names ndcg@k, hr@k and mrr@k."""
    metrics: dict[str, float] = {}
    for k in ks:
        metrics[f"ndcg@{k}"] = float(ndcg(ranks, k).mean())
        metrics[f"hr@{k}"] = float(hit_rate(ranks, k).mean())
        metrics[f"mrr@{k}"] = float(reciprocal_rank(ranks, k).mean())
    return metrics


def bootstrap_spread(values: NDArray[np.float64], *, seed: int, resamples: int = 200) -> float:
    """Standard deviation of the mean over bootstrap resamples of the cases (Efron, 1979)."""
    generator = np.random.default_rng(seed)
    means = [generator.choice(values, len(values)).mean() for _ in range(resamples)]
    return float(np.std(means))
