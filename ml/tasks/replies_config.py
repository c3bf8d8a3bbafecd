"""The configuration of the replies task: defaults with their reasons."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ml.nn.names import Device
from ml.tasks.settings import (
    BELOW_ONE,
    COUNT_OR_NULL,
    DEVICE,
    PASSES,
    POSITIVE,
    QUANTILE,
    SEED,
    STEPS,
    SWITCH,
    WIDTH,
    Requirement,
    TaskSettings,
    whole,
)


@dataclass(frozen=True)
class RepliesConfig(TaskSettings):
    # The newest share of the pairs; its older half chooses, the newer one judges.
    held_out: float = 0.2
    # Replies in the lists that choose, calibrate and judge, the true one among them.
    candidates: int = 100
    # Whether the customers' events are read.
    events: bool = True
    # Whether texts in the pretrained encoder's language are read by it too.
    pretrained: bool = True
    # Whether all pairs train what is stored, after the held-out ones have chosen and judged. Costs a second training.
    refit: bool = True
    dimension: int = 128
    # Passes over the pairs, and at least so many steps, because few pairs need more passes.
    epochs: int = 16
    least_steps: int = 200
    # The others' replies in a batch are a pair's wrong answers.
    batch_pairs: int = 256
    learning_rate: float = 2e-3
    temperature: float = 0.07
    dropout: float = 0.3
    word_dropout: float = 0.3
    seed: int = 0
    threads: int | None = None
    device: Device = "auto"

    checks: ClassVar[Mapping[str, Requirement]] = {
        "held_out": QUANTILE,
        "candidates": whole(2, 10_000),
        "events": SWITCH,
        "pretrained": SWITCH,
        "refit": SWITCH,
        "dimension": WIDTH,
        "epochs": PASSES,
        "least_steps": STEPS,
        "batch_pairs": whole(2, 4_096),
        "learning_rate": POSITIVE,
        "temperature": POSITIVE,
        "dropout": BELOW_ONE,
        "word_dropout": BELOW_ONE,
        "seed": SEED,
        "threads": COUNT_OR_NULL,
        "device": DEVICE,
    }
