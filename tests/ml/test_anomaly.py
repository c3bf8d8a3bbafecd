"""The anomaly task on a simulated world: trained without labels, it ranks planted frauds high."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ml.data.transactions import TransactionColumns
from ml.data.velocity import FEATURES, velocity_features
from ml.evaluation.classification import area_under_roc
from ml.explain.reason_codes import reason_codes
from ml.serving.anomaly import AnomalyPrediction
from ml.serving.anomaly_detector import MEMBERS
from ml.serving.predictor import load_predictor
from ml.simulation.transactions import KINDS, SimulatedTransactions, TransactionWorld, simulate_transactions
from ml.tasks.base import FitReport
from ml.tasks.registry import TASKS

WORLD = TransactionWorld(customers=300, days=45, seed=3)
SETTINGS = {"days": 45, "epochs": 3, "trees": 50, "threads": 1}


def without_labels(columns: TransactionColumns) -> TransactionColumns:
    never = np.full(len(columns), np.inf)
    return replace(columns, fraud_known_at=never, cleared_at=never)


@pytest.fixture(scope="module")
def simulated() -> SimulatedTransactions:
    return simulate_transactions(WORLD)


@pytest.fixture(scope="module")
def artifact(simulated: SimulatedTransactions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("anomaly") / "artifact"
    TASKS["anomaly"].fit(without_labels(simulated.columns), SETTINGS, out, progress=lambda progress: None)
    return out


@pytest.fixture(scope="module")
def report(artifact: Path) -> FitReport:
    return FitReport(**json.loads((artifact / "report.json").read_text()))


def predictions(artifact: Path, columns: TransactionColumns, rows: np.ndarray) -> list[AnomalyPrediction]:
    table = velocity_features(columns, rows).astype(object)
    table[table != table] = None
    return load_predictor(artifact).predict([{"features": row} for row in table.tolist()])


def test_planted_amounts_are_found_better_than_by_the_amount_alone(report: FitReport) -> None:
    assert report.metric == "planted_auc"
    assert report.score > max(report.baselines.values()) + 2 * report.gain_spread
    assert report.score > 0.85
    # Without labels nothing is said of frauds.
    assert set(report.test) == {"planted_auc"}


def test_frauds_that_leave_a_trace_rank_high(artifact: Path, simulated: SimulatedTransactions) -> None:
    columns = without_labels(simulated.columns)
    anomaly = np.array([each["anomaly"] for each in predictions(artifact, columns, np.arange(len(columns)))])
    assert ((anomaly >= 0) & (anomaly <= 1)).all()
    genuine = simulated.kind == 0
    for kind in ("compromised_card", "account_takeover", "amount_outlier"):
        chosen = genuine | (simulated.kind == KINDS.index(kind))
        assert area_under_roc(anomaly[chosen], (~genuine[chosen]).astype(np.int64)) > 0.9, kind
    # The quantile of the training's transactions is one: half of what is usual lies below a half.
    assert np.median(anomaly[genuine]) == pytest.approx(0.5, abs=0.1)


def test_known_frauds_speak_as_soon_as_there_are_any(artifact: Path, simulated: SimulatedTransactions) -> None:
    last = np.array([len(simulated.columns) - 1])
    (before,) = predictions(artifact, without_labels(simulated.columns), last)
    table = velocity_features(without_labels(simulated.columns), last)[0].astype(object)
    table[table != table] = None
    table[FEATURES.index("counterparty_known_frauds_28d")] = 3.0
    (after,) = load_predictor(artifact).predict([{"features": table.tolist()}])
    assert after["anomaly"] > max(0.99, before["anomaly"])
    assert after["contributions"][0]["feature"] == "counterparty_known_frauds_28d"


def test_an_answer_says_what_is_unusual_in_words(artifact: Path, simulated: SimulatedTransactions) -> None:
    rows = np.flatnonzero(simulated.kind == KINDS.index("amount_outlier"))[-1:]
    (answer,) = predictions(artifact, without_labels(simulated.columns), rows)
    assert answer["probability"] is None
    assert answer["anomaly"] > 0.95
    assert set(answer["members"]) == set(MEMBERS)
    parts = [each["part"] for each in answer["contributions"]]
    assert parts == sorted(parts, reverse=True)
    values = {each["feature"]: each["value"] for each in answer["contributions"]}
    reasons = reason_codes(values, {each["feature"]: each["part"] for each in answer["contributions"]})
    assert any(reason.code == "amount_to_customer" for reason in reasons)
    assert json.loads(json.dumps(answer)) == answer


def test_a_batch_and_single_requests_are_answered_alike(artifact: Path, simulated: SimulatedTransactions) -> None:
    rows = np.arange(0, len(simulated.columns), 997)
    together = predictions(artifact, simulated.columns, rows)
    for row, answer in zip(rows, together, strict=True):
        (alone,) = predictions(artifact, simulated.columns, np.array([row]))
        assert alone["anomaly"] == pytest.approx(answer["anomaly"], abs=1e-6)


def test_training_is_repeatable_and_a_finished_run_is_not_repeated(
    artifact: Path, simulated: SimulatedTransactions, tmp_path: Path
) -> None:
    columns = without_labels(simulated.columns)
    again = TASKS["anomaly"].fit(columns, SETTINGS, tmp_path / "again", progress=lambda progress: None)
    arrays = [(folder / "anomaly.safetensors").read_bytes() for folder in (artifact, tmp_path / "again")]
    assert arrays[0] == arrays[1]
    finished = TASKS["anomaly"].fit(columns, SETTINGS, tmp_path / "again", progress=lambda progress: None)
    assert finished == again


def test_evaluation_on_another_window_reports_frauds_where_they_are_known(
    artifact: Path, simulated: SimulatedTransactions
) -> None:
    since, until = WORLD.begins + 30 * 86_400.0, WORLD.begins + 40 * 86_400.0
    metrics = TASKS["anomaly"].evaluate(artifact, simulated.columns, since=since, until=until)
    assert set(metrics) == {"cases", "planted_auc", "auc", "average_precision"}
    assert metrics["planted_auc"] > 0.8
    with pytest.raises(ValueError, match="no transaction lies in the window"):
        TASKS["anomaly"].evaluate(artifact, simulated.columns, since=0.0, until=1.0)


def test_what_cannot_be_trained_on_is_refused(simulated: SimulatedTransactions, tmp_path: Path) -> None:
    few = TransactionColumns.of(types=["payment"], time=[1.0], amount=[2.0])
    with pytest.raises(ValueError, match="training needs 500"):
        TASKS["anomaly"].fit(few, {}, tmp_path / "few", progress=lambda progress: None)
    with pytest.raises(ValueError, match="unknown settings colour"):
        TASKS["anomaly"].fit(few, {"colour": 1}, tmp_path / "colour", progress=lambda progress: None)
    with pytest.raises(ValueError, match="trees must be"):
        TASKS["anomaly"].fit(few, {"trees": 0}, tmp_path / "trees", progress=lambda progress: None)


def test_requests_of_another_length_are_refused(artifact: Path) -> None:
    with pytest.raises(ValueError, match="one for each of"):
        load_predictor(artifact).predict([{"features": [1.0, 2.0]}])
