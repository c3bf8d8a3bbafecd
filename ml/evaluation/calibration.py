"""Calibrators: monotone maps from a model's scores to probabilities that mean what they say. numpy only.

Fit one on newer cases than those the model was trained on; metrics are in `ml.evaluation.classification`.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Doubles = NDArray[np.float64]
Kind = Literal["platt", "isotonic"]

# Newton's method needs about ten steps; the bound is for scores that separate the outcomes.
NEWTON_STEPS = 100
LEAST_STEP = 1e-10
# Keeps the second derivatives invertible where every case is certain.
RIDGE = 1e-12


@dataclass(frozen=True)
class PlattCalibrator:
    """sigmoid(slope * score + intercept), slope 0 or more. A probability is best given as its log-odds."""

    slope: float
    intercept: float

    def __call__(self, scores: ArrayLike) -> Doubles:
        """Probabilities in (0, 1), of the shape of the scores."""
        return _sigmoid(self.slope * np.asarray(scores, dtype=np.float64) + self.intercept)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "platt", "slope": self.slope, "intercept": self.intercept}


@dataclass(frozen=True)
class IsotonicCalibrator:
    """A rising step function with linear passages between the steps; constant beyond the first and the last score.

    scores, probabilities: (knots,), the first strictly rising, the second never falling.
    """

    scores: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __call__(self, scores: ArrayLike) -> Doubles:
        """Probabilities in [0, 1], of the shape of the scores. Different scores may get equal ones."""
        found: Doubles = np.interp(np.asarray(scores, dtype=np.float64), self.scores, self.probabilities)
        return found

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "isotonic", "scores": list(self.scores), "probabilities": list(self.probabilities)}


Calibrator = PlattCalibrator | IsotonicCalibrator


def fit_calibrator(kind: Kind, scores: ArrayLike, outcomes: ArrayLike) -> Calibrator:
    """A calibrator of scores (cases,) for outcomes (cases,) of 0 and 1.

    Platt needs a few positive cases, isotonic some hundreds to be better. Raises ValueError for an unknown kind,
    scores that are not finite, other outcomes than 0 and 1, or only one of them.
    """
    score, outcome = np.asarray(scores, dtype=np.float64), np.asarray(outcomes, dtype=np.float64)
    if score.ndim != 1 or score.shape != outcome.shape:
        raise ValueError(f"scores {score.shape} and outcomes {outcome.shape} must be two lists of one length")
    if not np.isfinite(score).all():
        raise ValueError("scores must be finite numbers")
    if not np.isin(outcome, (0.0, 1.0)).all() or len(np.unique(outcome)) < 2:
        raise ValueError("outcomes must be 0 and 1, and both must occur")
    if kind == "platt":
        return _fit_platt(score, outcome)
    if kind == "isotonic":
        return _fit_isotonic(score, outcome)
    raise ValueError(f"calibrator '{kind}' is unknown; use platt or isotonic")


def calibrator_from_dict(stored: dict[str, Any]) -> Calibrator:
    """What `to_dict` gave. Raises ValueError where it is no calibrator or would not be monotone."""
    if stored.get("kind") == "platt":
        if not stored["slope"] >= 0.0:
            raise ValueError("a Platt calibrator's slope must be 0 or more")
        return PlattCalibrator(float(stored["slope"]), float(stored["intercept"]))
    if stored.get("kind") == "isotonic":
        scores, probabilities = np.array(stored["scores"]), np.array(stored["probabilities"])
        if not len(scores) or len(scores) != len(probabilities):
            raise ValueError("an isotonic calibrator needs knots, each a score and a probability")
        if not ((np.diff(scores) > 0).all() and (np.diff(probabilities) >= 0).all()):
            raise ValueError("an isotonic calibrator's scores must rise and its probabilities never fall")
        return IsotonicCalibrator(tuple(scores.tolist()), tuple(probabilities.tolist()))
    raise ValueError(f"calibrator '{stored.get('kind')}' is unknown; use platt or isotonic")


def _fit_platt(score: Doubles, outcome: Doubles) -> PlattCalibrator:
    """Maximum likelihood with the smoothed targets of Platt (1999, section 2.2), by Newton's method with halved steps
    as Lin, Lin and Weng (2007) advise."""
    positives = outcome.sum()
    negatives = len(outcome) - positives
    target = np.where(outcome == 1, (positives + 1.0) / (positives + 2.0), 1.0 / (negatives + 2.0))
    # In units of the spread, so that scores of any size converge alike.
    centre, spread = score.mean(), score.std() or 1.0
    design = np.stack([(score - centre) / spread, np.ones_like(score)], axis=1)
    weights = np.array([0.0, np.log((positives + 1.0) / (negatives + 1.0))])
    loss = _cross_entropy(design @ weights, target)
    for _ in range(NEWTON_STEPS):
        probability = _sigmoid(design @ weights)
        gradient = design.T @ (probability - target)
        curvature = (design * (probability * (1.0 - probability))[:, None]).T @ design + RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while size > LEAST_STEP and _cross_entropy(design @ (weights - size * step), target) > loss:
            size /= 2.0
        if size <= LEAST_STEP:
            break
        weights = weights - size * step
        loss = _cross_entropy(design @ weights, target)
        if np.abs(size * step).max() < LEAST_STEP:
            break
    slope = float(weights[0] / spread)
    if slope < 0.0:
        # Scores that order the cases the wrong way round say nothing that a monotone map could keep.
        return PlattCalibrator(0.0, float(np.log(target.sum() / (len(target) - target.sum()))))
    return PlattCalibrator(slope, float(weights[1] - slope * centre))


def _fit_isotonic(score: Doubles, outcome: Doubles) -> IsotonicCalibrator:
    """Pool adjacent violators (Barlow et al., 1972): the rising function with the least squared error.

    Of each pooled block its first and last score become knots.
    """
    unique, group, count = np.unique(score, return_inverse=True, return_counts=True)
    blocks: list[tuple[int, float, float]] = []  # first score's index, cases, positives
    for first, (cases, positives) in enumerate(
        zip(count.tolist(), np.bincount(group, weights=outcome).tolist(), strict=True)
    ):
        block = (first, float(cases), positives)
        while blocks and blocks[-1][2] * block[1] >= block[2] * blocks[-1][1]:
            before = blocks.pop()
            block = (before[0], before[1] + block[1], before[2] + block[2])
        blocks.append(block)
    first_of = np.array([block[0] for block in blocks])
    last_of = np.append(first_of[1:] - 1, len(unique) - 1)
    mean = np.array([block[2] / block[1] for block in blocks])
    knot, origin = np.unique(np.stack([first_of, last_of], axis=1).ravel(), return_index=True)
    return IsotonicCalibrator(tuple(unique[knot].tolist()), tuple(np.repeat(mean, 2)[origin].tolist()))


def _sigmoid(logit: Doubles) -> Doubles:
    found: Doubles = np.exp(-np.logaddexp(0.0, -logit))
    return found


def _cross_entropy(logit: Doubles, target: Doubles) -> float:
    return float((np.logaddexp(0.0, logit) - target * logit).sum())
