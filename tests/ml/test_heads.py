"""Several heads on one encoder: what they learn, how their losses are balanced, what is stored and served."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ml.data.activity import ACTIVITIES_OF_TYPE, activity_of_events
from ml.data.columns import EventColumns, write_columns
from ml.data.splits import Split, global_time_split
from ml.nn.encoders import ENCODERS
from ml.nn.heads import NO_LABEL, PredictionHeads
from ml.serving.artifact import Artifact
from ml.serving.next_item import NextItemPredictor
from ml.serving.requests import NextItemRequest
from ml.serving.scorer import Scorer
from ml.tasks.base import FitReport
from ml.tasks.config import NextItemConfig
from ml.tasks.head_evaluation import predict_outcomes
from ml.tasks.multi_task import MultiTask, unseen_labels
from ml.tasks.next_item_training import epoch_batches, prefix_windows, window_targets
from ml.tasks.registry import TASKS
from ml.training.progress import Progress
from tests.ml.logs import TINY

TASK = TASKS["next_item"]
HEADS: dict[str, Any] = {
    "next_type": {},
    "purchase": {"days": 0.5, "types": ["purchase"]},
    "churn": {"days": 1},
}


def ignore(_: Progress) -> None:
    """Nobody watches."""


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory) -> EventColumns:
    """Some sessions of an item each, ten hours apart: four views, and then, after an item of an even code, a cart and
    a purchase within minutes. A subject leaves for good after a session with the item 7."""
    generator = np.random.default_rng(0)
    subject, item, event_type, time = [], [], [], []
    for number in range(80):
        moment = float(generator.uniform(0, 1.5e6))
        for _ in range(8):
            code = int(generator.integers(8))
            for kind in (0, 0, 0, 0, 1, 2) if code % 2 == 0 else (0, 0, 0, 0):
                subject.append(number)
                item.append(code + 1)
                event_type.append(kind)
                time.append(moment)
                moment += 60.0
            moment += 36_000.0 + float(generator.uniform(0, 3_600.0))
            if code == 7:
                break
    return write_columns(
        tmp_path_factory.mktemp("telling") / "columns",
        subject=subject,
        item=item,
        type=event_type,
        time=time,
        value=np.full(len(item), np.nan),
        items=[f"item-{code}" for code in range(8)],
        types=["view", "cart", "purchase"],
    )


def split_of(columns: EventColumns) -> Split:
    return global_time_split(columns, validation_quantile=0.8, test_quantile=0.9, successive=True)


@pytest.fixture(scope="module")
def trained(telling: EventColumns, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "model"
    config = {**TINY, "epochs": 15, "prediction_heads": HEADS, "loss_weights": "uncertainty"}
    TASK.fit(telling, config, out, progress=ignore)
    return out


def report_of(artifact: Path) -> FitReport:
    return FitReport(**json.loads((artifact / "report.json").read_text()))


def test_each_head_learns_what_is_there_to_learn_and_beats_what_counts_alone(trained: Path) -> None:
    heads = report_of(trained).heads
    assert set(heads) == {"next_type", "purchase", "churn"}
    next_type, purchase, churn = (heads[name]["scores"] for name in heads)
    assert next_type["model"]["log_loss"] < next_type["last_type"]["log_loss"]
    assert next_type["model"]["accuracy"] > next_type["last_type"]["accuracy"]
    assert purchase["base_rate"]["auc"] == churn["base_rate"]["auc"] == 0.5
    for scores in (purchase, churn):
        assert scores["model"]["auc"] > scores["recency_frequency"]["auc"]
        assert scores["model"]["average_precision"] > scores["recency_frequency"]["average_precision"]
        assert scores["model"]["log_loss"] < scores["recency_frequency"]["log_loss"] < scores["base_rate"]["log_loss"]
    assert all(head["cases"] > 20 for head in heads.values())


@pytest.mark.parametrize("encoder", sorted(set(ENCODERS) - {"transformer"}))
def test_every_encoder_carries_the_heads(telling: EventColumns, tmp_path: Path, encoder: str) -> None:
    config = {**TINY, "encoder": encoder, "epochs": 4, "prediction_heads": HEADS, "copying": False}
    report = TASK.fit(telling, config, tmp_path / "model", progress=ignore)
    churn = report.heads["churn"]["scores"]
    assert churn["model"]["log_loss"] < churn["base_rate"]["log_loss"]
    assert report.heads["purchase"]["scores"]["model"]["auc"] > 0.8


def test_the_heads_are_stored_and_answer_as_they_were_measured(telling: EventColumns, trained: Path) -> None:
    """The newest events through the evaluator's columns and through JSON requests give the same probabilities."""
    artifact = Artifact.open(trained)
    assert artifact.heads["purchase"]["types"] == ["purchase"]
    assert artifact.heads["churn"]["days"] == 1
    rows = np.flatnonzero(telling.time >= split_of(telling).test_time)[:60]
    model = Scorer.load(artifact).model
    activity = activity_of_events(telling)
    measured = predict_outcomes(model, telling, rows, activity, max_length=artifact.max_length, tick=lambda: None)
    first = telling.offsets[telling.subject_of_events()[rows]]
    requests = [request_of(telling, int(begin), int(row) + 1) for begin, row in zip(first, rows, strict=True)]
    for number, outlook in enumerate(NextItemPredictor.load(trained).outlook(requests)):
        for name in ("purchase", "churn"):
            assert outlook[name] == pytest.approx(measured[name][number], rel=1e-4, abs=1e-6)
        by_type = [outlook["next_type"][name] for name in telling.types]
        assert by_type == pytest.approx(measured["next_type"][number].tolist(), rel=1e-4, abs=1e-6)
        assert sum(by_type) == pytest.approx(1.0)


