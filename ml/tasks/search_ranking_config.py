"""The configuration of the search-ranking task: defaults with their reasons."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ml.tasks.config import REQUIREMENTS, Requirement

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
class SearchRankingConfig:
    """Settings of one training run; every field may be given in the `config` dict of `fit`."""

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

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> "SearchRankingConfig":
        """Raises ValueError that names each unknown or unusable setting."""
        known = {setting.name for setting in fields(cls)}
        unknown = sorted(set(settings) - known)
        if unknown:
            raise ValueError(f"unknown settings {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        config = cls(**settings)
        problems = [
            f"{name} must be {words}" for name, (holds, words) in CHECKS.items() if not holds(getattr(config, name))
        ]
        if not problems and config.validation_quantile >= config.test_quantile:
            problems.append("validation_quantile must be below test_quantile")
        if problems:
            raise ValueError("; ".join(problems))
        return config

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


# What a setting of the next-item task must be, by name: most of these settings are of the same kind as one of them.
_REQUIRED: dict[str, Requirement] = {
    name: (holds, words) for names, holds, words in REQUIREMENTS for name in names.split()
}
_is_weights = _REQUIRED["type_weights"][0]
CHECKS: dict[str, Requirement] = {
    "grades": (lambda value: bool(value) and _is_weights(value), "grades of 0 or more by event type"),
    "days": _REQUIRED["epochs"],
    "validation_quantile": _REQUIRED["validation_quantile"],
    "test_quantile": _REQUIRED["test_quantile"],
    "position_bias": _REQUIRED["successive"],
    "hidden": _REQUIRED["dimension"],
    "batch_lists": _REQUIRED["dimension"],
    "learning_rate": _REQUIRED["learning_rate"],
    "ridge": _REQUIRED["weight_decay"],
    "epochs": _REQUIRED["epochs"],
    "patience": _REQUIRED["patience"],
    "checkpoint_seconds": _REQUIRED["checkpoint_seconds"],
    "seed": _REQUIRED["seed"],
    "threads": _REQUIRED["threads"],
}
