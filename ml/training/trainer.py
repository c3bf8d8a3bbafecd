"""The training loop: early stopping on a validation score, best weights, and resuming where a killed run stopped."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ml.training.checkpoint import (
    Checkpoint,
    Tensors,
    optimizer_tensors,
    restore_optimizer,
    restore_rng,
    rng_tensors,
)
from ml.training.progress import Progress, Report

REPORT_SECONDS = 1.0
# Steps over which a schedule that ends at 0 rises from 0, since its highest rate would upset fresh weights.
WARM_UP_STEPS = 200
# Gradients above this norm come from a rare bad batch; cutting them keeps one batch from undoing an epoch.
GRADIENT_NORM = 5.0


@dataclass(frozen=True)
class TrainerSettings:
    """metric names the validation score, higher is better; patience is in epochs without a better one."""

    epochs: int
    patience: int
    learning_rate: float
    weight_decay: float
    metric: str
    checkpoint_seconds: float
    mixed_precision: bool
    # Ends training after this many seconds, evaluation included, with the best epoch by then.
    budget_seconds: float | None = None
    # "constant", or "cosine" from the learning rate down to 0 over the epochs or the budget, whichever ends first.
    schedule: str = "constant"
    # Share of the running average of the weights that each step keeps; the average is what is judged and kept. 0: off.
    averaging: float = 0.0


@dataclass
class TrainerState:
    """Where a run stands: the epoch in progress (from 0), its finished steps, and what came before. JSON-able."""

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    best_score: float = -math.inf
    best_epoch: int = -1
    total_steps: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)


class Trainer:
    """Trains `model`, and ends with its best weights in it.

    `batches(epoch)` lists what one epoch works through, the same list whenever it is asked for the same epoch;
    `loss(batch)` is the scalar to minimise; `evaluate()` gives validation metrics. `folder` receives the checkpoint
    and the TensorBoard log; with None nothing is written. A run that finds a checkpoint there goes on from it, to the
    very same result.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        batches: Callable[[int], Sequence[Any]],
        loss: Callable[[Any], Tensor],
        evaluate: Callable[[], dict[str, float]],
        settings: TrainerSettings,
        folder: Path | None,
        report: Report,
    ) -> None:
        self.model = model
        self.batches = batches
        self.loss = loss
        self.evaluate = evaluate
        self.settings = settings
        self.folder = folder
        self.report = report
        self.device = next(model.parameters()).device
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.state = TrainerState()
        self.best: Tensors = {}
        self.average: Tensors = _copies(model.state_dict()) if settings.averaging else {}
        self.next_checkpoint = time.monotonic() + settings.checkpoint_seconds
        self.next_report = 0.0
        self.began, self.ends = 0.0, math.inf
        # What this process has trained, and how long that took without evaluation.
        self.epochs_trained = 0.0
        self.training_seconds = 0.0

    def fit(self) -> TrainerState:
        """Train to the end. Raises FloatingPointError when the loss stops being a number."""
        if self.settings.budget_seconds is not None:
            self.began = time.monotonic()
            self.ends = self.began + self.settings.budget_seconds
        if self.folder is not None and self._checkpoint_path(self.folder).exists():
            self._restore(self._checkpoint_path(self.folder))
        with self._log() as log:
            while not self._finished():
                self._train_epoch()
                metrics = self._finish_epoch()
                if log is not None:
                    for name, value in metrics.items():
                        log.add_scalar(name, value, self.state.epoch - 1)
        self.model.load_state_dict(self.best)
        self.model.eval()
        return self.state

    def _log(self) -> Any:
        """The TensorBoard log, or nothing to write to where there is no folder."""
        if self.folder is None:
            return nullcontext()
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.folder / "tensorboard"), purge_step=self.state.epoch)

    def _finished(self) -> bool:
        if self.state.epoch > 0 and time.monotonic() >= self.ends:
            return True
        waited = self.state.epoch - 1 - self.state.best_epoch
        return self.state.epoch >= self.settings.epochs or (self.state.epoch > 0 and waited >= self.settings.patience)

    def _train_epoch(self) -> None:
        started, begun_at = time.monotonic(), self.state.step
        self.model.train()
        batches = self.batches(self.state.epoch)
        self._train_batches(batches)
        self.epochs_trained += (self.state.step - begun_at) / max(1, len(batches))
        self.training_seconds += time.monotonic() - started

    def _train_batches(self, batches: Sequence[Any]) -> None:
        for batch in batches[self.state.step :]:
            self._set_learning_rate(len(batches))
            self.state.loss_sum += self._train_step(batch)
            self.state.step += 1
            self.state.total_steps += 1
            self._average()
            now = time.monotonic()
            if now >= self.next_report:
                self._report_step(len(batches))
                self.next_report = now + REPORT_SECONDS
            if now >= self.next_checkpoint:
                self._save()
            if now >= self.ends:
                return

    def _train_step(self, batch: Any) -> float:
        half = self.settings.mixed_precision and self.device.type == "cuda"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=half):
            loss = self.loss(batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), GRADIENT_NORM)
        self.optimizer.step()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss became {value} in epoch {self.state.epoch + 1}; lower learning_rate")
        return value

    def _set_learning_rate(self, steps: int) -> None:
        """`steps` is how many an epoch has."""
        if self.settings.schedule == "constant":
            return
        done = (self.state.epoch + self.state.step / steps) / self.settings.epochs
        if self.settings.budget_seconds is not None:
            done = max(done, min(1.0, (time.monotonic() - self.began) / self.settings.budget_seconds))
        warm_up = min(1.0, (self.state.total_steps + 1) / WARM_UP_STEPS)
        rate = self.settings.learning_rate * warm_up * 0.5 * (1.0 + math.cos(math.pi * done))
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    @torch.no_grad()
    def _average(self) -> None:
        """Exponential moving average of the weights (Izmailov et al., 2018, on why an average generalises better; the
        share rises from 0 so that the first weights are soon forgotten)."""
        if not self.settings.averaging:
            return
        steps = self.state.total_steps
        new = 1.0 - min(self.settings.averaging, steps / (steps + 10.0))
        weights = self.model.state_dict()
        torch._foreach_lerp_([self.average[name] for name in weights], list(weights.values()), new)

    @contextmanager
    def _judged_weights(self) -> Iterator[None]:
        """The weights that are judged and kept are in the model: the averaged ones where there are any."""
        if not self.settings.averaging:
            yield
            return
        current = _copies(self.model.state_dict())
        self.model.load_state_dict(self.average)
        try:
            yield
        finally:
            self.model.load_state_dict(current)

    def _finish_epoch(self) -> dict[str, float]:
        self.model.eval()
        with self._judged_weights():
            metrics = {"loss": self.state.loss_sum / max(1, self.state.step), **self.evaluate()}
            self.state.curve.append({"epoch": self.state.epoch + 1, **metrics})
            score = metrics[self.settings.metric]
            if score > self.state.best_score:
                self.state.best_score, self.state.best_epoch = score, self.state.epoch
                self.best = _copies(self.model.state_dict())
        self.state.epoch, self.state.step, self.state.loss_sum = self.state.epoch + 1, 0, 0.0
        self._save()
        self.report(Progress("training", epoch=self.state.epoch, epochs=self.settings.epochs, metrics=metrics))
        return metrics

    def _report_step(self, steps: int) -> None:
        mean = self.state.loss_sum / self.state.step
        epoch, epochs, step = self.state.epoch + 1, self.settings.epochs, self.state.step
        self.report(Progress("training", epoch, epochs, step, steps, {"loss": mean}))

    @staticmethod
    def _checkpoint_path(folder: Path) -> Path:
        return folder / "checkpoint" / "state.safetensors"

    def _save(self) -> None:
        if self.folder is None:
            return
        Checkpoint(
            model=self.model.state_dict(),
            best=self.best,
            average=self.average,
            optimizer=optimizer_tensors(self.model, self.optimizer),
            rng=rng_tensors(),
            state=asdict(self.state),
        ).save(self._checkpoint_path(self.folder))
        self.next_checkpoint = time.monotonic() + self.settings.checkpoint_seconds

    def _restore(self, path: Path) -> None:
        checkpoint = Checkpoint.load(path)
        self.model.load_state_dict(checkpoint.model)
        self.best = {name: tensor.to(self.device) for name, tensor in checkpoint.best.items()}
        self.average = {name: tensor.to(self.device) for name, tensor in checkpoint.average.items()}
        restore_optimizer(self.model, self.optimizer, checkpoint.optimizer)
        restore_rng(checkpoint.rng)
        self.state = TrainerState(**checkpoint.state)


def _copies(tensors: Tensors) -> Tensors:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}