def request_of(columns: EventColumns, begin: int, end: int) -> NextItemRequest:
    return NextItemRequest(
        items=[columns.items[code - 1] for code in columns.item[begin:end]],
        types=[columns.types[code] for code in columns.type[begin:end]],
        times=columns.time[begin:end].tolist(),
        values=[None] * (end - begin),
        count=3,
    )


def test_of_a_stranger_the_usual_is_said(telling: EventColumns, trained: Path, ask: Callable[..., Any]) -> None:
    (outlook,) = NextItemPredictor.load(trained).outlook([ask(["nobody-knows"])])
    multi_task = MultiTask.of_run(telling, split_of(telling), NextItemConfig(prediction_heads=HEADS))
    assert multi_task is not None
    assert [outlook["churn"]] == multi_task.usual_rates("churn")
    assert list(outlook["next_type"].values()) == multi_task.usual_rates("next_type")


def test_a_model_without_heads_says_so(artifact: Path, ask: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="prediction_heads"):
        NextItemPredictor.load(artifact).outlook([ask(["item-1"])])
    assert report_of(artifact).heads == {}


def test_uncertainty_weighs_losses_by_the_formula_of_the_paper() -> None:
    """exp(-s) loss + s / 2 with s = log sigma^2, whose least for a steady loss lies at exp(-s) = 1 / (2 loss)."""
    heads = PredictionHeads(["churn"], dimension=4, types=2, learn_weights=True)
    losses = {"next_item": torch.tensor(4.0), "churn": torch.tensor(0.5)}
    with torch.no_grad():
        heads.log_variance["next_item"].fill_(math.log(3.0**2))
        heads.log_variance["churn"].fill_(math.log(0.5**2))
    expected = 4.0 / 3.0**2 + math.log(3.0) + 0.5 / 0.5**2 + math.log(0.5)
    assert float(heads.balance(losses, {}).detach()) == pytest.approx(expected)
    # A loss that a batch does not have says nothing about its own weight.
    only_churn = 0.5 / 0.5**2 + math.log(0.5)
    assert float(heads.balance({"churn": losses["churn"]}, {}).detach()) == pytest.approx(only_churn)

    optimizer = torch.optim.Adam(heads.log_variance.parameters(), lr=0.05)
    for _ in range(500):
        optimizer.zero_grad()
        heads.balance(losses, {}).backward()
        optimizer.step()
    assert heads.learned_weights() == pytest.approx({"next_item": 1 / 8.0, "churn": 1.0}, rel=1e-3)


