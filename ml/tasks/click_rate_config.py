"""The configuration of the tasks click_rate and conversion_rate: defaults with their reasons."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ml.nn.names import Device
from ml.tasks.settings import (
    BATCH,
    BELOW_ONE,
    COUNT,
    COUNT_OR_NULL,
    DEPTH,
    DEVICE,
    NOT_NEGATIVE,
    PASSES,
    POSITIVE,
    QUANTILE,
    SEED,
    WIDTH,
    WIDTH_OR_ZERO,
    Requirement,
    TaskSettings,
    too_large,
    whole,
)


@dataclass(frozen=True)
class ClickRateConfig(TaskSettings):
    # Data: how far back impressions are read, and how often a value must have been seen in training to be known.
    days: int = 60
    least_seen: int = 2
    validation_quantile: float = 0.8
    test_quantile: float = 0.9
    # Network. attention: units that weigh the history for a target, 0 to leave the history out.
    dimension: int = 16
    hidden: int = 128
    layers: int = 2
    members: int = 4
    attention: int = 36
    dropout: float = 0.3
    embedding_dropout: float = 0.1
    number_dropout: float = 0.0
    number_bins: int = 16
    # Length of the vectors of what stands together in histories, which are mixed in where that helps; 0 for none.
    affinity: int = 24
    # Training. Ad networks overfit within few epochs; the ridge holds the embeddings of rare values down.
    batch_size: int = 2048
    learning_rate: float = 2e-3
    ridge: float = 1.5e-5
    averaging: float = 0.99
    epochs: int = 8
    patience: int = 1
    checkpoint_seconds: float = 30.0
    seed: int = 0
    threads: int | None = None
    device: Device = "auto"

    checks: ClassVar[Mapping[str, Requirement]] = {
        "days": COUNT,
        "least_seen": COUNT,
        "validation_quantile": QUANTILE,
        "test_quantile": QUANTILE,
        "dimension": WIDTH,
        "hidden": WIDTH,
        "layers": DEPTH,
        "members": DEPTH,
        "attention": whole(0, 256),
        "affinity": WIDTH_OR_ZERO,
        "dropout": BELOW_ONE,
        "embedding_dropout": BELOW_ONE,
        "number_dropout": BELOW_ONE,
        "number_bins": WIDTH_OR_ZERO,
        "batch_size": BATCH,
        "learning_rate": POSITIVE,
        "ridge": NOT_NEGATIVE,
        "averaging": BELOW_ONE,
        "epochs": PASSES,
        "patience": PASSES,
        "checkpoint_seconds": NOT_NEGATIVE,
        "seed": SEED,
        "threads": COUNT_OR_NULL,
        "device": DEVICE,
    }

    def contradictions(self) -> list[str]:
        problems = too_large(
            2**26, batch_size=self.batch_size, hidden=self.hidden, layers=self.layers, members=self.members
        )
        if self.validation_quantile >= self.test_quantile:
            problems.append("validation_quantile must be below test_quantile")
        return problems

    def network(self) -> dict[str, Any]:
        """The keyword arguments of ml.nn.click_network.ClickNetwork."""
        names = ("dimension", "hidden", "layers", "members", "attention", "number_bins")
        dropouts = ("dropout", "embedding_dropout", "number_dropout")
        return {name: getattr(self, name) for name in (*names, *dropouts)}


@dataclass(frozen=True)
class ConversionRateConfig(ClickRateConfig):
    # After so many days a conversion does not count any more.
    window_days: float = 7.0

    checks: ClassVar[Mapping[str, Requirement]] = {**ClickRateConfig.checks, "window_days": POSITIVE}
