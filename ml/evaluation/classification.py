"""Metrics of predicted probabilities: do they order the cases, and do they mean what they say?

Binary ones take probability (cases,) in [0, 1] and outcome (cases,) of 0 and 1.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Outcomes = NDArray[np.integer]

# A probability of 0 that comes true would cost infinitely much.
LEAST_PROBABILITY = 1e-7
CALIBRATION_BINS = 10


def area_under_roc(probability: Floats, outcome: Outcomes) -> float:
    """The chance that a random positive case has a higher probability than a random negative one; ties count half.

    Mann and Whitney's U over the number of pairs (Hanley and McNeil, 1982). Raises ValueError without both outcomes.
    """
    positives = int(outcome.sum())
    negatives = len(outcome) - positives
    if not positives or not negatives:
        raise ValueError("the area under the ROC curve needs cases of both outcomes")
    _, group, count = np.unique(probability, return_inverse=True, return_counts=True)
    # The mean of the 1-based ranks that equal probabilities share.
    rank = np.cumsum(count) - (count - 1) / 2.0
    return float((rank[group][outcome == 1].sum() - positives * (positives + 1) / 2.0) / (positives * negatives))


def average_precision(probability: Floats, outcome: Outcomes) -> float:
    """The sum over the thresholds of precision times the recall gained there; equal probabilities are one threshold.

    Raises ValueError without a positive case.
    """
    if not outcome.sum():
        raise ValueError("average precision needs a positive case")
    order = np.argsort(-probability, kind="stable")
    hits = np.cumsum(outcome[order])
    ends = np.append(np.flatnonzero(np.diff(probability[order])), len(order) - 1)
    gained = np.diff(hits[ends], prepend=0) / hits[-1]
    return float((gained * hits[ends] / (ends + 1.0)).sum())


def log_loss(probability: Floats, outcome: Outcomes) -> float:
    """The mean negative log-probability of the outcomes, in nats."""
    likely = np.where(outcome == 1, probability, 1.0 - probability)
    return float(-np.log(np.maximum(likely, LEAST_PROBABILITY)).mean())


def brier_score(probability: Floats, outcome: Outcomes) -> float:
    """The mean squared distance of the probability from the outcome, in [0, 1] (Brier, 1950)."""
    return float(np.square(probability - outcome).mean())


def expected_calibration_error(
    probability: Floats, outcome: Outcomes, *, bins: int = CALIBRATION_BINS, equal_counts: bool = False
) -> float:
    """The mean distance of a case's bin's mean probability from its share of positives, in [0, 1].

    Bins of equal width (Naeini et al., 2015); with `equal_counts` of equally many cases (Nguyen and O'Connor, 2015),
    which says more where nearly all probabilities are small. Equal probabilities share a bin.
    """
    if equal_counts:
        edges = np.quantile(probability, np.arange(1, bins) / bins)
        chosen = np.searchsorted(edges, probability, side="left")
    else:
        chosen = np.minimum((probability * bins).astype(np.int64), bins - 1)
    expected = np.bincount(chosen, weights=probability, minlength=bins)
    observed = np.bincount(chosen, weights=outcome, minlength=bins)
    return float(np.abs(expected - observed).sum() / len(outcome))


def binary_metrics(probability: Floats, outcome: Outcomes) -> dict[str, float]:
    """auc, average_precision, log_loss, calibration_error; the first two only where both outcomes occur."""
    probability = probability.astype(np.float64)
    metrics = {}
    if 0 < outcome.sum() < len(outcome):
        metrics["auc"] = area_under_roc(probability, outcome)
        metrics["average_precision"] = average_precision(probability, outcome)
    metrics["log_loss"] = log_loss(probability, outcome)
    metrics["calibration_error"] = expected_calibration_error(probability, outcome)
    return metrics


def choice_metrics(probability: Floats, chosen: Outcomes) -> dict[str, float]:
    """accuracy and log_loss of a choice among classes; probability (cases, classes), chosen (cases,) from 0.

    Among equals the lower class is the guess.
    """
    likely = probability[np.arange(len(chosen)), chosen].astype(np.float64)
    return {
        "accuracy": float((probability.argmax(axis=1) == chosen).mean()),
        "log_loss": float(-np.log(np.maximum(likely, LEAST_PROBABILITY)).mean()),
    }