def test_set_weights_weigh_losses_and_one_that_is_not_named_counts_1() -> None:
    heads = PredictionHeads(["churn", "next_type"], dimension=4, types=2, learn_weights=False)
    losses = {name: torch.tensor(value) for name, value in (("next_item", 4.0), ("churn", 0.5), ("next_type", 2.0))}
    assert float(heads.balance(losses, {"churn": 0.2, "next_item": 0.5})) == pytest.approx(0.5 * 4 + 0.2 * 0.5 + 2.0)
    assert heads.learned_weights() == {}


def test_a_loss_is_the_mean_over_the_labelled_positions_alone() -> None:
    torch.manual_seed(0)
    heads = PredictionHeads(["next_type", "churn"], dimension=4, types=3, learn_weights=False)
    for output in heads.output.values():
        torch.nn.init.normal_(output.weight)  # type: ignore[arg-type]
    pooled = torch.randn(2, 3, 4)
    label = {
        "next_type": torch.tensor([[2, NO_LABEL, 0], [NO_LABEL, 1, NO_LABEL]]),
        "churn": torch.tensor([[1, 0, NO_LABEL], [NO_LABEL, NO_LABEL, NO_LABEL]]),
    }
    nothing = torch.zeros(2, 3, dtype=torch.long)
    losses = heads.losses(pooled, nothing, label)
    said = heads.probabilities(pooled.reshape(6, 4), nothing.reshape(6))
    probability = {name: p.reshape(2, 3, -1) for name, p in said.items()}
    types = -torch.stack([probability["next_type"][at].log() for at in ((0, 0, 2), (0, 2, 0), (1, 1, 1))])
    torch.testing.assert_close(losses["next_type"], types.mean())
    churn = -(probability["churn"][0, 0].log() + (1 - probability["churn"][0, 1]).log()) / 2
    torch.testing.assert_close(losses["churn"], churn[0])
    assert "churn" not in heads.losses(pooled, nothing, {"churn": torch.full((2, 3), NO_LABEL)})


def test_a_head_that_has_learned_nothing_answers_what_counting_says() -> None:
    heads = PredictionHeads(["next_type", "purchase"], dimension=4, types=2, learn_weights=False)
    by_type = np.array([[0.5, 0.5], [0.9, 0.1], [0.3, 0.7]])
    by_activity = np.linspace(0.1, 0.9, 3 * ACTIVITIES_OF_TYPE)
    heads.start_at({"next_type": by_type, "purchase": np.stack([1 - by_activity, by_activity], axis=1)})
    activity = np.array([0, ACTIVITIES_OF_TYPE, 2 * ACTIVITIES_OF_TYPE + 5])
    said = heads.probabilities(torch.randn(3, 4), torch.from_numpy(activity))
    torch.testing.assert_close(said["next_type"], torch.from_numpy(by_type).float())
    torch.testing.assert_close(said["purchase"], torch.from_numpy(by_activity[activity]).float())


def test_with_heads_every_training_event_is_asked_about_and_no_later_one_is_a_target(telling: EventColumns) -> None:
    split = split_of(telling)
    settings = NextItemConfig.from_dict({**TINY, "prediction_heads": HEADS})
    multi_task = MultiTask.of_run(telling, split, settings)
    assert multi_task is not None
    asked = []
    for start, end in epoch_batches(split, settings, 0):
        target = multi_task.with_next_event(window_targets(telling, start, end), start)
        position = start[:, None] + np.arange(target.shape[1])
        assert (telling.time[position[target.numpy() > 0] + 1] < split.validation_time).all()
        asked.append(position[position < end[:, None]])
    expected = np.flatnonzero(telling.time < split.validation_time)
    assert np.array_equal(np.sort(np.concatenate(asked)), expected)


