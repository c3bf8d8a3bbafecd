"""The risk task: from labelled transactions to an artifact that answers requests."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ml.data.party_sequences import SIDES, SideSequences, sequences_of_log
from ml.data.transactions import TransactionColumns
from ml.data.velocity import FEATURES
from ml.evaluation.drift import Reference, population_stability_index
from ml.nn.names import RISK_ENCODERS
from ml.nn.two_sided import RiskBatch, TwoSidedNetwork
from ml.nn.two_sided_shares import STEPS, SharingNetwork
from ml.serving.predictor import load_predictor
from ml.serving.risk import RiskPredictor
from ml.serving.risk_ensemble import RiskEnsemble
from ml.serving.risk_requests import requests_of_log
from ml.tasks.base import FitReport
from ml.tasks.registry import TASKS
from ml.tasks.risk_cases import RiskCases, cases_of
from ml.tasks.risk_config import RiskConfig

DAY = 86_400.0
SMALL = {"trees": 60, "tree_learning_rate": 0.1, "leaf_weight": 1.0, "dimension": 8, "epochs": 2, "max_length": 8}


def risky_log(rows: int = 12_000) -> TransactionColumns:
    """A hundred terminals, each bad for three of thirteen weeks; labels come after four days."""
    random = np.random.default_rng(3)
    time = np.sort(1.6e9 + random.random(rows) * 90 * DAY)
    terminal = random.integers(0, 100, rows)
    bad_since = 1.6e9 + random.random(100) * 90 * DAY
    fraud = (time >= bad_since[terminal]) & (time < bad_since[terminal] + 21 * DAY) & (random.random(rows) < 0.5)
    return TransactionColumns.of(
        types=["payment", "withdrawal"],
        time=time,
        amount=random.lognormal(3.0, 0.5, rows),
        customer=random.integers(0, 300, rows),
        counterparty=terminal,
        type=random.integers(0, 2, rows),
        fraud_known_at=np.where(fraud, time + 4 * DAY, math.inf),
    )


@pytest.fixture(scope="module")
def log() -> TransactionColumns:
    return risky_log()


@pytest.fixture(scope="module")
def artifact(log: TransactionColumns, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("risk") / "model"
    TASKS["risk"].fit(log, SMALL, out, progress=lambda _: None)
    return out


def test_training_beats_what_needs_none(artifact: Path) -> None:
    report = FitReport(**json.loads((artifact / "report.json").read_text()))
    assert report.metric == "average_precision"
    assert set(report.baselines) == {"amount", "counterparty_fraud_rate", "isolation_forest"}
    assert report.score > max(report.baselines.values())
    assert report.test["calibration_error"] < 0.05
    assert sum(report.mixture.values()) == pytest.approx(1.0)


def test_evaluating_the_test_part_gives_the_score_of_the_report(log: TransactionColumns, artifact: Path) -> None:
    report = FitReport(**json.loads((artifact / "report.json").read_text()))
    found = TASKS["risk"].evaluate(artifact, log, since=report.split["test_time"], until=math.inf)
    assert found["average_precision"] == pytest.approx(report.score)
    assert found["cases"] == report.counts["test_cases"]


def test_an_artifact_whose_settings_no_run_may_have_any_more_is_still_judged(
    log: TransactionColumns, artifact: Path, tmp_path: Path
) -> None:
    older = tmp_path / "older"
    shutil.copytree(artifact, older)
    config = json.loads((older / "config.json").read_text())
    config["settings"]["trees"] = 3_000
    (older / "config.json").write_text(json.dumps(config))
    since = FitReport(**json.loads((artifact / "report.json").read_text())).split["test_time"]
    now, then = (TASKS["risk"].evaluate(each, log, since=since, until=math.inf) for each in (artifact, older))
    assert now == then


def test_a_finished_run_is_not_trained_again(log: TransactionColumns, artifact: Path) -> None:
    before = (artifact / "trees.json").stat().st_mtime_ns
    TASKS["risk"].fit(log, SMALL, artifact, progress=lambda _: None)
    assert (artifact / "trees.json").stat().st_mtime_ns == before


def test_a_request_is_answered_with_the_probability_of_the_training_code(
    log: TransactionColumns, artifact: Path
) -> None:
    at = np.arange(0, len(log), 97)
    ensemble, settings = RiskEnsemble.load(artifact), RiskConfig.from_dict(SMALL)
    cases = cases_of(log, at, fraud=np.zeros(len(at), dtype=np.int64), settings=settings)
    columns = [FEATURES.index(name) for name in ensemble.features]
    expected = ensemble.probability(np.ascontiguousarray(cases.features[:, columns]), cases.sides)
    predictor = load_predictor(artifact)
    answers = predictor.predict(requests_of_log(log, at))
    np.testing.assert_allclose([answer["probability"] for answer in answers], expected, rtol=1e-3, atol=1e-6)
    alone = predictor.predict(requests_of_log(log, at[5:6]))[0]
    assert alone["probability"] == pytest.approx(answers[5]["probability"], abs=1e-6)
    assert [each["feature"] for each in alone["contributions"]] == [
        each["feature"] for each in answers[5]["contributions"]
    ]


def test_an_answer_names_features_and_events_with_the_strongest_first(log: TransactionColumns, artifact: Path) -> None:
    request = requests_of_log(log, np.array([len(log) - 1]))[0]
    answer = load_predictor(artifact).predict([request])[0]
    assert set(answer["members"]) == {"trees", "network"}
    parts = [abs(each["part"]) for each in answer["contributions"]]
    assert parts == sorted(parts, reverse=True)
    assert {each["feature"] for each in answer["contributions"]} <= set(FEATURES)
    assert {each["side"] for each in answer["events"]} <= set(SIDES)
    for event in answer["events"]:
        assert event["time"] == request[event["side"]]["times"][event["index"]]
        assert 0.0 <= event["attention"] <= 1.0


def test_a_first_transaction_without_any_history_is_answered(artifact: Path) -> None:
    first = TransactionColumns.of(types=["payment"], time=[1.6e9], amount=[20.0], customer=[0])
    answer = load_predictor(artifact).predict(requests_of_log(first, np.array([0])))[0]
    assert 0.0 <= answer["probability"] <= 1.0
    assert answer["events"] == []


def test_the_artifact_keeps_how_score_and_features_were_spread(log: TransactionColumns, artifact: Path) -> None:
    kept = json.loads((artifact / "drift.json").read_text())
    references = {name: Reference.from_dict(each) for name, each in kept.items()}
    assert set(references) == {"score", *FEATURES}
    report = FitReport(**json.loads((artifact / "report.json").read_text()))
    at = np.flatnonzero(
        (log.time >= report.split["test_time"]) & (log.time <= log.time.max() - RiskConfig().label_delay_days * DAY)
    )
    answers = load_predictor(artifact).predict(requests_of_log(log, at))
    assert population_stability_index(references["score"], [each["probability"] for each in answers]) < 0.01
    amounts = np.asarray(log.amount)[at]
    assert population_stability_index(references["amount"], amounts) < 0.01
    assert population_stability_index(references["amount"], 3.0 * amounts) > 0.25


def test_a_network_without_a_share_is_not_asked(log: TransactionColumns, artifact: Path) -> None:
    predictor = RiskPredictor.load(artifact)
    without = replace(predictor, ensemble=replace(predictor.ensemble, weight=0.0))
    answer = without.predict(requests_of_log(log, np.array([11_000])))[0]
    assert (set(answer["members"]), answer["events"]) == ({"trees"}, [])


def test_features_of_another_length_are_refused(log: TransactionColumns, artifact: Path) -> None:
    request = requests_of_log(log, np.array([4_000]))[0]
    with pytest.raises(ValueError, match="features has 1 values"):
        load_predictor(artifact).predict([request | {"features": [1.0]}])


def test_histories_of_unequal_lists_are_refused(log: TransactionColumns, artifact: Path) -> None:
    request = requests_of_log(log, np.array([4_000]))[0]
    broken = request["customer"] | {"amounts": []}
    with pytest.raises(ValueError, match="amounts must have one entry"):
        load_predictor(artifact).predict([request | {"customer": broken}])


def test_trees_alone_need_no_network(log: TransactionColumns, tmp_path: Path) -> None:
    report = TASKS["risk"].fit(log, SMALL | {"encoder": "none"}, tmp_path / "model", progress=lambda _: None)
    assert report.mixture == {"trees": 1.0, "network": 0.0}
    assert not (tmp_path / "model" / "network.safetensors").exists()
    answer = RiskPredictor.load(tmp_path / "model").predict(requests_of_log(log, np.array([11_000])))[0]
    assert set(answer["members"]) == {"trees"}


def test_labels_that_came_long_after_the_newest_transaction_are_learned_from(
    log: TransactionColumns, tmp_path: Path
) -> None:
    """Last year's payments, whose frauds are sent today."""
    today = float(log.time.max()) + 200 * DAY
    late = replace(log, fraud_known_at=np.where(np.isfinite(log.fraud_known_at), today, math.inf))
    trees = SMALL | {"encoder": "none"}
    with pytest.raises(ValueError, match=r"^0 of the .* send labels"):
        TASKS["risk"].fit(late, trees, tmp_path / "none", progress=lambda _: None)
    labelled = replace(late, labelled_at=today)
    report = TASKS["risk"].fit(labelled, trees, tmp_path / "model", progress=lambda _: None)
    mature = log.time <= log.time.max() - RiskConfig().label_delay_days * DAY
    learned = sum(report.counts[f"{part}_frauds"] for part in ("train", "validation", "test"))
    assert learned == np.isfinite(log.fraud_known_at)[mature].sum()
    found = TASKS["risk"].evaluate(tmp_path / "model", labelled, since=report.split["test_time"], until=math.inf)
    assert found["average_precision"] == pytest.approx(report.score)


