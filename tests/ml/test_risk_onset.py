"""Frauds that nothing announces: the onset joins what the features tell, and training finds its rate."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.data.party_log import DAY, HISTORY_SECONDS
from ml.evaluation.classification import area_under_roc
from ml.serving.risk_ensemble import RiskEnsemble, tree_logits
from ml.serving.risk_onset import EXPOSURE, exposure_of, onset_probability, with_onset
from ml.simulation.transactions import TransactionWorld, simulate_transactions
from ml.tasks.registry import TASKS
from ml.tasks.risk_cases import RiskCases
from ml.tasks.risk_config import RiskConfig
from ml.tasks.risk_trees import fit_trees_and_onset, split_causes
from tests.ml.test_risk import artifact, log

__all__ = ["artifact", "log"]
RATE = 0.001 / DAY


@given(st.floats(-12.0, 12.0), st.floats(0.0, HISTORY_SECONDS))
def test_either_cause_is_enough(logit: float, seconds: float) -> None:
    probability, onset = 1.0 / (1.0 + np.exp(-logit)), 1.0 - np.exp(-RATE * seconds)
    either = 1.0 - (1.0 - probability) * (1.0 - onset)
    found = with_onset(np.array([logit]), RATE, np.array([seconds]))
    assert found[0] == pytest.approx(np.log(either / (1.0 - either)), abs=1e-9)


def test_log_odds_stay_finite_where_a_cause_is_certain_or_impossible() -> None:
    found = with_onset(np.array([-800.0, 800.0, -5.0]), RATE, np.array([DAY, DAY, 0.0]))
    assert np.isfinite(found).all()
    assert found[2] == pytest.approx(-5.0)


def test_a_counterparty_of_which_nothing_is_known_to_be_good_is_exposed_for_a_whole_history() -> None:
    assert exposure_of(np.array([7 * DAY, np.nan], dtype=np.float32)).tolist() == [7 * DAY, HISTORY_SECONDS]
    assert onset_probability(RATE, np.array([0.0, 1_000 * DAY])).tolist() == pytest.approx([0.0, 1 - np.exp(-1.0)])


def half_told(rows: int = 60_000) -> tuple[RiskCases, np.ndarray]:
    """Half of the large amounts are fraud, and whoever turned bad; which frauds the amount tells."""
    random = np.random.default_rng(2)
    amount, seconds = random.lognormal(3.0, 1.0, rows), random.uniform(7 * DAY, 30 * DAY, rows)
    told = (amount > 150.0) & (random.random(rows) < 0.5)
    onset = random.random(rows) < onset_probability(RATE, seconds)
    features = np.stack([amount, seconds], axis=1).astype(np.float32)
    return RiskCases(features, None, (told | onset).astype(np.int64), np.ones(rows, dtype=np.float32)), told


def test_training_tells_the_onset_from_what_the_features_tell() -> None:
    cases, told = half_told()
    settings = RiskConfig(encoder="none", trees=60, tree_learning_rate=0.1)
    rate, share = split_causes(cases, ["amount", EXPOSURE], settings)
    assert rate == pytest.approx(RATE, rel=0.25)
    assert share[told].mean() > 0.95
    assert share[(cases.fraud == 1) & (cases.features[:, 0] < 100.0)].mean() < 0.2
    assert not share[cases.fraud == 0].any()


def test_cases_that_nothing_tells_are_ordered_by_their_time_without_proof() -> None:
    cases, _ = half_told()
    settings = RiskConfig(encoder="none", trees=60, tree_learning_rate=0.1)
    trees, rate = fit_trees_and_onset(cases, ["amount", EXPOSURE], settings)
    ordinary = cases.features[:, 0] < 100.0
    logits = tree_logits(trees, cases.features[ordinary])
    found = with_onset(logits, rate, exposure_of(cases.features[ordinary, 1]))
    best = area_under_roc(cases.features[ordinary, 1], cases.fraud[ordinary])
    assert area_under_roc(found, cases.fraud[ordinary]) == pytest.approx(best, abs=0.02)


def test_without_counterparties_there_is_no_onset() -> None:
    cases, _ = half_told(4_000)
    rate, share = split_causes(cases, ["amount", "customer_large_7d"], RiskConfig(encoder="none"))
    assert rate == 0.0
    assert share.tolist() == cases.fraud.tolist()


def test_an_artifact_keeps_its_rate_and_an_older_one_has_none(artifact: Path, tmp_path: Path) -> None:
    config = json.loads((artifact / "config.json").read_text())
    for file in artifact.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "config.json").write_text(json.dumps(config | {"onset_rate": RATE}))
    assert RiskEnsemble.load(tmp_path).onset_rate == RATE
    del config["onset_rate"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert RiskEnsemble.load(tmp_path).onset_rate == 0.0


def test_few_frauds_keep_the_trees_as_they_are_without_an_onset() -> None:
    """Trees of half of few frauds know too little of what tells one, and most would pass for unannounced."""
    world = simulate_transactions(TransactionWorld(customers=120, days=75))
    settings = {"encoder": "none", "genuine_share": 1.0, "validation_quantile": 0.6, "test_quantile": 0.8}
    with TemporaryDirectory() as folder:
        report = TASKS["risk"].fit(world.columns, settings, Path(folder) / "model", progress=lambda _: None)
    assert report.score > max(report.baselines.values())