def test_prefixes_end_at_every_event_but_the_last_equally_often() -> None:
    start, end = np.array([0, 6, 7, 10]), np.array([6, 7, 7, 14])
    generator = np.random.default_rng(0)
    begins, ends = prefix_windows(start, end, length=3, count=100, generator=generator)
    assert ends.tolist() == [1, 2, 3, 4, 5, 11, 12, 13]
    assert begins.tolist() == [0, 0, 0, 1, 2, 10, 10, 10]
    drawn = [prefix_windows(start, end, length=3, count=2, generator=generator)[1] for _ in range(4000)]
    count = np.bincount(np.concatenate(drawn), minlength=14)[ends]
    assert count == pytest.approx(1000, rel=0.15)


def test_an_encoder_that_looks_both_ways_learns_no_outcome_that_it_sees() -> None:
    """Two windows, of three events and of one; the event after the first one's first is masked."""
    length = np.array([3, 1])
    masked = torch.tensor([[True, False, False], [False, False, False]])
    label = torch.tensor([[1, 0, 1], [0, NO_LABEL, NO_LABEL]])
    unseen = unseen_labels({"next_type": label, "churn": label}, length, masked)
    assert unseen["next_type"].tolist() == [[1, NO_LABEL, 1], [0, NO_LABEL, NO_LABEL]]
    assert unseen["churn"].tolist() == [[NO_LABEL, NO_LABEL, 1], [0, NO_LABEL, NO_LABEL]]


class Killed(Exception):
    """Raised from the progress callback in place of a kill."""


def test_a_killed_multi_task_run_resumes_to_the_same_weights_and_report(telling: EventColumns, tmp_path: Path) -> None:
    def kill_in_the_second_epoch(progress: Progress) -> None:
        if progress.stage == "training" and progress.epoch == 2:
            raise Killed

    config = {**TINY, "epochs": 2, "encoder": "bidirectional", "prediction_heads": HEADS, "checkpoint_seconds": 0.2}
    config |= {"loss_weights": "uncertainty"}
    whole = TASK.fit(telling, config, tmp_path / "whole", progress=ignore)
    with pytest.raises(Killed):
        TASK.fit(telling, config, tmp_path / "killed", progress=kill_in_the_second_epoch)
    resumed = TASK.fit(telling, config, tmp_path / "killed", progress=ignore)
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed")]
    assert weights[0].keys() == weights[1].keys()
    assert any(name.startswith("prediction_heads.log_variance") for name in weights[0])
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert resumed.heads == whole.heads


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prediction_heads": ["churn"]}, "prediction_heads must be null, or settings by head"),
        ({"prediction_heads": {"refund": {}}}, "unknown heads refund; known are next_type, purchase, churn"),
        ({"prediction_heads": {"churn": {}}}, "prediction_heads.churn must be an object with days"),
        ({"prediction_heads": {"next_type": {"days": 1}}}, "next_type must be an object with nothing in it"),
        ({"prediction_heads": {"churn": {"days": 0}}}, "prediction_heads.churn.days must be above 0"),
        ({"prediction_heads": {"purchase": {"days": 1, "types": []}}}, "purchase.types must list at least one"),
        ({"prediction_heads": HEADS, "split": "leave_one_out"}, "prediction_heads needs split global_time"),
        ({"prediction_heads": HEADS, "loss_weights": {"refund": 1}}, "loss_weights names refund; what is trained is"),
        ({"prediction_heads": HEADS, "loss_weights": {"churn": 0}}, "loss_weights.churn must be above 0"),
        ({"prediction_heads": HEADS, "loss_weights": "learned"}, "loss_weights must be null, uncertainty, or weights"),
        ({"loss_weights": "uncertainty"}, "loss_weights needs prediction_heads"),
        ({"objective": "masked"}, "objective masked needs encoder bidirectional: transformer sees no event after"),
        ({"objective": "cloze"}, "objective must be one of auto, next, masked"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NextItemConfig.from_dict(settings)