def test_too_few_labels_are_refused_with_the_cure(tmp_path: Path) -> None:
    log = TransactionColumns.of(types=["payment"], time=np.arange(100) * DAY, amount=np.ones(100))
    with pytest.raises(ValueError, match="send labels"):
        TASKS["risk"].fit(log, {}, tmp_path / "model", progress=lambda _: None)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"depth": 0}, "depth must be"),
        ({"encoder": "bidirectional"}, "encoder must be one of"),
        ({"genuine_share": 0}, "genuine_share must be"),
        ({"validation_quantile": 0.95}, "validation_quantile must be below"),
        ({"wish": 1}, "unknown settings wish"),
    ],
)
def test_unusable_settings_are_named(setting: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RiskConfig.from_dict(setting)


def all_sides(sides: dict[str, SideSequences]) -> SideSequences:
    """As a request's are read: all first sides, then all second ones."""
    longest = max(each.events.shape[1] for each in sides.values())
    padded = [
        SideSequences(
            np.pad(each.events, ((0, 0), (0, longest - each.events.shape[1]), (0, 0))),
            np.pad(each.type, ((0, 0), (0, longest - each.type.shape[1]))),
            each.length,
        )
        for each in (sides[side] for side in SIDES)
    ]
    return SideSequences(*(np.concatenate([vars(each)[name] for each in padded]) for name in vars(padded[0])))


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("encoder", RISK_ENCODERS)
def test_padding_does_not_change_the_logit_and_parts_sum_to_what_the_events_add(
    log: TransactionColumns, encoder: str, layers: int
) -> None:
    torch.manual_seed(1)
    network = TwoSidedNetwork(
        features=2, types=2, encoder=encoder, dimension=8, layers=layers, heads=2, dropout=0.0, max_length=16
    ).eval()
    at = np.array([5, 9_000, 11_000])
    sides = sequences_of_log(log, at, limit=16)
    features = np.array([[1.0, np.nan]] * 3, dtype=np.float32)
    together = network(RiskBatch.of(features, sides))
    for row in range(3):
        alone = {side: each.rows(np.array([row])) for side, each in sides.items()}
        torch.testing.assert_close(network(RiskBatch.of(features[:1], alone))[0], together[row])
    shares = SharingNetwork.of(network).shares(features, all_sides(sides))
    np.testing.assert_allclose(shares.logit, together.detach(), atol=1e-6, rtol=1e-5)
    asked, pooled = network._read(RiskBatch.of(features, sides))
    without = network._logit(asked, {side: parts[:, 0] for side, parts in pooled.items()})
    added = shares.part.sum(axis=(0, 2))
    np.testing.assert_allclose(added, (together - without).detach(), atol=1e-3, rtol=1e-2)


def test_parts_follow_the_gradients_that_autograd_finds(log: TransactionColumns) -> None:
    torch.manual_seed(2)
    network = TwoSidedNetwork(
        features=2, types=2, encoder="lstm", dimension=8, layers=1, heads=2, dropout=0.0, max_length=16
    ).eval()
    features = np.array([[1.0, np.nan]] * 2, dtype=np.float32)
    sides = sequences_of_log(log, np.array([9_000, 11_000]), limit=16)
    asked, pooled = network._read(RiskBatch.of(features, sides))
    start = {side: parts[:, 0].detach() for side, parts in pooled.items()}
    end = {side: parts.sum(dim=1).detach() for side, parts in pooled.items()}
    gradients = {side: torch.zeros_like(each) for side, each in start.items()}
    for step in range(STEPS):
        share = (step + 0.5) / STEPS
        along = {side: (start[side] + share * (end[side] - start[side])).requires_grad_() for side in SIDES}
        found = torch.autograd.grad(network._logit(asked.detach(), along).sum(), list(along.values()))
        for side, gradient in zip(along, found, strict=True):
            gradients[side] += gradient / STEPS
    shares = SharingNetwork.of(network).shares(features, all_sides(sides))
    for side, part in zip(SIDES, shares.part, strict=True):
        expected = (pooled[side][:, 1:] * gradients[side][:, None]).sum(-1)
        found = part[:, : expected.shape[1]]
        np.testing.assert_allclose(found, expected.detach(), atol=1e-6, rtol=1e-4)


def test_a_sample_of_genuine_cases_stands_for_all_of_them(log: TransactionColumns) -> None:
    fraud = np.isfinite(log.fraud_known_at).astype(np.int64)
    settings = RiskConfig.from_dict({"encoder": "none"})
    cases: RiskCases = cases_of(log, np.arange(len(log)), fraud=fraud, settings=settings, genuine_share=0.25)
    assert cases.fraud.sum() == fraud.sum()
    assert cases.weight.sum() == pytest.approx(len(log), rel=0.05)


def test_what_is_older_than_a_history_is_not_read() -> None:
    """Online no more than the history of a party is at hand, so offline no more is read."""
    day = 86_400.0
    columns = TransactionColumns.of(
        types=["payment"],
        time=np.array([0.0, 5.0, 40.0, 50.0]) * day,
        amount=np.array([1.0, 2.0, 3.0, 4.0]),
        customer=np.array([7, 7, 7, 7]),
        counterparty=np.array([1, 1, 1, 1]),
    )
    (request,) = requests_of_log(columns, np.array([3]))
    assert request["customer"]["amounts"] == [3.0]
    assert request["counterparty"]["amounts"] == [3.0]
    sequences = sequences_of_log(columns, np.array([2, 3]), limit=8)
    assert sequences["customer"].length.tolist() == [1, 1]
