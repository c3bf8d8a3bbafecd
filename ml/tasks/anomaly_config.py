"""The configuration of the anomaly task: defaults with their reasons."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ml.tasks.settings import (
    BATCH,
    COUNT,
    COUNT_OR_NULL,
    PASSES,
    POSITIVE,
    QUANTILE,
    SEED,
    TREES,
    WIDTH,
    Requirement,
    TaskSettings,
    whole,
)


@dataclass(frozen=True)
class AnomalyConfig(TaskSettings):
    # Data: how far back transactions are read, at most so many of them, and the share of the newest that is kept for
    # the test.
    days: int = 28
    most_transactions: int = 100_000
    test_quantile: float = 0.8
    # Forest: more rows in each tree than the paper's 256 tell the far tail apart.
    trees: int = 100
    tree_rows: int = 1_024
    # Network: foretells one group of features from the others.
    hidden: int = 32
    batch_size: int = 512
    learning_rate: float = 3e-3
    epochs: int = 6
    seed: int = 0
    threads: int | None = None

    checks: ClassVar[Mapping[str, Requirement]] = {
        "days": COUNT,
        "most_transactions": whole(1, 1_000_000),
        "trees": TREES,
        "tree_rows": whole(2, 8_192),
        "hidden": WIDTH,
        "batch_size": BATCH,
        "epochs": PASSES,
        "test_quantile": QUANTILE,
        "learning_rate": POSITIVE,
        "seed": SEED,
        "threads": COUNT_OR_NULL,
    }
