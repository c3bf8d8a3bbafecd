"""The configuration of the risk task: defaults with their reasons."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ml.data.velocity import SETTLED_WINDOWS
from ml.nn.names import RISK_ENCODERS, Device
from ml.tasks.settings import (
    BATCH,
    BELOW_ONE,
    COUNT,
    COUNT_OR_NULL,
    DEPTH,
    DEVICE,
    LENGTH,
    NOT_NEGATIVE,
    PASSES,
    POSITIVE,
    QUANTILE,
    SEED,
    TREES,
    WIDTH,
    Requirement,
    TaskSettings,
    is_number,
    one_of,
    too_large,
    whole,
)

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
class RiskConfig(TaskSettings):
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
    device: Device = "auto"

    checks: ClassVar[Mapping[str, Requirement]] = {
        "days": COUNT,
        "label_delay_days": (lambda value: is_number(value) and 0 <= value <= 365, "a number of days from 0 to 365"),
        "genuine_share": (lambda value: is_number(value) and 0 < value <= 1, "above 0 and at most 1"),
        "validation_quantile": QUANTILE,
        "test_quantile": QUANTILE,
        "trees": TREES,
        "depth": whole(1, 12),
        "tree_learning_rate": POSITIVE,
        "leaf_weight": NOT_NEGATIVE,
        "encoder": one_of((*RISK_ENCODERS, "none")),
        "dimension": WIDTH,
        "layers": DEPTH,
        "heads": DEPTH,
        "dropout": BELOW_ONE,
        "max_length": LENGTH,
        "batch_size": BATCH,
        "epoch_genuine": COUNT,
        "learning_rate": POSITIVE,
        "weight_decay": NOT_NEGATIVE,
        "epochs": PASSES,
        "patience": PASSES,
        "calibrator": one_of(("platt", "isotonic")),
        "checkpoint_seconds": NOT_NEGATIVE,
        "seed": SEED,
        "threads": COUNT_OR_NULL,
        "device": DEVICE,
    }

    def contradictions(self) -> list[str]:
        problems = too_large(
            2**25, batch_size=self.batch_size, max_length=self.max_length, dimension=self.dimension, layers=self.layers
        )
        if self.validation_quantile >= self.test_quantile:
            problems.append("validation_quantile must be below test_quantile")
        if self.dimension % self.heads:
            problems.append("dimension must be a multiple of heads")
        return problems
