"""The configuration of the anomaly task: defaults with their reasons."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from ml.tasks.config import REQUIREMENTS, Requirement


@dataclass(frozen=True)
class AnomalyConfig:
    """Settings of one training run; every field may be given in the `config` dict of `fit`."""

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

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> "AnomalyConfig":
        """Raises ValueError that names each unknown or unusable setting."""
        known = {setting.name for setting in fields(cls)}
        unknown = sorted(set(settings) - known)
        if unknown:
            raise ValueError(f"unknown settings {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        config = cls(**settings)
        problems = [
            f"{name} must be {words}" for name, (holds, words) in CHECKS.items() if not holds(getattr(config, name))
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return config

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


_REQUIRED: dict[str, Requirement] = {
    name: (holds, words) for names, holds, words in REQUIREMENTS for name in names.split()
}
CHECKS: dict[str, Requirement] = {
    **dict.fromkeys(("days", "most_transactions", "trees", "epochs"), _REQUIRED["epochs"]),
    "tree_rows": (lambda value: type(value) is int and value >= 2, "a whole number of 2 or more"),
    **dict.fromkeys(("hidden", "batch_size"), _REQUIRED["dimension"]),
    "test_quantile": _REQUIRED["test_quantile"],
    "learning_rate": _REQUIRED["learning_rate"],
    "seed": _REQUIRED["seed"],
    "threads": _REQUIRED["threads"],
}
