"""The configuration of the cross-encoder task: defaults with their reasons."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ml.nn.names import Device
from ml.tasks.settings import (
    COUNT_OR_NULL,
    DEVICE,
    NOT_NEGATIVE,
    POSITIVE,
    QUANTILE,
    SEED,
    Requirement,
    TaskSettings,
    too_large,
    whole,
)


@dataclass(frozen=True)
class CrossEncoderConfig(TaskSettings):
    # The newest share of the lists; its older half chooses, the newer one judges.
    held_out: float = 0.2
    # The first passages of a search that are read, and the tokens of each pair: together they are what an answer costs.
    passages: int = 10
    tokens: int = 96
    # Passes over the lists; 0 takes the starting model as it is, which says something only of a trained CROSS_ENCODER.
    epochs: int = 2
    batch_lists: int = 8
    # Wrong passages beside each right one.
    negatives: int = 4
    learning_rate: float = 1e-4
    layer_decay: float = 0.8
    # Of what lies above the layers, which begins from nothing.
    head_rate: float = 1e-3
    seed: int = 0
    threads: int | None = None
    device: Device = "auto"

    checks: ClassVar[Mapping[str, Requirement]] = {
        "held_out": QUANTILE,
        "passages": whole(2, 50),
        "tokens": whole(16, 512),
        "epochs": whole(0, 1_000),
        "batch_lists": whole(1, 256),
        "negatives": whole(1, 256),
        "learning_rate": POSITIVE,
        "layer_decay": POSITIVE,
        "head_rate": NOT_NEGATIVE,
        "seed": SEED,
        "threads": COUNT_OR_NULL,
        "device": DEVICE,
    }

    def contradictions(self) -> list[str]:
        return too_large(2**14, batch_lists=self.batch_lists, negatives=self.negatives, tokens=self.tokens)
