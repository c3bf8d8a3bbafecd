"""Whether reasons are true of the model: without what the first one names, the score should fall, and more than without
what some other feature says."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ml.explain.faithfulness import Faithfulness, summarise_falls
from ml.explain.reason_codes import reason_codes
from ml.explain.reason_words import describe

Table = NDArray[np.floating]
Doubles = NDArray[np.float64]


def measure_reason_faithfulness(
    score: Callable[[Table], NDArray[np.floating]],
    table: Table,
    contributions: Table,
    neutral: NDArray[np.floating],
    names: Sequence[str],
    *,
    seed: int = 0,
) -> Faithfulness:
    """How the first reason of each row fares against the other groups of features that share a code.

    score takes a table (rows, features) and gives a score above 0 for each row; table and contributions (cases,
    features) are in the order of `names`, and `neutral` (features,) is what stands for an absent feature, such as the
    training median. To remove a reason is to make all features of its code neutral, which is done to every other code
    in turn for comparison. A row without a reason is no case. Raises ValueError where no row has one.
    """
    codes = np.array([describe(name, 1.0)[0] for name in names])
    others = list(dict.fromkeys(codes.tolist()))
    falls = []
    for row, parts in zip(table, contributions, strict=True):
        by_name = dict(zip(names, row.tolist(), strict=True))
        reasons = reason_codes(by_name, dict(zip(names, parts.tolist(), strict=True)), limit=1)
        if not reasons:
            continue
        named = describe(reasons[0].feature, 1.0)[0]
        fall = _falls(score, row, neutral, codes, [named, *(code for code in others if code != named)])
        falls.append((fall[0], fall[1:].mean(), ((fall[1:] < fall[0]) + 0.5 * (fall[1:] == fall[0])).mean()))
    if not falls:
        raise ValueError("no row has a reason; give rows whose scores are raised by something")
    return summarise_falls([np.array([fall]) for fall in falls], seed)


def _falls(
    score: Callable[[Table], NDArray[np.floating]], row: Table, neutral: Table, codes: NDArray, removed: list[str]
) -> Doubles:
    """The share of the row's score that is lost without each of the codes, (removed,)."""
    without = np.where(codes == np.array(removed)[:, None], neutral, row)
    scores = np.asarray(score(np.concatenate([row[None], without])), dtype=np.float64)
    return 1.0 - scores[1:] / max(scores[0], np.finfo(np.float64).tiny)
