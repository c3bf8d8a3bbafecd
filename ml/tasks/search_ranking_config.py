"""The configuration of the search-ranking task: defaults with their reasons."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from ml.tasks.settings import (
    COUNT,
    COUNT_OR_NULL,
    NOT_NEGATIVE,
    PASSES,
    POSITIVE,
    QUANTILE,
    SEED,
    SWITCH,
    Requirement,
    TaskSettings,
    is_weights,
    whole,
)

# What a choice is worth; an event of a type that is not named here is no choice.
GRADES = {
    "click": 1.0,
    "view": 1.0,
    "wishlist": 2.0,
    "add_to_cart": 3.0,
    "cart": 3.0,
    "purchase": 5.0,
    "buy": 5.0,
    "order": 5.0,
}


@dataclass(frozen=True)
class SearchRankingConfig(TaskSettings):
    # Data: what an event type is worth, and how far back lists are read.
    grades: dict[str, float] = field(default_factory=lambda: dict(GRADES))
    days: int = 180
    validation_quantile: float = 0.8
    test_quantile: float = 0.9
    # Whether position is a bias to be taken out. Without it an item's place counts as its merit.
    position_bias: bool = True
    # Hidden units of each feature's own function.
    hidden: int = 8
    # Training. The ridge holds down what features add; the position is free of it.
    batch_lists: int = 32
    learning_rate: float = 1e-2
    ridge: float = 1e-3
    epochs: int = 30
    patience: int = 5
    checkpoint_seconds: float = 30.0
    seed: int = 0
    threads: int | None = None

    checks: ClassVar[Mapping[str, Requirement]] = {
        "grades": (lambda value: bool(value) and is_weights(value), "grades of 0 or more by event type"),
        "days": COUNT,
        "validation_quantile": QUANTILE,
        "test_quantile": QUANTILE,
        "position_bias": SWITCH,
        "hidden": whole(1, 128),
        "batch_lists": whole(1, 1_024),
        "learning_rate": POSITIVE,
        "ridge": NOT_NEGATIVE,
        "epochs": PASSES,
        "patience": PASSES,
        "checkpoint_seconds": NOT_NEGATIVE,
        "seed": SEED,
        "threads": COUNT_OR_NULL,
    }

    def contradictions(self) -> list[str]:
        return (
            ["validation_quantile must be below test_quantile"]
            if self.validation_quantile >= self.test_quantile
            else []
        )
