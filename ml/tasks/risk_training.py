"""Training of the risk ensemble: trees, network, their mixture and its calibration."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xgboost
from numpy.typing import NDArray
from torch.nn import functional

from ml.data.party_sequences import sequences_of_log
from ml.data.transactions import TransactionColumns
from ml.data.velocity import FEATURES, velocity_features
from ml.evaluation.calibration import fit_calibrator
from ml.evaluation.classification import average_precision
from ml.nn.two_sided import RiskBatch, TwoSidedNetwork
from ml.serving.risk_ensemble import RiskEnsemble, Sides, Table, network_logits, tree_logits
from ml.tasks.risk_config import MODEL_FEATURES, RiskConfig
from ml.training.progress import Report
from ml.training.trainer import Trainer, TrainerSettings

METRIC = "average_precision"
# Shares of the network that are tried in the mixture.
WEIGHTS = np.linspace(0.0, 1.0, 11)


@dataclass(frozen=True)
class RiskCases:
    """Transactions with what was known of them then, features (n, F), and what is known now, fraud (n,) of 0 and 1.

    weight (n,) is how many transactions each stands for. sides are None where no network asks for them.
    """

    features: Table
    sides: Sides | None
    fraud: NDArray[np.int64]
    weight: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.fraud)

    def columns(self, chosen: list[int]) -> "RiskCases":
        return RiskCases(np.ascontiguousarray(self.features[:, chosen]), self.sides, self.fraud, self.weight)

    def batch(self, rows: NDArray[np.int64]) -> RiskBatch:
        assert self.sides is not None
        return RiskBatch.of(self.features[rows], {side: each.rows(rows) for side, each in self.sides.items()})


def cases_of(
    transactions: TransactionColumns,
    at: NDArray[np.int64],
    *,
    fraud: NDArray[np.int64],
    settings: RiskConfig,
    genuine_share: float = 1.0,
    features: Table | None = None,
) -> RiskCases:
    """The transactions `at`, whose outcomes are fraud (len(at),), with all frauds and a share of the genuine ones.

    `features` are those of the whole log, where they are at hand.
    """
    kept = (fraud == 1) | (np.random.default_rng(settings.seed).random(len(at)) < genuine_share)
    rows, outcome = at[kept], fraud[kept]
    table = velocity_features(transactions, rows) if features is None else features[rows]
    sides = None if settings.encoder == "none" else sequences_of_log(transactions, rows, limit=settings.max_length)
    weight = np.where(outcome == 1, 1.0, 1.0 / genuine_share).astype(np.float32)
    return RiskCases(table, sides, outcome, weight)


def telling_columns(features: Table) -> list[int]:
    """The columns of MODEL_FEATURES that hold at least two different values."""
    columns = [FEATURES.index(name) for name in MODEL_FEATURES]
    low, high = np.fmin.reduce(features[:, columns], axis=0), np.fmax.reduce(features[:, columns], axis=0)
    return [column for column, tells in zip(columns, low < high, strict=True) if tells]


def fit_ensemble(
    train: RiskCases,
    validation: RiskCases,
    *,
    types: list[str],
    settings: RiskConfig,
    folder: Path | None,
    progress: Report,
) -> tuple[RiskEnsemble, list[dict[str, float]]]:
    """An ensemble whose mixture and calibration come from newer cases than its members, and the network's curve.

    Features are in the order of ml.data.velocity.FEATURES; those of MODEL_FEATURES that vary in training are read.
    """
    columns = telling_columns(train.features)
    train, validation = train.columns(columns), validation.columns(columns)
    trees = fit_trees(train, settings)
    logits = {"trees": tree_logits(trees, validation.features)}
    network, shape, curve, weight = None, {}, [], 0.0
    if train.sides is not None and validation.sides is not None:
        shape = network_shape(len(columns), len(types), settings)
        network, curve = fit_network(train, validation, shape, settings, folder, progress)
        logits["network"] = network_logits(network, validation.features, validation.sides)
        weight = best_weight(logits["trees"], logits["network"], validation.fraud)
    mixed = (1.0 - weight) * logits["trees"] + weight * logits.get("network", 0.0)
    calibrator = fit_calibrator("isotonic" if settings.calibrator == "isotonic" else "platt", mixed, validation.fraud)
    names = [FEATURES[column] for column in columns]
    return RiskEnsemble(names, types, trees, network, shape, weight, calibrator), curve


def fit_trees(train: RiskCases, settings: RiskConfig) -> xgboost.Booster:
    """Gradient-boosted trees (Chen and Guestrin, 2016) for log-loss."""
    parameters = {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "max_bin": 128,
        "max_depth": settings.depth,
        "learning_rate": settings.tree_learning_rate,
        "min_child_weight": settings.leaf_weight,
        "subsample": 0.8,
        "colsample_bytree": 0.5,
        "base_score": float(np.average(train.fraud, weights=train.weight)),
        "nthread": settings.threads or 1,
        "seed": settings.seed,
    }
    data = xgboost.DMatrix(train.features, label=train.fraud, weight=train.weight)
    return xgboost.train(parameters, data, num_boost_round=settings.trees)


def network_shape(features: int, types: int, settings: RiskConfig) -> dict[str, int | float | str]:
    return {
        "features": features,
        "types": types,
        "encoder": settings.encoder,
        "dimension": settings.dimension,
        "layers": settings.layers,
        "heads": settings.heads,
        "dropout": settings.dropout,
        "max_length": settings.max_length,
    }


def fit_network(
    train: RiskCases,
    validation: RiskCases,
    shape: dict[str, int | float | str],
    settings: RiskConfig,
    folder: Path | None,
    progress: Report,
) -> tuple[TwoSidedNetwork, list[dict[str, float]]]:
    """The network with its best weights by average precision on the validation cases, and its curve."""
    network = TwoSidedNetwork(**shape)  # type: ignore[arg-type]
    network.standardise_by(train.features)

    frauds, genuine = np.flatnonzero(train.fraud == 1), np.flatnonzero(train.fraud == 0)
    drawn = min(len(genuine), settings.epoch_genuine)
    standing = train.weight * np.where(train.fraud == 1, 1.0, len(genuine) / drawn).astype(np.float32)

    def batches(epoch: int) -> list[NDArray[np.int64]]:
        generator = np.random.default_rng([settings.seed, epoch])
        rows = np.concatenate([frauds, generator.permutation(genuine)[:drawn]])
        return np.array_split(generator.permutation(rows), max(1, len(rows) // settings.batch_size))

    def loss(rows: NDArray[np.int64]) -> torch.Tensor:
        return functional.binary_cross_entropy_with_logits(
            network(train.batch(rows)),
            torch.from_numpy(train.fraud[rows].astype(np.float32)),
            weight=torch.from_numpy(standing[rows]),
        )

    def evaluate() -> dict[str, float]:
        assert validation.sides is not None
        scores = network_logits(network, validation.features, validation.sides)
        return {METRIC: average_precision(scores, validation.fraud)}

    trainer = Trainer(
        network,
        batches=batches,
        loss=loss,
        evaluate=evaluate,
        settings=TrainerSettings(
            epochs=settings.epochs,
            patience=settings.patience,
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            metric=METRIC,
            checkpoint_seconds=settings.checkpoint_seconds,
            mixed_precision=False,
        ),
        folder=folder,
        report=progress,
    )
    trainer.fit()
    return network.eval(), trainer.state.curve


def best_weight(trees: NDArray[np.float64], network: NDArray[np.float64], fraud: NDArray[np.int64]) -> float:
    """The network's share of the log-odds that orders these cases best."""
    scores = [average_precision((1.0 - weight) * trees + weight * network, fraud) for weight in WEIGHTS]
    return float(WEIGHTS[int(np.argmax(scores))])
