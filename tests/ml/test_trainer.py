from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ml.training.checkpoint import Checkpoint
from ml.training.progress import Progress
from ml.training.trainer import Trainer, TrainerSettings


class Killed(Exception):
    """Stands for the end of the process, which the trainer does not get to see."""


def noisy_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))


def make_trainer(
    folder: Path,
    *,
    scores: Callable[[int], float] = float,
    kill_at_step: int | None = None,
    report: Callable[[Progress], None] = lambda _: None,
    **changes: object,
) -> Trainer:
    """Trains on noise through dropout, so that a wrong random state or optimizer state shows in the weights."""
    model = noisy_network()
    steps = evaluations = 0

    def batches(epoch: int) -> list[Tensor]:
        return list(torch.randn(5, 16, 4, generator=torch.Generator().manual_seed(epoch)))

    def loss(batch: Tensor) -> Tensor:
        nonlocal steps
        steps += 1
        if steps == kill_at_step:
            raise Killed
        return (model(batch) - batch.sum(dim=1, keepdim=True)).square().mean()

    def evaluate() -> dict[str, float]:
        nonlocal evaluations
        evaluations += 1
        return {"score": scores(trainer.state.epoch)}

    settings = TrainerSettings(
        **{
            "epochs": 4,
            "patience": 4,
            "learning_rate": 0.01,
            "weight_decay": 0.01,
            "metric": "score",
            "checkpoint_seconds": 0.0,
            "mixed_precision": False,
            **changes,
        }
    )
    trainer = Trainer(
        model, batches=batches, loss=loss, evaluate=evaluate, settings=settings, folder=folder, report=report
    )
    return trainer


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("averaging", [0.0, 0.9])
@pytest.mark.parametrize("kill_at_step", [2, 6, 13])  # in the first epoch, at the start of one, in a later one
def test_a_killed_run_ends_with_the_weights_of_an_uninterrupted_one(
    tmp_path: Path, kill_at_step: int, averaging: float, schedule: str
) -> None:
    changes = {"averaging": averaging, "schedule": schedule}
    whole = make_trainer(tmp_path / "whole", **changes)
    whole_state = whole.fit()

    with pytest.raises(Killed):
        make_trainer(tmp_path / "killed", kill_at_step=kill_at_step, **changes).fit()
    torch.manual_seed(999)
    resumed = make_trainer(tmp_path / "killed", **changes)
    resumed_state = resumed.fit()

    assert resumed_state == whole_state
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, resumed.model.state_dict()[name]), name


def test_training_stops_when_the_score_no_longer_improves_and_keeps_the_best_weights(tmp_path: Path) -> None:
    best: dict[str, Tensor] = {}

    def scores(epoch: int) -> float:
        if epoch == 1:
            best.update({name: weight.clone() for name, weight in trainer.model.state_dict().items()})
        return [0.1, 0.9, 0.3, 0.4, 0.5, 0.6][epoch]

    trainer = make_trainer(tmp_path, scores=scores, epochs=6, patience=2)
    state = trainer.fit()
    assert [point["score"] for point in state.curve] == [0.1, 0.9, 0.3, 0.4]
    assert (state.best_epoch, state.best_score) == (1, 0.9)
    for name, weight in trainer.model.state_dict().items():
        assert torch.equal(weight, best[name]), name


def test_a_finished_run_that_is_started_again_trains_no_further(tmp_path: Path) -> None:
    first = make_trainer(tmp_path).fit()
    assert make_trainer(tmp_path, kill_at_step=1).fit() == first


def test_the_average_of_the_weights_is_what_is_judged_and_kept(tmp_path: Path) -> None:
    judged: list[Tensor] = []
    steps: list[Tensor] = []

    def weights() -> Tensor:
        return nn.utils.parameters_to_vector(trainer.model.parameters()).detach().clone()

    def scores(epoch: int) -> float:
        judged.append(weights())
        return 1.0

    trainer = make_trainer(tmp_path, scores=scores, epochs=1, averaging=0.5)
    began, train_step = weights(), trainer._train_step

    def follow(batch: Tensor) -> float:
        value = train_step(batch)
        steps.append(weights())
        return value

    trainer._train_step = follow  # type: ignore[method-assign]
    trainer.fit()
    average = began
    for number, step in enumerate(steps, start=1):
        kept = min(0.5, number / (number + 10))
        average = kept * average + (1 - kept) * step
    torch.testing.assert_close(judged[0], average)
    torch.testing.assert_close(weights(), average)


def test_the_cosine_schedule_rises_and_then_falls_to_nothing(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, epochs=100, patience=100, schedule="cosine")
    rates: list[float] = []
    train_step = trainer._train_step

    def follow(batch: Tensor) -> float:
        rates.append(trainer.optimizer.param_groups[0]["lr"])
        return train_step(batch)

    trainer._train_step = follow  # type: ignore[method-assign]
    trainer.fit()
    assert len(rates) == 500
    peak = rates.index(max(rates))
    assert 0.005 < max(rates) <= 0.01
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] < 1e-6


def test_progress_tells_of_every_epoch_and_can_stop_the_run(tmp_path: Path) -> None:
    told: list[Progress] = []
    make_trainer(tmp_path / "told", report=told.append).fit()
    finished = [progress for progress in told if "score" in progress.metrics]
    assert [progress.epoch for progress in finished] == [1, 2, 3, 4]
    assert all(progress.epochs == 4 for progress in told)

    def stop(progress: Progress) -> None:
        raise Killed

    with pytest.raises(Killed):
        make_trainer(tmp_path / "stopped", report=stop).fit()


def test_a_loss_that_is_not_a_number_ends_the_run_with_the_cure(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path)
    trainer.loss = lambda batch: trainer.model(batch).mean() * torch.nan
    with pytest.raises(FloatingPointError, match="learning_rate"):
        trainer.fit()


def test_the_curve_is_written_for_tensorboard(tmp_path: Path) -> None:
    make_trainer(tmp_path).fit()
    assert list((tmp_path / "tensorboard").glob("events.out.tfevents.*"))


def test_a_checkpoint_is_one_file_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint" / "state.safetensors"
    tied = torch.arange(3.0)
    checkpoint = Checkpoint({"weight": tied}, {"weight": tied}, {"weight": tied}, {}, {}, {"epoch": 1})
    checkpoint.save(path)
    Checkpoint({"weight": tied + 1}, {}, {}, {}, {}, {"epoch": 2}).save(path)
    loaded = Checkpoint.load(path)
    assert loaded.state == {"epoch": 2}
    assert torch.equal(loaded.model["weight"], tied + 1)
    assert [file.name for file in path.parent.iterdir()] == ["state.safetensors"]
