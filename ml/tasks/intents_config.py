"""The configuration of the intents task: defaults with their reasons."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from ml.tasks.config import REQUIREMENTS, Requirement


@dataclass(frozen=True)
class IntentsConfig:
    """Settings of one training run; every field may be given in the `config` dict of `fit`."""

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
    least_steps: int = 80
    batch_texts: int = 32
    learning_rate: float = 1e-4
    layer_decay: float = 0.8
    contrast: float = 0.5
    smoothing: float = 0.05
    # Inverse strength of the heads' ridge.
    head_strength: float = 10.0
    seed: int = 0
    threads: int | None = None

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> "IntentsConfig":
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


# What a setting of the next-item task must be, by name: these settings are of the same kind as one of them.
_REQUIRED: dict[str, Requirement] = {
    name: (holds, words) for names, holds, words in REQUIREMENTS for name in names.split()
}
CHECKS: dict[str, Requirement] = {
    "held_out": _REQUIRED["validation_quantile"],
    "keep_in_scope": _REQUIRED["validation_quantile"],
    "refit": _REQUIRED["successive"],
    "tune": _REQUIRED["successive"],
    "members": _REQUIRED["epochs"],
    "epochs": _REQUIRED["epochs"],
    "least_steps": _REQUIRED["epochs"],
    "batch_texts": _REQUIRED["epochs"],
    "learning_rate": _REQUIRED["learning_rate"],
    "layer_decay": _REQUIRED["learning_rate"],
    "contrast": _REQUIRED["weight_decay"],
    "smoothing": _REQUIRED["dropout"],
    "head_strength": _REQUIRED["learning_rate"],
    "seed": _REQUIRED["seed"],
    "threads": _REQUIRED["threads"],
}
