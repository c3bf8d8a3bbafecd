"""The click-rate task: chances that can be trusted, from fields, numbers and what the subject did before."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.data.impressions import Impressions
from ml.evaluation.classification import expected_calibration_error, log_loss
from ml.nn.click_network import ClickBatch, ClickNetwork
from ml.serving.affinity import SIGNALS
from ml.serving.click_rate import ClickRatePredictor
from ml.serving.predictor import load_predictor
from ml.simulation.impressions import SimulatedImpressions, simulate_impressions
from ml.tasks.base import FitReport
from ml.tasks.click_rate_config import ClickRateConfig
from ml.tasks.click_rate_training import choose_calibrator, information_gains
from ml.tasks.registry import TASKS

QUICK = {
    "epochs": 8,
    "patience": 8,
    "batch_size": 256,
    "learning_rate": 5e-3,
    "averaging": 0.95,
    "hidden": 32,
    "dimension": 8,
    "dropout": 0.1,
    "threads": 1,
}


def fit(log: Impressions, out: Path, **config: Any) -> FitReport:
    return TASKS["click_rate"].fit(log, QUICK | config, out, progress=lambda _: None)


@pytest.fixture(scope="module")
def simulated() -> SimulatedImpressions:
    return simulate_impressions(12_000, seed=1)


@pytest.fixture(scope="module")
def trained(simulated: SimulatedImpressions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("click-rate")
    fit(simulated.log, folder)
    return folder


def small_network(numbers: int, number_bins: int = 0) -> ClickNetwork:
    torch.manual_seed(0)
    return ClickNetwork(
        [5, 3], numbers, 0, dimension=4, hidden=8, layers=2, members=3, attention=6, dropout=0.1, embedding_dropout=0.1,
        number_dropout=0.0, number_bins=number_bins,
    )  # fmt: skip


def report_of(artifact: Path) -> FitReport:
    return FitReport(**json.loads((artifact / "report.json").read_text()))


def test_the_model_beats_every_rate_and_comes_near_the_truth(trained: Path, simulated: SimulatedImpressions) -> None:
    report = report_of(trained)
    assert set(report.baselines) == {"mean_rate", "creative_rate", "topic_rate", "device_rate", "country_rate"}
    assert report.score - max(report.baselines.values()) > 3 * report.gain_spread

    tested = np.flatnonzero(simulated.log.time >= report.split["test_time"])
    truth = information_gains(simulated.chance[tested], simulated.log.clicked[tested]).mean()
    assert report.score > 0.75 * truth
    assert report.score < truth + 3 * report.spread


def test_chances_mean_what_they_say(trained: Path) -> None:
    """On other impressions of the same world."""
    newer = simulate_impressions(12_000, seed=2).log
    chances = ClickRatePredictor.load(trained).probabilities(newer)
    assert expected_calibration_error(chances, newer.clicked) < 0.02
    assert chances.mean() == pytest.approx(newer.clicked.mean(), rel=0.1)


def test_what_a_subject_looked_at_raises_the_chance_of_the_same_topic(trained: Path) -> None:
    predictor = load_predictor(trained)
    asked = {"candidates": {"creative": ["c0", "c1"], "topic": ["outdoor", "kitchen"]}, "context": {"device": "phone"}}
    (fresh, outdoor, kitchen) = predictor.predict(
        [asked, {**asked, "history": ["c4", "c8", "c4", "c8"]}, {**asked, "history": ["c5", "c9", "c5", "c9"]}]
    )
    assert outdoor["probabilities"][0] > 1.5 * fresh["probabilities"][0]
    assert outdoor["probabilities"][0] > 1.5 * kitchen["probabilities"][0]
    assert kitchen["probabilities"][1] > 1.5 * outdoor["probabilities"][1]


def test_a_request_is_answered_as_the_same_row_of_a_log(trained: Path, simulated: SimulatedImpressions) -> None:
    log, predictor = simulated.log, ClickRatePredictor.load(trained)
    rows = log.rows(np.arange(50))
    found = []
    for row in range(50):
        values = {name: log.values[place][log.fields[row, place] - 1] for place, name in enumerate(log.names)}
        history = [log.values[log.target_place][code - 1] for code in log.history[row] if code]
        request = {
            "candidates": {name: [values[name]] for name in ("creative", "topic")},
            "context": {name: values[name] for name in ("device", "country")},
            "numbers": {"seen_before": [float(log.numbers[row, 0])]},
            "history": history,
        }
        found += predictor.predict([request])[0]["probabilities"]
    assert found == pytest.approx(predictor.probabilities(rows).tolist(), abs=1e-6)


def test_what_the_model_does_not_know_is_answered_all_the_same(trained: Path) -> None:
    (answer,) = load_predictor(trained).predict(
        [
            {
                "candidates": {"creative": ["never-seen", "c1"], "colour": ["red", "blue"]},
                "numbers": {"seen_before": [None, 2.0]},
                "context": {"device": "fridge"},
                "history": ["never-seen"] * 500,
            }
        ]
    )
    assert all(0.0 < chance < 1.0 for chance in answer["probabilities"])


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"candidates": {}}, "at least one column"),
        ({"candidates": {"creative": ["c1"], "topic": []}}, "one length"),
        ({"candidates": {"creative": ["c1"]}, "numbers": {"seen_before": [1.0, 2.0]}}, "one length"),
    ],
)
def test_uneven_requests_are_refused(trained: Path, request_: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        load_predictor(trained).predict([request_])


def test_the_artifact_is_judged_as_the_report_says(trained: Path, simulated: SimulatedImpressions) -> None:
    report = report_of(trained)
    judged = TASKS["click_rate"].evaluate(trained, simulated.log, since=report.split["test_time"], until=math.inf)
    assert judged["information_gain"] == pytest.approx(report.score, abs=1e-6)
    assert judged["auc"] == pytest.approx(report.test["auc"])


def test_an_artifact_whose_settings_no_run_may_have_any_more_is_still_judged(
    trained: Path, simulated: SimulatedImpressions, tmp_path: Path
) -> None:
    older = tmp_path / "older"
    shutil.copytree(trained, older)
    config = json.loads((older / "config.json").read_text())
    config["settings"]["batch_size"] = 32_768
    (older / "config.json").write_text(json.dumps(config))
    now, then = (
        TASKS["click_rate"].evaluate(each, simulated.log, since=0.0, until=math.inf) for each in (trained, older)
    )
    assert now == then


def test_the_same_seed_gives_the_same_model(trained: Path, simulated: SimulatedImpressions, tmp_path: Path) -> None:
    fit(simulated.log, tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


def test_a_log_without_history_or_numbers_is_learned_from(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    creative = generator.choice(["a", "b"], 12_000)
    clicked = generator.random(12_000) < np.where(creative == "a", 0.4, 0.1)
    log = Impressions.of(time=np.arange(12_000), clicked=clicked, fields={"creative": creative}, target="creative")
    fit(log, tmp_path)
    (answer,) = load_predictor(tmp_path).predict([{"candidates": {"creative": ["a", "b"]}, "history": ["a"]}])
    assert answer["probabilities"] == pytest.approx([0.4, 0.1], abs=0.05)


def test_a_log_with_few_clicks_is_refused_with_what_to_do(tmp_path: Path) -> None:
    log = Impressions.of(
        time=np.arange(500), clicked=np.zeros(500), fields={"creative": ["a"] * 500}, target="creative"
    )
    with pytest.raises(ValueError, match=r"0 of the 400 impressions for training were clicked; 20 .* wait for more"):
        fit(log, tmp_path)


def test_columns_at_fault_are_named() -> None:
    with pytest.raises(ValueError, match="device has 1 entries where time has 2"):
        Impressions.of(time=[1, 2], clicked=[0, 1], fields={"creative": ["a", "b"], "device": ["x"]}, target="creative")
    with pytest.raises(ValueError, match="target 'banner' is none of the fields creative"):
        Impressions.of(time=[1], clicked=[0], fields={"creative": ["a"]}, target="banner")
    with pytest.raises(ValueError, match="history has 1 entries where time has 2"):
        Impressions.of(time=[1, 2], clicked=[0, 1], fields={"creative": ["a", "b"]}, target="creative", history=[["a"]])


def test_settings_at_fault_are_named() -> None:
    with pytest.raises(ValueError, match="members must be a whole number from 1 to 16"):
        ClickRateConfig.from_dict({"members": 0})
    with pytest.raises(ValueError, match="validation_quantile must be below test_quantile"):
        ClickRateConfig.from_dict({"validation_quantile": 0.9, "test_quantile": 0.8})


@settings(max_examples=50)
@given(
    rows=st.lists(
        st.tuples(
            st.floats(0, 1e9),
            st.booleans(),
            st.sampled_from(["a", "b", "c", None]),
            st.lists(st.sampled_from(["a", "b", "z"]), max_size=4),
            st.floats(-10, 10),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_a_log_says_what_was_written_in_the_order_of_time(
    rows: list[tuple[float, bool, str | None, list[str], float]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    time, clicked, creative, history, number = zip(*rows, strict=True)
    folder = tmp_path_factory.mktemp("log") / "impressions"
    Impressions.of(
        time=time,
        clicked=clicked,
        fields={"creative": creative},
        numbers={"age": number},
        history=history,
        target="creative",
    ).write(folder)
    log = Impressions.open(folder)
    ordered = sorted(rows, key=lambda row: row[0])
    assert log.time.tolist() == [row[0] for row in ordered]
    assert log.clicked.tolist() == [int(row[1]) for row in ordered]
    assert [None if code == 0 else log.values[0][code - 1] for code in log.fields[:, 0]] == [row[2] for row in ordered]
    for kept, row in zip(log.history, ordered, strict=True):
        assert [log.values[0][code - 1] for code in kept if code] == row[3]


def test_members_differ_and_padding_says_nothing() -> None:
    network = small_network(numbers=1).eval()

    def logits(history: list[int]) -> torch.Tensor:
        fields, numbers = np.array([[1, 2]], dtype=np.int32), np.array([[0.5]], dtype=np.float32)
        return network(ClickBatch.of(fields, numbers, np.array([history], dtype=np.int32)))

    short = logits([3, 4]).detach()
    assert len({round(float(each), 6) for each in short[:, 0]}) == 3
    assert torch.allclose(short, logits([3, 0, 4, 0, 0]), atol=1e-6)
    assert not torch.allclose(short, logits([2, 4]))


def test_a_number_says_how_far_it_has_come_through_each_bin() -> None:
    """A fifth of these numbers is 0, so that the first of five bins ends where it begins and is left out."""
    network = small_network(numbers=2, number_bins=5)
    numbers = np.array([[0.0, np.nan]] * 2 + [[float(number), np.nan] for number in range(1, 9)], dtype=np.float32)
    network.standardise_by(numbers)
    asked = torch.tensor([[0.0, np.nan], [8.0, 1.0], [-3.0, 0.0], [50.0, 0.0], [np.nan, 0.0], [4.0, 0.0]])
    passed = network._numbers(asked)[2].reshape(6, 2, 5)

    assert not passed[:, 1].any(), "a number that was never known has no bins"
    inside = network.bin_scale[0] > 0
    assert passed[[0, 2, 4], 0].sum() == 0.0, "the least, one below it, and one that is unknown"
    assert torch.equal(passed[1, 0], inside.float())
    assert torch.equal(passed[3, 0], inside.float())
    spans = 1 / network.bin_scale[0, inside]
    assert float((passed[5, 0, inside] * spans).sum()) == pytest.approx(4.0, abs=1e-5)


def test_what_a_number_says_in_steps_is_found(tmp_path: Path) -> None:
    """Clicks come in every other one of twelve spans, which few bends of a line do not follow."""
    chance = np.random.default_rng(3)
    number = chance.uniform(0, 12, size=6_000)
    inside = number.astype(int) % 2 == 1
    log = Impressions.of(
        time=np.arange(6_000),
        clicked=chance.random(6_000) < np.where(inside, 0.7, 0.1),
        fields={"creative": [f"c{row % 3}" for row in range(6_000)]},
        numbers={"age": number},
        target="creative",
    )
    with_bins, without = (fit(log, tmp_path / str(bins), number_bins=bins) for bins in (24, 0))
    assert with_bins.score > without.score + 3 * with_bins.spread


def test_the_calibrator_is_the_one_that_fits_other_cases_best() -> None:
    generator = np.random.default_rng(0)
    logit = generator.normal(0.0, 2.0, 4_000)
    plain = (generator.random(4_000) < 1 / (1 + np.exp(-0.5 * logit + 1))).astype(np.int64)
    stepped = (generator.random(4_000) < np.where(logit > 0, 0.6, 0.1)).astype(np.int64)
    assert choose_calibrator(logit, plain, seed=0).to_dict()["kind"] == "platt"
    assert choose_calibrator(logit, stepped, seed=0).to_dict()["kind"] == "isotonic"


def test_information_gain_is_one_less_normalised_entropy() -> None:
    chances, clicked = np.array([0.2, 0.9, 0.4, 0.1]), np.array([0, 1, 1, 0])
    assert information_gains(chances, clicked).mean() == pytest.approx(1 - log_loss(chances, clicked) / math.log(2))
    assert information_gains(np.full(4, 0.5), clicked).mean() == pytest.approx(0.0)


def test_what_histories_alone_tell_of_is_learned_from_and_answered(tmp_path: Path) -> None:
    """A view of one of two kinds of items says which of two creatives is clicked; views are no creatives."""
    generator = np.random.default_rng(0)
    rows = 12_000
    taste, shown = generator.integers(0, 2, rows), generator.integers(0, 2, rows)
    chance = np.where(taste == shown, 0.4, 0.05)
    log = Impressions.of(
        time=np.arange(rows),
        clicked=generator.random(rows) < chance,
        fields={"creative": [f"c{each}" for each in shown]},
        target="creative",
        history=[[f"view i{each}-{generator.integers(3)}"] for each in taste],
    )
    assert len(log.values[0]) == 2 + 6
    assert log.known_values(np.arange(rows), rows // 3)[0] == ["c0", "c1"], "each view is rarer than that"
    report = fit(log, tmp_path, least_seen=5)
    tested = np.flatnonzero(log.time >= report.split["test_time"])
    truth = information_gains(chance[tested], log.clicked[tested]).mean()
    assert report.score > 0.75 * truth
    both = {"creative": ["c0", "c1"]}
    first, second = load_predictor(tmp_path).predict(
        [{"candidates": both, "history": ["view i0-1"]}, {"candidates": both, "history": ["view i1-1"]}]
    )
    assert first["probabilities"][0] > 3 * first["probabilities"][1]
    assert second["probabilities"][1] > 3 * second["probabilities"][0]


def test_what_stands_together_in_histories_is_known_where_clicks_are_few(tmp_path: Path) -> None:
    """300 items of eight tastes: no pair of a view and a creative is seen often enough to learn from by itself."""
    generator = np.random.default_rng(0)
    rows, tastes = 12_000, 8
    taste, shown = generator.integers(0, tastes, rows), generator.integers(0, 40, rows)
    chance = np.where(shown % tastes == taste, 0.3, 0.05)
    log = Impressions.of(
        time=np.arange(rows),
        clicked=generator.random(rows) < chance,
        fields={"creative": [f"c{each}" for each in shown]},
        target="creative",
        history=[[f"view i{each + tastes * generator.integers(300 // tastes)}" for _ in range(5)] for each in taste],
    )
    alone = fit(log, tmp_path / "alone", epochs=2, affinity=0)
    mixed = fit(log, tmp_path / "mixed", epochs=2)
    assert alone.mixture == {"network": 1.0}
    assert set(mixed.mixture) == {"network", *SIGNALS}
    assert mixed.score > alone.score + 3 * alone.gain_spread
    asked = {"candidates": {"creative": ["c0", "c1"]}, "history": ["view i1", "view i9", "view i17"]}
    (answer,) = load_predictor(tmp_path / "mixed").predict([asked])
    assert answer["probabilities"][1] > 2 * answer["probabilities"][0]


def test_an_artifact_without_a_mixture_is_the_network_alone(
    trained: Path, simulated: SimulatedImpressions, tmp_path: Path
) -> None:
    older = shutil.copytree(trained, tmp_path / "older")
    config = json.loads((older / "config.json").read_text())
    del config["stack"]
    (older / "config.json").write_text(json.dumps(config))
    assert ClickRatePredictor.load(older).stack.weights == {"network": 1.0}
    assert ClickRatePredictor.load(older).probabilities(simulated.log).shape == (len(simulated.log),)
