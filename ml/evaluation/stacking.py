"""Signals of a click mixed by a logistic regression on newer cases than those they learned from (D. Wolpert, "Stacked
generalization", Neural Networks 1992), so that a signal counts by what it says of cases that nobody has seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FOLDS = 5
# By so many standard errors others must be better: signals that say nothing seldom are.
CERTAINTY = 2.0

Doubles = NDArray[np.float64]
Signals = Mapping[str, Doubles]


@dataclass(frozen=True)
class Stack:
    """Log-odds: the intercept and the weighted sum of the signals named."""

    weights: dict[str, float]
    intercept: float = 0.0

    def __call__(self, signals: Signals) -> Doubles:
        """signals: each (n,), more of them than are named here or just these -> log-odds (n,)."""
        first, *rest = (weight * signals[name] for name, weight in self.weights.items())
        return np.asarray(sum(rest, first + self.intercept), dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        return {"weights": self.weights, "intercept": self.intercept}


def choose_stack(signals: Signals, first: str, groups: Sequence[Sequence[str]], clicked: NDArray, seed: int) -> Stack:
    """`first` as it is, or with those groups of other signals, tried in turn, that lower the log loss of cases held out
    by more than CERTAINTY standard errors. clicked (n,) must hold both outcomes."""
    names, losses = [first], _held_out_losses(signals, [first], clicked, seed)
    for group in groups:
        found = _held_out_losses(signals, [*names, *group], clicked, seed)
        gains = losses - found
        if gains.mean() > CERTAINTY * gains.std() / np.sqrt(len(gains)):
            names, losses = [*names, *group], found
    return fit_stack(signals, names, clicked) if len(names) > 1 else Stack({first: 1.0})


def fit_stack(signals: Signals, names: Sequence[str], clicked: NDArray) -> Stack:
    """The signals named (n,) by a logistic regression on clicked (n,), with a ridge on their standardised weights."""
    from sklearn.linear_model import LogisticRegression

    table = np.stack([signals[name] for name in names], axis=1)
    centre, spread = table.mean(axis=0), table.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    fitted = LogisticRegression().fit((table - centre) / spread, clicked)
    weights = fitted.coef_[0] / spread
    return Stack(dict(zip(names, weights.tolist(), strict=True)), float(fitted.intercept_[0] - weights @ centre))


def _held_out_losses(signals: Signals, names: Sequence[str], clicked: NDArray, seed: int) -> Doubles:
    """Log loss of each case by a stack that is fitted to the other folds; each fold has its share of the clicks."""
    order = np.random.default_rng(seed).permutation(len(clicked))
    fold = np.empty(len(clicked), dtype=np.int64)
    fold[order[np.argsort(clicked[order], kind="stable")]] = np.arange(len(clicked)) % FOLDS
    losses = np.empty(len(clicked))
    for out in range(FOLDS):
        kept, judged = np.flatnonzero(fold != out), np.flatnonzero(fold == out)
        stack = fit_stack({name: signals[name][kept] for name in names}, names, clicked[kept])
        losses[judged] = _losses(stack({name: signals[name][judged] for name in names}), clicked[judged])
    return losses


def _losses(logit: Doubles, clicked: NDArray) -> Doubles:
    found: Doubles = np.logaddexp(0.0, logit) - clicked * logit
    return found
