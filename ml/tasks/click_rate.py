"""Click and conversion rates: how likely is a click on what is shown, and a conversion after a click?"""

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.data.impressions import Impressions
from ml.evaluation.classification import binary_metrics
from ml.evaluation.ranking import bootstrap_spread
from ml.serving.artifact import write_json
from ml.serving.click_rate import ClickRatePredictor, log_odds, network_of
from ml.tasks.base import FitReport
from ml.tasks.click_rate_config import ClickRateConfig, ConversionRateConfig
from ml.tasks.click_rate_training import (
    DAY,
    METRIC,
    choose_calibrator,
    fit_network,
    information_gains,
    mix_with_affinity,
)
from ml.training.environment import seeded
from ml.training.progress import Progress, Report

# With fewer of either outcome in a part of the log, two models cannot be told apart.
LEAST_CLICKS = 20
# A value's own rate counts as if it had been shown so many times more at the mean rate.
PRIOR_WEIGHT = 100.0

Rows = NDArray[np.int64]


class ClickRateTask:
    """A calibrated network that learns from shown impressions, or from clicks and the conversions that came within a
    window; see `ml.tasks.base.Task`."""

    def __init__(self, name: str, config_type: type[ClickRateConfig]) -> None:
        self.name, self.config_type = name, config_type

    def fit(
        self,
        columns: Impressions,
        config: dict[str, Any],
        out: Path,
        *,
        progress: Report,
        initial: Path | None = None,
    ) -> FitReport:
        """`initial` is not gone on from: within few epochs a fresh network has learned all, and the values change."""
        settings, out = self.config_type.from_dict(config), Path(out)
        finished = out / "report.json"
        if finished.exists():
            return FitReport(**json.loads(finished.read_text(encoding="utf-8")))
        out.mkdir(parents=True, exist_ok=True)
        with seeded(settings.seed, settings.threads):
            report, predictor = _fit(self.name, _settled(columns, settings), settings, out, progress)
        progress(Progress("saving", metrics={METRIC: report.score}))
        predictor.save(out, settings.to_dict())
        # The report comes last: with it the artifact is complete.
        write_json(finished, report.to_dict())
        shutil.rmtree(out / "checkpoint", ignore_errors=True)
        return report

    def evaluate(self, artifact: Path, columns: Impressions, *, since: float, until: float) -> dict[str, float]:
        """information_gain, auc, average_precision, log_loss and calibration_error of the impressions in the window."""
        stored = json.loads((Path(artifact) / "config.json").read_text(encoding="utf-8"))["settings"]
        settled = _settled(columns, self.config_type.as_stored(stored))
        window = settled.rows(np.flatnonzero((settled.time >= since) & (settled.time < until)))
        if len(np.unique(window.clicked)) < 2:
            raise ValueError("the window needs impressions with and without a click; nothing to evaluate on")
        chances = ClickRatePredictor.load(artifact).probabilities(window)
        gain = float(information_gains(chances, window.clicked).mean())
        return {"cases": len(window), METRIC: gain, **binary_metrics(chances, window.clicked)}


def _settled(columns: Impressions, settings: ClickRateConfig) -> Impressions:
    """Of conversions, which count within a window only, the clicks whose window is over."""
    if not isinstance(settings, ConversionRateConfig) or not len(columns):
        return columns
    window = settings.window_days * DAY
    now = float(np.nanmax([np.max(columns.time), np.nanmax(columns.time + np.nan_to_num(columns.delay))]))
    settled = columns.rows(np.flatnonzero(columns.time <= now - window))
    return replace(settled, clicked=np.where(settled.delay > window, 0, settled.clicked).astype(np.int8))


