import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from ml.data.columns import EventColumns, write_columns
from ml.data.splits import global_time_split
from ml.tasks.base import FitReport
from ml.tasks.config import NextItemConfig
from ml.tasks.next_item_training import epoch_batches, training_events, window_targets
from ml.tasks.registry import TASKS
from ml.training.progress import Progress
from tests.ml.logs import TINY, make_log

TASK = TASKS["next_item"]


class Killed(Exception):
    """Raised from the progress callback in place of a kill."""


def ignore(_: Progress) -> None:
    """Nobody watches."""


def test_an_artifact_is_safetensors_and_json_and_its_report_is_complete(artifact: Path) -> None:
    names = {file.name for file in artifact.iterdir() if file.is_file()}
    config = json.loads((artifact / "config.json").read_text())
    expected = {"model.safetensors", "rules.safetensors", "vocabulary.json", "config.json", "report.json"}
    if config["mixture"]["neighbors"] or config["untrained_mixture"]["neighbors"]:
        expected.add("neighbors.safetensors")
    assert names == expected
    assert not (artifact / "checkpoint").exists()
    report = FitReport(**json.loads((artifact / "report.json").read_text()))
    assert report.metric == "ndcg@10"
    assert report.score == report.test["ndcg@10"]
    assert set(report.baselines) == {"popularity", "sequential_rules", "session_neighbors", "untrained_mixture"}
    assert set(report.counts) == {"subjects", "items", "events", "parameters"}
    assert all({"epoch", "loss", "ndcg@10"} <= set(point) for point in report.curve)
    assert report.split["kind"] == "global_time"


def test_a_network_that_reads_event_types_beats_the_rules_that_do_not(artifact: Path) -> None:
    report = json.loads((artifact / "report.json").read_text())
    assert report["baselines"]["sequential_rules"] > 3 * report["baselines"]["popularity"]
    assert report["score"] > report["baselines"]["sequential_rules"] + 2 * report["gain_spread"]
    assert report["mixture"]["neural"] > 0.0


def test_no_training_target_lies_at_or_after_the_split_time(log: EventColumns) -> None:
    split = global_time_split(log, validation_quantile=0.8, test_quantile=0.9)
    settings = NextItemConfig.from_dict(TINY)
    assert (log.time[training_events(split)] < split.validation_time).all()
    for epoch in range(2):
        for start, end in epoch_batches(split, settings, epoch):
            target = window_targets(log, start, end)
            position = start[:, None] + np.arange(target.shape[1]) + 1
            assert (log.time[position[target.numpy() > 0]] < split.validation_time).all()


def test_events_of_the_holdout_do_not_touch_the_weights(log: EventColumns, artifact: Path, tmp_path: Path) -> None:
    """Scrambles every item after the split; with a fixed number of epochs the network must come out the same."""
    split = global_time_split(log, validation_quantile=0.8, test_quantile=0.9)
    item = np.array(log.item)
    future = log.time >= split.validation_time
    item[future] = np.random.default_rng(1).permutation(item[future])
    config = {**TINY, "epochs": 1}
    TASK.fit(log, config, tmp_path / "true", progress=ignore)
    TASK.fit(replace(log, item=item), config, tmp_path / "scrambled", progress=ignore)
    true, scrambled = (load_file(tmp_path / name / "model.safetensors") for name in ("true", "scrambled"))
    assert all(np.array_equal(true[name], scrambled[name]) for name in true)
    rules = [(tmp_path / name / "rules.safetensors").read_bytes() for name in ("true", "scrambled")]
    assert rules[0] == rules[1]


def test_a_killed_fit_resumes_to_the_same_weights_and_report(log: EventColumns, artifact: Path, tmp_path: Path) -> None:
    def kill_after_the_first_epoch(progress: Progress) -> None:
        if progress.stage == "training" and progress.epoch == 2:
            raise Killed

    config = {**TINY, "checkpoint_seconds": 0.0}  # every step
    with pytest.raises(Killed):
        TASK.fit(log, config, tmp_path / "run", progress=kill_after_the_first_epoch)
    assert (tmp_path / "run" / "checkpoint" / "state.safetensors").exists()
    assert not (tmp_path / "run" / "report.json").exists()
    TASK.fit(log, config, tmp_path / "run", progress=ignore)
    for name, weight in load_file(artifact / "model.safetensors").items():
        assert np.array_equal(weight, load_file(tmp_path / "run" / "model.safetensors")[name]), name
    resumed, whole = (json.loads((path / "report.json").read_text()) for path in (tmp_path / "run", artifact))
    assert {**resumed, "seconds": 0, "speed": {}} == {**whole, "seconds": 0, "speed": {}}


