"""Masked pretraining without labels, and fine-tuning from what it leaves: on the next item, and with new heads."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ml.data.columns import EventColumns
from ml.data.splits import global_time_split
from ml.data.vocabulary import Vocabulary
from ml.nn.sequence_model import SequenceModel
from ml.serving.artifact import Artifact
from ml.tasks.config import NextItemConfig
from ml.tasks.next_item_training import epoch_batches
from ml.tasks.registry import TASKS
from ml.training.progress import Progress
from ml.training.warm_start import WarmStart
from tests.ml.logs import TINY

TASK = TASKS["next_item"]
MASKED = {**TINY, "encoder": "bidirectional", "objective": "masked", "copying": False, "mask_share": 0.3}
# At this rate no weight moves, so that what comes out is what it began with.
STILL = {"epochs": 1, "learning_rate": 1e-12}
HEADS: dict[str, Any] = {"next_type": {}, "churn": {"days": 0.25}}


def ignore(_: Progress) -> None:
    """Nobody watches."""


@pytest.fixture(scope="module")
def pretrained(log: EventColumns, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pretrained") / "model"
    TASK.fit(log, {**MASKED, "epochs": 8}, out, progress=ignore)
    return out


def weights_of(artifact: Path) -> dict[str, torch.Tensor]:
    return load_file(artifact / "model.safetensors")


def test_fine_tuning_on_the_next_item_begins_where_pretraining_ended(
    log: EventColumns, pretrained: Path, tmp_path: Path
) -> None:
    """On the very events of the pretraining: it has to learn another end from them, so that none counts as known."""
    config = {**MASKED, "objective": "next", "epochs": 2, "seed": 1}
    tuned = TASK.fit(log, config, tmp_path / "tuned", progress=ignore, initial=pretrained)
    fresh = TASK.fit(log, config, tmp_path / "fresh", progress=ignore)
    assert tuned.curve[0]["loss"] < 0.9 * fresh.curve[0]["loss"]
    assert max(point["ndcg@10"] for point in tuned.curve) > max(point["ndcg@10"] for point in fresh.curve)


def test_an_encoder_that_looks_back_takes_over_what_one_that_looks_both_ways_has_learned(
    log: EventColumns, pretrained: Path, tmp_path: Path
) -> None:
    config = {**MASKED, "encoder": "transformer", "objective": "auto", **STILL}
    TASK.fit(log, config, tmp_path / "causal", progress=ignore, initial=pretrained)
    before, after = weights_of(pretrained), weights_of(tmp_path / "causal")
    assert set(before) - set(after) == {"encoder.mask"}
    for name, weight in after.items():
        torch.testing.assert_close(weight, before[name][: len(weight)] if weight.dim() else before[name])


def test_the_other_way_round_is_refused(log: EventColumns, artifact: Path, tmp_path: Path) -> None:
    config = {**TINY, "encoder": "bidirectional"}
    with pytest.raises(ValueError, match="encoder is 'bidirectional' here and 'transformer' there"):
        TASK.fit(log, config, tmp_path / "model", progress=ignore, initial=artifact)


def test_heads_that_pretraining_lacked_start_fresh_and_the_rest_goes_on(
    log: EventColumns, pretrained: Path, tmp_path: Path
) -> None:
    config = {**MASKED, **STILL, "prediction_heads": HEADS, "loss_weights": "uncertainty"}
    report = TASK.fit(log, config, tmp_path / "tuned", progress=ignore, initial=pretrained)
    before, after = weights_of(pretrained), weights_of(tmp_path / "tuned")
    new = {name for name in after if name not in before}
    assert new
    assert all(name.startswith("prediction_heads.") for name in new)
    assert all(torch.allclose(after[name], before[name], atol=1e-6) for name in before)
    assert set(report.heads) == set(HEADS)

    # And from there on without heads again.
    plain = TASK.fit(log, {**MASKED, **STILL}, tmp_path / "plain", progress=ignore, initial=tmp_path / "tuned")
    assert plain.heads == {}
    assert set(weights_of(tmp_path / "plain")) == set(before)


def test_known_heads_keep_what_they_learned_type_by_type(log: EventColumns, tmp_path: Path) -> None:
    heads = {**TINY, "epochs": 1, "prediction_heads": {"next_type": {}}}
    TASK.fit(log, heads, tmp_path / "first", progress=ignore)
    before = WarmStart.open(tmp_path / "first")
    grown = Vocabulary(log.items, ["review", *reversed(log.types)])
    arguments = {**before.artifact.network, "types": 3, "prediction_heads": ["next_type", "churn"]}
    before.check(arguments)
    model = SequenceModel(**arguments)
    before.load_into(model, grown)
    old, now = weights_of(tmp_path / "first"), model.state_dict()
    for part in ("weight", "bias"):
        learned = old[f"prediction_heads.output.next_type.{part}"]
        assert learned.any()
        expected = torch.cat([torch.zeros_like(learned[:1]), learned.flip(0)])
        assert torch.equal(now[f"prediction_heads.output.next_type.{part}"], expected)
    hidden = "prediction_heads.hidden.next_type.weight"
    assert torch.equal(now[hidden], old[hidden])


def test_only_a_run_towards_the_same_end_takes_events_as_known(log: EventColumns, pretrained: Path) -> None:
    before = WarmStart.open(pretrained)

    def same(**changes: Any) -> bool:
        return before.learned_the_same(NextItemConfig.from_dict({**MASKED, **changes}).to_dict())

    assert same()
    assert same(objective="auto", dropout=0.3)
    assert not same(objective="next")
    assert not same(prediction_heads=HEADS)
    assert not same(objective="auto", encoder="transformer")


def test_fine_tuning_asks_about_the_end_of_what_is_read(log: EventColumns) -> None:
    settings = NextItemConfig.from_dict({**MASKED, "objective": "next"})
    split = global_time_split(log, validation_quantile=0.8, test_quantile=0.9)
    first = [set(end.tolist()) for _, end in epoch_batches(split, settings, 0)]
    ends = set().union(*first)
    # The event after each end is a target, and lies in the training part.
    last = set((split.train_end - 1)[split.train_end > split.train_start].tolist())
    assert len(ends) > len(last)
    assert all(log.time[end] < split.validation_time for end in ends)


def test_the_artifact_says_how_it_was_made(pretrained: Path) -> None:
    assert WarmStart.open(pretrained).settings["objective"] == "masked"
    assert Artifact.open(pretrained).heads == {}