def _fit(
    task: str, impressions: Impressions, settings: ClickRateConfig, out: Path, progress: Report
) -> tuple[FitReport, ClickRatePredictor]:
    started = time.monotonic()
    progress(Progress("baselines"))
    train, validation, test = parts = _split(impressions, settings)
    values = impressions.known_values(train, settings.least_seen)
    log = impressions.recoded(impressions.names, values, impressions.number_names, impressions.target)
    length = log.history.shape[1]
    shape = settings.network() | ({} if length else {"attention": 0})
    network = network_of(log.names, values, log.number_names, log.target, shape)
    network.standardise_by(log.numbers[train])
    curve = fit_network(network, log, train, validation, settings, out, progress)
    progress(Progress("evaluating"))
    logit = log_odds(network, log.fields[validation], log.numbers[validation], log.history[validation])
    stack, affinity, logit = mix_with_affinity(log, train, validation, logit, settings)
    calibrator = choose_calibrator(logit, log.clicked[validation], settings.seed)
    predictor = ClickRatePredictor(
        network, log.names, values, log.number_names, log.target, length, shape, calibrator, task, stack, affinity
    )
    clicked = np.asarray(log.clicked[test])
    chances = predictor.probabilities(impressions.rows(test))
    gains = information_gains(chances, clicked)
    untrained = {
        name: information_gains(rates, clicked)
        for name, rates in untrained_rates(log, train, test, log.known_at(log.time[validation[0]])).items()
    }
    best = max(untrained.values(), key=lambda each: each.mean())
    report = FitReport(
        metric=METRIC,
        score=float(gains.mean()),
        spread=bootstrap_spread(gains, seed=settings.seed),
        gain_spread=bootstrap_spread(gains - best, seed=settings.seed),
        baselines={name: float(each.mean()) for name, each in untrained.items()},
        validation=binary_metrics(calibrator(logit), log.clicked[validation]),
        test=binary_metrics(chances, clicked),
        first_event={},
        curve=curve,
        counts={
            "impressions": len(log),
            "values": sum(len(each) for each in values),
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            **{f"{name}_cases": len(rows) for name, rows in zip(("train", "validation", "test"), parts, strict=True)},
            **{
                f"{name}_clicks": int(log.clicked[rows].sum())
                for name, rows in zip(("train", "validation", "test"), parts, strict=True)
            },
        },
        mixture=stack.weights,
        split={
            "kind": "global_time",
            "validation_time": float(log.time[validation[0]]),
            "test_time": float(log.time[test[0]]),
        },
        seconds=time.monotonic() - started,
    )
    return report, predictor


def _split(impressions: Impressions, settings: ClickRateConfig) -> tuple[Rows, Rows, Rows]:
    """Rows for training, validation and test, by time. Raises ValueError where one has too few of an outcome."""
    if not len(impressions):
        raise ValueError("there is no impression to learn from")
    moment = np.asarray(impressions.time)
    validation_time, test_time = np.quantile(moment, [settings.validation_quantile, settings.test_quantile])
    rows = np.arange(len(moment))
    parts = (
        rows[moment < validation_time],
        rows[(moment >= validation_time) & (moment < test_time)],
        rows[moment >= test_time],
    )
    for name, chosen in zip(("training", "validation", "the test"), parts, strict=True):
        clicks = int(impressions.clicked[chosen].sum())
        if min(clicks, len(chosen) - clicks) < LEAST_CLICKS:
            raise ValueError(
                f"{clicks} of the {len(chosen)} impressions for {name} were clicked; {LEAST_CLICKS} with and as many "
                "without a click are needed: wait for more traffic, or raise days"
            )
    return parts


def untrained_rates(
    log: Impressions, train: Rows, cases: Rows, known: NDArray[np.int8]
) -> dict[str, NDArray[np.float64]]:
    """Chances of a click on the cases by counting what is known in training: the mean rate, and each field's own rates,
    smoothed (the posterior mean under a Beta prior of PRIOR_WEIGHT impressions)."""
    mean = float(known[train].mean())
    rates = {"mean_rate": np.full(len(cases), mean)}
    for place, name in enumerate(log.names):
        codes, size = log.fields[:, place], len(log.values[place]) + 1
        shown = np.bincount(codes[train], minlength=size)
        clicks = np.bincount(codes[train], weights=known[train], minlength=size)
        rates[f"{name}_rate"] = ((clicks + mean * PRIOR_WEIGHT) / (shown + PRIOR_WEIGHT))[codes[cases]]
    return rates
