"""The gradient-boosted trees of the risk ensemble."""

import numpy as np

from ml.serving.risk_ensemble import tree_logits
from ml.tasks.risk_cases import RiskCases
from ml.tasks.risk_config import RiskConfig
from ml.tasks.risk_trees import fit_trees


def cases_above(quantile: float) -> RiskCases:
    """Whatever exceeds this quantile of the amounts is fraud, and nothing else is."""
    amount = np.random.default_rng(0).lognormal(3.0, 1.0, 200_000).astype(np.float32)
    fraud = (amount > np.quantile(amount, quantile)).astype(np.int64)
    return RiskCases(amount[:, None], None, fraud, np.ones(len(amount), dtype=np.float32))


def test_a_limit_that_one_case_in_five_hundred_exceeds_is_found() -> None:
    """Genuine cases in one bin with frauds are as suspicious as these: with 128 bins three times as many as there are
    frauds."""
    cases = cases_above(0.998)
    logits = tree_logits(fit_trees(cases, cases.fraud, RiskConfig(depth=3)), cases.features)
    as_suspicious = (logits[cases.fraud == 0] >= logits[cases.fraud == 1].min()).sum()
    assert as_suspicious < cases.fraud.sum() / 2


def test_rare_frauds_that_are_told_perfectly_do_not_throw_the_trees_off() -> None:
    """With small leaves and unbounded steps most genuine cases scored above the frauds."""
    cases = cases_above(0.998)
    settings = RiskConfig(trees=40, tree_learning_rate=0.1, depth=2, leaf_weight=1.0)
    logits = tree_logits(fit_trees(cases, cases.fraud, settings), cases.features)
    assert np.abs(logits).max() < 15.0
    assert np.median(logits[cases.fraud == 1]) > 0.0 > logits[cases.fraud == 0].mean()
