"""The trees of the risk ensemble, and the onset of bad counterparties that stands beside them."""

import numpy as np
import xgboost
from numpy.typing import NDArray

from ml.serving.risk_ensemble import tree_logits
from ml.serving.risk_onset import EXPOSURE, exposure_of, onset_probability
from ml.tasks.risk_cases import RiskCases
from ml.tasks.risk_config import RiskConfig

Doubles = NDArray[np.float64]
# Cuts are quantiles. What tells a fraud by a limit tells one case in some thousands, and lies between two of few cuts.
BINS = 1_024
# Log-odds by which one tree may move a case, before the learning rate. Frauds are rare at first, and their curvature is
# small: an unbounded Newton step overshoots, and what was genuine beside them is thrown off by the next one.
MOST_STEP = 2.0


def fit_trees_and_onset(train: RiskCases, features: list[str], settings: RiskConfig) -> tuple[xgboost.Booster, float]:
    """Trees, and how many counterparties turn bad a second (`ml.serving.risk_onset`). The trees learn the frauds as far
    as the features tell them, so that the rest is no noise to them. features: names of the cases' columns."""
    rate, told = split_causes(train, features, settings)
    return fit_trees(train, told, settings), rate


def split_causes(train: RiskCases, features: list[str], settings: RiskConfig) -> tuple[float, Doubles]:
    """(rate, told): the onset's rate, and which share of each fraud the features tell, (n,), 0 for genuine cases.

    Each half of the cases is scored by trees that learned from the other one, since trees tell the frauds that they
    have seen. What is fraud among the less suspicious half of the genuine cases is what nothing tells: it gives the
    rate. A fraud is told by as much as its probability exceeds the onset's.
    """
    fraud = train.fraud.astype(np.float64)
    first = np.arange(len(train)) < len(train) // 2
    if EXPOSURE not in features or not fraud[first].any() or not fraud[~first].any():
        return 0.0, fraud
    probability = np.empty(len(train))
    for half in (first, ~first):
        trees = fit_trees(train.rows(~half), fraud[~half], settings)
        probability[half] = 1.0 / (1.0 + np.exp(-tree_logits(trees, train.features[half])))
    exposure = exposure_of(train.features[:, features.index(EXPOSURE)])
    quiet = probability <= np.median(probability[fraud == 0.0])
    rate = float((train.weight * fraud)[quiet].sum() / (train.weight * exposure)[quiet].sum())
    return rate, fraud * (1.0 - np.minimum(1.0, onset_probability(rate, exposure) / probability))


def fit_trees(train: RiskCases, target: NDArray, settings: RiskConfig) -> xgboost.Booster:
    """Gradient-boosted trees (Chen and Guestrin, 2016) for log-loss; target (n,) in [0, 1]."""
    parameters = {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "max_bin": BINS,
        "max_delta_step": MOST_STEP,
        "max_depth": settings.depth,
        "learning_rate": settings.tree_learning_rate,
        "min_child_weight": settings.leaf_weight,
        "subsample": 0.8,
        "colsample_bytree": 0.5,
        "base_score": float(np.average(target, weights=train.weight)),
        "nthread": settings.threads or 1,
        "seed": settings.seed,
    }
    data = xgboost.DMatrix(train.features, label=target, weight=train.weight)
    return xgboost.train(parameters, data, num_boost_round=settings.trees)