def test_a_finished_fit_that_is_started_again_only_reads_its_report(log: EventColumns, artifact: Path) -> None:
    def refuse(_: Progress) -> None:
        raise AssertionError("nothing should run")

    report = TASK.fit(log, TINY, artifact, progress=refuse)
    assert report.to_dict() == json.loads((artifact / "report.json").read_text())


@pytest.mark.parametrize("changes", [{"encoder": "lstm"}, {"loss": "sampled", "negatives": 16}, {"copying": False}])
def test_other_networks_and_losses_train_too(log: EventColumns, tmp_path: Path, changes: dict[str, object]) -> None:
    report = TASK.fit(log, {**TINY, **changes, "epochs": 2}, tmp_path / "model", progress=ignore)
    assert report.curve[1]["loss"] < report.curve[0]["loss"]


def test_leave_one_out_is_labelled(log: EventColumns, tmp_path: Path) -> None:
    config = {**TINY, "split": "leave_one_out", "exclude_seen": True, "epochs": 1}
    report = TASK.fit(log, config, tmp_path / "model", progress=ignore)
    assert report.split["kind"] == "leave_one_out"
    assert "future" in report.split["warning"]
    assert report.first_event == {}


def test_every_stage_is_told_in_order(log: EventColumns, tmp_path: Path) -> None:
    told: list[Progress] = []
    TASK.fit(log, {**TINY, "epochs": 1}, tmp_path / "model", progress=told.append)
    stages = list(dict.fromkeys(progress.stage for progress in told))
    assert [stage for stage in stages if stage != "evaluating"] == ["snapshot", "baselines", "training", "saving"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layres": 2}, "unknown settings layres"),
        ({"encoder": "mlp"}, "encoder must be one of lstm, gru, transformer"),
        ({"dimension": 10, "heads": 4}, "multiple of heads"),
        ({"dropout": 1.0}, "dropout must be at least 0"),
        ({"epochs": 0, "seed": -1}, "epochs must be .* seed must be"),
        ({"inputs": ["colour"]}, "inputs must be a list of some of"),
        ({"learning_rate": "fast"}, "learning_rate must be above 0"),
        ({"threads": 0}, "threads must be null, or"),
        ({"test_quantile": 1.5}, "test_quantile must be between"),
        ({"validation_quantile": 0.9, "test_quantile": 0.8}, "validation_quantile < test_quantile"),
        ({"copying": "yes"}, "copying must be true, false or null"),
    ],
)
def test_a_wrong_setting_is_named(log: EventColumns, tmp_path: Path, settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TASK.fit(log, settings, tmp_path / "model", progress=ignore)


def test_a_network_that_does_not_fit_memory_is_refused_before_it_is_trained(log: EventColumns, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="memory_budget_mb"):
        TASK.fit(log, {**TINY, "dimension": 1024, "memory_budget_mb": 64}, tmp_path / "model", progress=ignore)


def test_a_model_can_be_judged_on_another_log(log: EventColumns, artifact: Path, tmp_path: Path) -> None:
    """Names decide, not codes: the same log with more items in front gives the same metrics."""
    shifted = replace(
        log, item=np.where(log.item > 0, log.item + 2, 0).astype(np.int32), items=["new-1", "new-2", *log.items]
    )
    since = float(np.quantile(log.time, 0.9))
    known = TASK.evaluate(artifact, log, since=since, until=np.inf)
    assert known == TASK.evaluate(artifact, shifted, since=since, until=np.inf)
    assert known["cases"] > 0
    other = make_log(tmp_path / "other", seed=5)
    stranger = replace(other, items=[f"unheard-{code}" for code in range(len(other.items))])
    assert TASK.evaluate(artifact, stranger, since=0.0, until=np.inf)["hr@10"] == 0.0


def test_a_log_without_a_first_event_in_the_holdout_gives_a_report_without_nan(tmp_path: Path) -> None:
    """Subjects come one after the other, so nobody with a history begins anew in the test window."""
    generator = np.random.default_rng(0)
    log = write_columns(
        tmp_path / "log",
        subject=np.repeat(np.arange(50), 10),
        item=generator.integers(1, 31, 500),
        type=np.zeros(500, dtype=int),
        time=1e9 + np.arange(500.0),
        value=np.full(500, np.nan),
        items=[f"item-{code}" for code in range(30)],
        types=["view"],
    )
    report = TASK.fit(log, {"epochs": 1}, tmp_path / "out", progress=ignore)
    assert report.first_event == {"cases": 0}
    assert "NaN" not in json.dumps(report.to_dict())
