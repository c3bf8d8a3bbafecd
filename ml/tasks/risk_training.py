"""Training of the risk ensemble: trees, network, their mixture and its calibration."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import xgboost
from numpy.typing import NDArray
from torch.nn import functional

from ml.data.velocity import FEATURES
from ml.evaluation.calibration import PlattCalibrator, fit_calibrator
from ml.evaluation.classification import average_precision, binary_metrics
from ml.nn.two_sided import TwoSidedNetwork
from ml.serving.risk_ensemble import RiskEnsemble, network_logits, tree_logits
from ml.serving.risk_onset import EXPOSURE, exposure_of, with_onset
from ml.tasks.risk_cases import RiskCases, telling_columns
from ml.tasks.risk_config import RiskConfig
from ml.tasks.risk_trees import fit_trees, fit_trees_and_onset
from ml.training.environment import device_named
from ml.training.progress import Report
from ml.training.trainer import Trainer, TrainerSettings

METRIC = "average_precision"
# Shares of the network that are tried in the mixture.
WEIGHTS = np.linspace(0.0, 1.0, 11)


def fit_ensemble(
    train: RiskCases,
    validation: RiskCases,
    *,
    types: list[str],
    settings: RiskConfig,
    folder: Path | None,
    progress: Report,
) -> tuple[RiskEnsemble, list[dict[str, float]], dict[str, float]]:
    """An ensemble, the network's curve, and metrics of the validation cases.

    Mixture and calibration come from newer cases than the members learned from; then the trees are grown anew from
    both, since the newest labels tell most.
    Features are in the order of ml.data.velocity.FEATURES; those of MODEL_FEATURES that vary in training are read.
    """
    columns = telling_columns(train.features)
    train, validation = train.columns(columns), validation.columns(columns)
    names = [FEATURES[column] for column in columns]
    trees, onset_rate = best_trees(train, validation, names, settings)
    logits = {"trees": tree_logits(trees, validation.features)}
    network, weight = None, 0.0
    shape: dict[str, int | float | str] = {}
    curve: list[dict[str, float]] = []
    if train.sides is not None and validation.sides is not None:
        shape = network_shape(len(columns), len(types), settings)
        network, curve = fit_network(train, validation, shape, settings, folder, progress)
        logits["network"] = network_logits(network, validation.features, validation.sides)
        weight = best_weight(logits["trees"], logits["network"], validation.fraud)
    unfinished = RiskEnsemble(names, types, trees, network, shape, weight, onset_rate, PlattCalibrator(1.0, 0.0))
    mixed = unfinished.mix(logits, validation.features)
    calibrator = fit_calibrator("isotonic" if settings.calibrator == "isotonic" else "platt", mixed, validation.fraud)
    metrics = binary_metrics(calibrator(mixed), validation.fraud)
    known = train.followed_by(validation)
    if onset_rate:
        trees, onset_rate = fit_trees_and_onset(known, names, settings)
    else:
        trees = fit_trees(known, known.fraud, settings)
    return replace(unfinished, trees=trees, onset_rate=onset_rate, calibrator=calibrator), curve, metrics


def best_trees(
    train: RiskCases, validation: RiskCases, names: list[str], settings: RiskConfig
) -> tuple[xgboost.Booster, float]:
    """Trees and the onset's rate, 0 where the trees alone order the validation cases as well: of few frauds most would
    pass for unannounced."""
    alone = fit_trees(train, train.fraud, settings)
    trees, rate = fit_trees_and_onset(train, names, settings)
    if rate == 0.0:
        return alone, 0.0
    exposure = exposure_of(validation.features[:, names.index(EXPOSURE)])
    with_rate = with_onset(tree_logits(trees, validation.features), rate, exposure)
    without = tree_logits(alone, validation.features)
    if average_precision(with_rate, validation.fraud) > average_precision(without, validation.fraud):
        return trees, rate
    return alone, 0.0


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
    device = device_named(settings.device)
    network.to(device)

    frauds, genuine = np.flatnonzero(train.fraud == 1), np.flatnonzero(train.fraud == 0)
    drawn = min(len(genuine), settings.epoch_genuine)
    standing = train.weight * np.where(train.fraud == 1, 1.0, len(genuine) / drawn).astype(np.float32)

    def batches(epoch: int) -> list[NDArray[np.int64]]:
        generator = np.random.default_rng([settings.seed, epoch])
        rows = np.concatenate([frauds, generator.permutation(genuine)[:drawn]])
        return np.array_split(generator.permutation(rows), max(1, len(rows) // settings.batch_size))

    def loss(rows: NDArray[np.int64]) -> torch.Tensor:
        return functional.binary_cross_entropy_with_logits(
            network(train.batch(rows).to(device)),
            torch.from_numpy(train.fraud[rows].astype(np.float32)).to(device),
            weight=torch.from_numpy(standing[rows]).to(device),
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
    return network.cpu().eval(), trainer.state.curve


def best_weight(trees: NDArray[np.float64], network: NDArray[np.float64], fraud: NDArray[np.int64]) -> float:
    """The network's share of the log-odds that orders these cases best."""
    scores = [average_precision((1.0 - weight) * trees + weight * network, fraud) for weight in WEIGHTS]
    return float(WEIGHTS[int(np.argmax(scores))])
