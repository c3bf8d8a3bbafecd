"""The configuration of the intents task: defaults with their reasons."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ml.nn.names import Device
from ml.tasks.settings import (
    BELOW_ONE,
    COUNT_OR_NULL,
    DEPTH,
    DEVICE,
    NOT_NEGATIVE,
    PASSES,
    POSITIVE,
    QUANTILE,
    SEED,
    STEPS,
    SWITCH,
    Requirement,
    TaskSettings,
    whole,
)


@dataclass(frozen=True)
class IntentsConfig(TaskSettings):
    # The share of each intent's texts that choose and judge, where the data marks none.
    held_out: float = 0.2
    # The share of texts in scope that the threshold keeps.
    keep_in_scope: float = 0.95
    # Whether all texts train what is stored, after the held-out ones have chosen and judged. Costs a second training.
    refit: bool = True
    # Whether the encoder's layers learn; without, its vectors are taken as they come.
    tune: bool = True
    # Tuned encoders whose answers are averaged; an answer costs as many times more.
    members: int = 1
    # Passes over the texts, and at least so many steps, because few texts need more passes.
    epochs: int = 4
    least_steps: int = 160
    batch_texts: int = 32
    learning_rate: float = 2e-4
    layer_decay: float = 0.8
    contrast: float = 0.5
    smoothing: float = 0.05
    # Inverse strength of the heads' ridge.
    head_strength: float = 10.0
    seed: int = 0
    threads: int | None = None
    device: Device = "auto"

    checks: ClassVar[Mapping[str, Requirement]] = {
        "held_out": QUANTILE,
        "keep_in_scope": QUANTILE,
        "refit": SWITCH,
        "tune": SWITCH,
        "members": DEPTH,
        "epochs": PASSES,
        "least_steps": STEPS,
        "batch_texts": whole(1, 128),
        "learning_rate": POSITIVE,
        "layer_decay": POSITIVE,
        "contrast": NOT_NEGATIVE,
        "smoothing": BELOW_ONE,
        "head_strength": POSITIVE,
        "seed": SEED,
        "threads": COUNT_OR_NULL,
        "device": DEVICE,
    }
