"""Where to draw the line between what is in scope and what is not: a threshold, and the curve of all that could be."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

# Shares of texts in scope that a curve tells of.
KEPT = (0.80, 0.85, 0.90, 0.925, 0.95, 0.96, 0.97, 0.98, 0.99, 1.0)


def threshold_keeping(scores: Doubles, share: float) -> float:
    """The highest score that at least this share, in [0, 1], of the scores (cases,) of texts in scope reach.

    Raises ValueError without a score.
    """
    if not len(scores):
        raise ValueError("a threshold needs at least one text in scope")
    kept = int(np.ceil(share * len(scores) - 1e-9))
    return float(np.sort(scores)[::-1][max(kept, 1) - 1])


def operating_curve(scores: Doubles, right: NDArray[np.bool_], outside: Doubles) -> list[dict[str, Any]]:
    """For each share in KEPT: the threshold that keeps it, how many texts in scope are kept and right, and how many out
    of scope are refused, which is None where none is known.

    scores, right: (cases,) of texts in scope; outside: (others,) scores of texts out of scope.
    """
    curve = []
    for share in KEPT:
        threshold = threshold_keeping(scores, share)
        kept = scores >= threshold
        curve.append(
            {
                "kept": share,
                "threshold": threshold,
                "in_scope_accuracy": float((kept & right).mean()),
                "out_of_scope_recall": float((outside < threshold).mean()) if len(outside) else None,
            }
        )
    return curve
