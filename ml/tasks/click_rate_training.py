"""Training of the click network, and its calibration."""

from pathlib import Path
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from ml.data.cooccurrence import cooccurrence_vectors
from ml.data.impressions import Impressions
from ml.evaluation.calibration import Calibrator, Kind, fit_calibrator
from ml.evaluation.classification import log_loss
from ml.evaluation.stacking import Stack, choose_stack
from ml.nn.click_network import ClickBatch, ClickNetwork
from ml.serving.affinity import SIGNALS, Affinity
from ml.serving.click_rate import NETWORK_ALONE, log_odds
from ml.tasks.click_rate_config import ClickRateConfig, ConversionRateConfig
from ml.training.delayed_feedback import DelayedConversions
from ml.training.environment import device_named
from ml.training.progress import Report
from ml.training.trainer import Trainer, TrainerSettings

METRIC = "information_gain"
DAY = 86_400.0

Doubles = NDArray[np.float64]
Rows = NDArray[np.int64]


def information_gains(chances: Doubles, clicked: NDArray[np.integer]) -> Doubles:
    """Of each case, (n,), the part of the uncertainty that the chances take away; their mean is 1 - normalised entropy
    (X. He et al., "Practical lessons from predicting clicks on ads at Facebook", ADKDD 2014, section 3), at most 1,
    and 0 for always saying the share of clicks, which must be neither 0 nor 1."""
    share = float(clicked.mean())
    uncertainty = -share * np.log(share) - (1 - share) * np.log(1 - share)
    likely = np.where(clicked == 1, chances, 1.0 - chances)
    found: Doubles = 1.0 + np.log(np.maximum(likely, 1e-12)) / uncertainty
    return found


def fit_network(
    network: ClickNetwork,
    log: Impressions,
    train: Rows,
    validation: Rows,
    settings: ClickRateConfig,
    folder: Path | None,
    progress: Report,
) -> list[dict[str, float]]:
    """Train to the best validation score, with what was known when validation began, and give the curve. The network
    lies on the CPU afterwards."""
    device = device_named(settings.device)
    now = float(log.time[validation[0]])
    known = log.known_at(now).astype(np.float32)
    window = settings.window_days * DAY if isinstance(settings, ConversionRateConfig) else 1.0
    delay = np.nan_to_num(np.asarray(log.delay) / window).astype(np.float32)
    elapsed = ((now - np.asarray(log.time)) / window).astype(np.float32)
    learner = (DelayedConversions(network) if isinstance(settings, ConversionRateConfig) else network).to(device)

    def batches(epoch: int) -> list[Rows]:
        order = np.random.default_rng([settings.seed, epoch]).permutation(train)
        return [order[begin : begin + settings.batch_size] for begin in range(0, len(order), settings.batch_size)]

    def loss(rows: Rows) -> torch.Tensor:
        batch = ClickBatch.of(log.fields[rows], log.numbers[rows], log.history[rows]).to(device)
        clicked = torch.from_numpy(known[rows]).to(device)
        # Each member learns by itself; their mean is only taken where they answer.
        if isinstance(learner, DelayedConversions):
            error = learner.loss(
                batch, clicked, *(torch.from_numpy(times[rows]).to(device) for times in (delay, elapsed))
            )
        else:
            logit = network(batch)
            error = functional.binary_cross_entropy_with_logits(logit, clicked.expand_as(logit))
        return error + settings.ridge * network.penalty()

    def evaluate() -> dict[str, float]:
        logit = log_odds(network, log.fields[validation], log.numbers[validation], log.history[validation])
        return {METRIC: float(information_gains(1 / (1 + np.exp(-logit)), log.clicked[validation]).mean())}

    trainer = Trainer(
        learner,
        batches=batches,
        loss=loss,
        evaluate=evaluate,
        settings=TrainerSettings(
            epochs=settings.epochs,
            patience=settings.patience,
            learning_rate=settings.learning_rate,
            weight_decay=0.0,
            metric=METRIC,
            checkpoint_seconds=settings.checkpoint_seconds,
            mixed_precision=False,
            averaging=settings.averaging,
        ),
        folder=folder,
        report=progress,
    )
    trainer.fit()
    network.cpu()
    return trainer.state.curve


def mix_with_affinity(
    log: Impressions, train: Rows, validation: Rows, logit: Doubles, settings: ClickRateConfig
) -> tuple[Stack, Affinity | None, Doubles]:
    """The mixture of the network's log-odds on validation with how near the target is to the history, the vectors that
    it needs, and the mixed log-odds. What histories hold says much of a target with few clicks of its own. It is mixed
    in afterwards and no input of the network, to which it would say too much: it was made of the cases that the network
    learns from."""
    if not settings.affinity or not settings.attention or not log.history.shape[1]:
        return NETWORK_ALONE, None, logit
    known = log.rows(train).histories_with_clicks(float(log.time[validation[0]]))
    size = len(log.values[log.target_place]) + 1
    affinity = Affinity(cooccurrence_vectors(known, size, settings.affinity))
    signals = {"network": logit} | affinity.signals(log.history[validation], log.fields[validation, log.target_place])
    stack = choose_stack(signals, "network", [SIGNALS], log.clicked[validation], settings.seed)
    return stack, affinity if len(stack.weights) > 1 else None, stack(signals)


def choose_calibrator(logit: Doubles, clicked: NDArray[np.integer], seed: int) -> Calibrator:
    """Of all kinds the one with the least log loss on each half of these cases when fitted to the other half; it is
    fitted to all of them."""
    half = np.random.default_rng(seed).random(len(logit)) < 0.5

    def loss(kind: Kind) -> float:
        halves = [(half, ~half), (~half, half)]
        return float(
            np.mean(
                [
                    log_loss(fit_calibrator(kind, logit[fitted], clicked[fitted])(logit[judged]), clicked[judged])
                    for fitted, judged in halves
                ]
            )
        )

    return fit_calibrator(min(get_args(Kind), key=loss), logit, clicked)
