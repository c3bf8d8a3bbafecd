"""The configuration of the anomaly task: defaults with their reasons."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ml.tasks.settings import COUNT, COUNT_OR_NULL, POSITIVE, QUANTILE, SEED, Requirement, TaskSettings, is_whole


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
        **dict.fromkeys(("days", "most_transactions", "trees", "epochs"), COUNT),
        "tree_rows": (lambda value: is_whole(value) and value >= 2, "a whole number of 2 or more"),
        **dict.fromkeys(("hidden", "batch_size"), COUNT),
        "test_quantile": QUANTILE,
        "learning_rate": POSITIVE,
        "seed": SEED,
        "threads": COUNT_OR_NULL,
    }
