"""The gradient-boosted trees of the risk ensemble."""

import numpy as np

from ml.serving.risk_ensemble import tree_logits
from ml.tasks.risk_cases import RiskCases
from ml.tasks.risk_config import RiskConfig
from ml.tasks.risk_trees import fit_trees


def test_a_limit_that_one_case_in_five_hundred_exceeds_is_found() -> None:
    """Genuine cases in one bin with frauds are as suspicious as these: with 128 bins three times as many as there are
    frauds."""
    amount = np.random.default_rng(0).lognormal(3.0, 1.0, 200_000).astype(np.float32)
    fraud = (amount > np.quantile(amount, 0.998)).astype(np.int64)
    cases = RiskCases(amount[:, None], None, fraud, np.ones(len(amount), dtype=np.float32))
    logits = tree_logits(fit_trees(cases, fraud, RiskConfig(depth=3)), cases.features)
    as_suspicious = (logits[fraud == 0] >= logits[fraud == 1].min()).sum()
    assert as_suspicious < fraud.sum() / 2
