"""From labelled outcomes to the score above which answers may go out by themselves at a set rate of errors."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# How sure the bound on the error rate is.
CONFIDENCE = 0.95
# Thresholds are tried at these shares of the labelled answers, the strictest first.
COVERAGES = tuple(share / 100 for share in range(5, 101, 5))


class TooFewLabels(ValueError):
    """No threshold can be told from chance; `needed` labels would be enough if all were right."""

    def __init__(self, labels: int, needed: int) -> None:
        super().__init__(f"{labels} answers are labelled, {needed} right ones are needed at least")
        self.labels = labels
        self.needed = needed


@dataclass(frozen=True)
class CoveragePoint:
    """If all answers with a score of at least `threshold` went out: their share, their error rate, and the rate that it
    lies below with CONFIDENCE."""

    threshold: float
    coverage: float
    answers: int
    errors: int
    risk: float
    risk_bound: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def risk_coverage_curve(scores: ArrayLike, is_right: ArrayLike) -> list[CoveragePoint]:
    """The risk-coverage curve (El-Yaniv and Wiener 2010) at COVERAGES, the strictest threshold first.

    scores (n,) in any range, is_right (n,) booleans. Answers of one score go out together, so a point may cover more
    than its share; of points with the same threshold there is one.
    """
    ordered, errors = _ordered(scores, is_right)
    points: dict[int, CoveragePoint] = {}
    for share in COVERAGES:
        covered = _covered(ordered, math.ceil(share * len(ordered)))
        if covered:
            points[covered] = _point(ordered, errors, covered)
    return list(points.values())


def choose_send_threshold(
    scores: ArrayLike, is_right: ArrayLike, *, error_rate: float
) -> tuple[CoveragePoint | None, list[CoveragePoint]]:
    """The lowest threshold that keeps the error rate at most `error_rate` with CONFIDENCE, and the whole curve.

    Thresholds are tried from the strictest on, beginning where there are enough answers to tell, until the first that
    does not hold: as each is tried only after those before held, no correction for their number is needed (fixed
    sequence testing; Angelopoulos, Bates, Candès, Jordan and Lei, "Learn then Test", 2021, section 3). None where not
    even the strictest holds. Raises TooFewLabels, and ValueError for an error rate outside (0, 1).
    """
    if not 0 < error_rate < 1:
        raise ValueError("error_rate must lie between 0 and 1")
    curve = risk_coverage_curve(scores, is_right)
    labels = int(np.size(np.asarray(scores)))
    needed = least_labels(error_rate)
    if labels < needed:
        raise TooFewLabels(labels, needed)
    chosen = None
    for point in curve:
        if point.answers < needed:
            continue
        if point.risk_bound > error_rate:
            break
        chosen = point
    return chosen, curve


def least_labels(error_rate: float) -> int:
    """How many answers, all right, it takes to say with CONFIDENCE that the error rate is at most this."""
    return math.ceil(math.log(1 - CONFIDENCE) / math.log(1 - error_rate))


def error_bound(errors: int, answers: int, *, confidence: float = CONFIDENCE) -> float:
    """The rate below which the true one lies with `confidence`: Clopper and Pearson's exact bound (1934), one-sided."""
    if errors >= answers:
        return 1.0
    low, high = errors / answers, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _at_most(errors, answers, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def _at_most(errors: int, answers: int, rate: float) -> float:
    """The probability of at most so many errors among the answers: the binomial distribution, summed in logarithms."""
    if rate <= 0:
        return 1.0
    if rate >= 1:
        return 0.0
    counts = np.arange(errors + 1)
    choices = [math.lgamma(answers + 1) - math.lgamma(k + 1) - math.lgamma(answers - k + 1) for k in counts.tolist()]
    logs = np.array(choices) + counts * math.log(rate) + (answers - counts) * math.log1p(-rate)
    return float(np.exp(logs).sum())


def _ordered(scores: ArrayLike, is_right: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Scores from the highest, and the errors among the first k answers, (n,) each."""
    values = np.asarray(scores, dtype=np.float64).ravel()
    right = np.asarray(is_right, dtype=bool).ravel()
    if len(values) != len(right):
        raise ValueError("scores and is_right must have the same length")
    order = np.argsort(-values, kind="stable")
    return values[order], np.cumsum(~right[order])


def _covered(ordered: NDArray[np.float64], wanted: int) -> int:
    """How many answers have at least the score of the one at place `wanted` (from 1)."""
    if not 1 <= wanted <= len(ordered):
        return 0
    return int(np.searchsorted(-ordered, -ordered[wanted - 1], side="right"))


def _point(ordered: NDArray[np.float64], errors: Sequence[int] | NDArray[np.int64], covered: int) -> CoveragePoint:
    wrong = int(errors[covered - 1])
    return CoveragePoint(
        threshold=float(ordered[covered - 1]),
        coverage=covered / len(ordered),
        answers=covered,
        errors=wrong,
        risk=wrong / covered,
        risk_bound=error_bound(wrong, covered),
    )
