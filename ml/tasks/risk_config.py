"""The configuration of the risk task: defaults with their reasons."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from ml.data.velocity import SETTLED_WINDOWS
from ml.nn.two_sided import RISK_ENCODERS
from ml.tasks.config import REQUIREMENTS, Requirement

_LABELS = (
    "known_frauds_28d",
    "known_fraud_amount_min",
    "seconds_since_known_fraud",
    "seconds_since_first_known_fraud",
    "genuine_since_first_known_fraud",
    "seconds_since_settled_genuine",
    "fraud_run",
    "seconds_since_fraud_run",
    *(f"{name}_{window}" for name in ("settled_count", "fraud_rate") for window in SETTLED_WINDOWS),
)
_BUSTLE = ("count_1h", "count_1d", "customers_1d", "customers_30d", "seconds_since_last")
# What the models read: thirteen more of the features added nothing on validation weeks, see docs/decisions.md.
MODEL_FEATURES = (
    "amount",
    "amount_to_customer_mean_30d",
    "amount_to_customer_mean_before_14d",
    "amount_to_customer_median",
    "amount_to_customer_max_30d",
    "amount_z_customer_30d",
    "customer_amount_median",
    "customer_amount_mean_1d",
    "customer_amount_mean_7d",
    "customer_amount_mean_30d",
    "customer_large_7d",
    "customer_large_14d",
    "customer_large_30d",
    "customer_known_frauds_28d",
    *(f"counterparty_{name}" for name in _LABELS),
    *(f"{party}_{name}" for party in ("device", "card") for name in (*_LABELS, *_BUSTLE)),
)


@dataclass(frozen=True)
class RiskConfig:
    """Settings of one training run; every field may be given in the `config` dict of `fit`."""

    # Data: how far back transactions are learned from, how long a label takes, and the share of the genuine ones that
    # is read: frauds are few, and most of the genuine ones say the same.
    days: int = 90
    label_delay_days: float = 7.0
    genuine_share: float = 0.2
    validation_quantile: float = 0.8
    test_quantile: float = 0.9
    # Trees. Leaves are large, since frauds that nothing announces are noise to be kept out.
    trees: int = 300
    depth: int = 5
    tree_learning_rate: float = 0.05
    leaf_weight: float = 10.0
    # Network: what encodes both sides' events, or "none" for trees alone.
    encoder: str = "lstm"
    dimension: int = 32
    layers: int = 1
    heads: int = 2
    dropout: float = 0.1
    max_length: int = 32
    batch_size: int = 512
    # All frauds and so many of the genuine ones, others each time, are an epoch.
    epoch_genuine: int = 30_000
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    epochs: int = 6
    patience: int = 2
    calibrator: str = "platt"
    checkpoint_seconds: float = 30.0
    seed: int = 0
    threads: int | None = None

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> "RiskConfig":
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
        if not problems and config.dimension % config.heads:
            problems.append("dimension must be a multiple of heads")
        if problems:
            raise ValueError("; ".join(problems))
        return config

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_REQUIRED: dict[str, Requirement] = {
    name: (holds, words) for names, holds, words in REQUIREMENTS for name in names.split()
}
CHECKS: dict[str, Requirement] = {
    "days": _REQUIRED["epochs"],
    "label_delay_days": (lambda value: _is_number(value) and 0 <= value <= 365, "a number of days from 0 to 365"),
    "genuine_share": (lambda value: _is_number(value) and 0 < value <= 1, "above 0 and at most 1"),
    "validation_quantile": _REQUIRED["validation_quantile"],
    "test_quantile": _REQUIRED["test_quantile"],
    "trees": _REQUIRED["epochs"],
    "depth": (lambda value: type(value) is int and 1 <= value <= 12, "a whole number from 1 to 12"),
    "tree_learning_rate": _REQUIRED["learning_rate"],
    "leaf_weight": _REQUIRED["weight_decay"],
    "encoder": (lambda value: value in (*RISK_ENCODERS, "none"), f"one of {', '.join((*RISK_ENCODERS, 'none'))}"),
    "dimension": _REQUIRED["dimension"],
    "layers": _REQUIRED["layers"],
    "heads": _REQUIRED["heads"],
    "dropout": _REQUIRED["dropout"],
    "max_length": _REQUIRED["max_length"],
    "batch_size": _REQUIRED["dimension"],
    "epoch_genuine": _REQUIRED["dimension"],
    "learning_rate": _REQUIRED["learning_rate"],
    "weight_decay": _REQUIRED["weight_decay"],
    "epochs": _REQUIRED["epochs"],
    "patience": _REQUIRED["patience"],
    "calibrator": (lambda value: value in ("platt", "isotonic"), "platt or isotonic"),
    "checkpoint_seconds": _REQUIRED["checkpoint_seconds"],
    "seed": _REQUIRED["seed"],
    "threads": _REQUIRED["threads"],
}
