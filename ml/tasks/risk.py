"""Risk: how likely is a transaction to be fraud, by what was known of its parties when it was made?"""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.data.party_log import DAY
from ml.data.transactions import TransactionColumns
from ml.data.velocity import FEATURES
from ml.evaluation.classification import average_precision, binary_metrics
from ml.evaluation.drift import Reference, reference_of, references_of
from ml.serving.artifact import write_json
from ml.serving.risk_ensemble import RiskEnsemble, Table
from ml.tasks.base import FitReport
from ml.tasks.risk_cases import RiskCases, cases_of
from ml.tasks.risk_config import RiskConfig
from ml.tasks.risk_training import METRIC, fit_ensemble
from ml.training.environment import seeded
from ml.training.progress import Progress, Report

# Scores by one feature, higher for more suspicious.
BASELINES = {"amount": "amount", "counterparty_fraud_rate": "counterparty_fraud_rate_30d"}
ISOLATION_ROWS = 20_000
# How the score and the features were spread: {"score" or a feature's name: Reference}.
DRIFT = "drift.json"
RESAMPLES = 40
LEAST_FRAUDS = 20

Rows = NDArray[np.int64]


class RiskTask:
    """Boosted trees and a two-sided network that learn from labelled transactions; see `ml.tasks.base.Task`."""

    def fit(
        self,
        columns: TransactionColumns,
        config: dict[str, Any],
        out: Path,
        *,
        progress: Report,
        initial: Path | None = None,
    ) -> FitReport:
        """Labels are those known at `columns.labelled_at`. `initial` is not gone on from: trees are grown anew."""
        settings, out = RiskConfig.from_dict(config), Path(out)
        finished = out / "report.json"
        if finished.exists():
            return FitReport(**json.loads(finished.read_text(encoding="utf-8")))
        out.mkdir(parents=True, exist_ok=True)
        with seeded(settings.seed, settings.threads):
            report, ensemble, references = _fit(columns, settings, out, progress)
        progress(Progress("saving", metrics={METRIC: report.score}))
        ensemble.save(out, settings.to_dict())
        write_json(out / DRIFT, {name: reference.to_dict() for name, reference in references.items()})
        # The report comes last: with it the artifact is complete.
        write_json(finished, report.to_dict())
        shutil.rmtree(out / "checkpoint", ignore_errors=True)
        return report

    def evaluate(self, artifact: Path, columns: TransactionColumns, *, since: float, until: float) -> dict[str, float]:
        """auc, average_precision, log_loss and calibration_error of the labelled transactions in the window."""
        ensemble = RiskEnsemble.load(artifact)
        stored = json.loads((Path(artifact) / "config.json").read_text(encoding="utf-8"))["settings"]
        settings = RiskConfig.as_stored(stored)
        labelled = _labelled(columns, settings)
        moment = np.asarray(columns.time)[labelled]
        rows = labelled[(moment >= since) & (moment < until)]
        fraud = columns.labelled_fraud()[rows].astype(np.int64)
        if not fraud.any():
            raise ValueError("no transaction of the window is known to be fraud; nothing to evaluate on")
        cases = cases_of(columns, rows, fraud=fraud, settings=settings)
        return {"cases": len(rows), **binary_metrics(_probability(ensemble, cases), fraud)}


def _labelled(columns: TransactionColumns, settings: RiskConfig) -> Rows:
    """The rows that are old enough at the newest transaction for their labels to be there."""
    moment = np.asarray(columns.time)
    if not len(moment):
        raise ValueError("there is no transaction to learn from")
    mature = float(moment.max()) - settings.label_delay_days * DAY
    return np.flatnonzero((moment <= mature) & (moment > mature - settings.days * DAY))


def _fit(
    columns: TransactionColumns, settings: RiskConfig, out: Path, progress: Report
) -> tuple[FitReport, RiskEnsemble, dict[str, Reference]]:
    started = time.monotonic()
    progress(Progress("baselines"))
    labelled = _labelled(columns, settings)
    fraud = columns.labelled_fraud().astype(np.int64)
    moment = np.asarray(columns.time)[labelled]
    if len(labelled):
        validation_time, test_time = np.quantile(moment, [settings.validation_quantile, settings.test_quantile])
    else:
        validation_time = test_time = np.inf
    parts = {
        "train": labelled[moment < validation_time],
        "validation": labelled[(moment >= validation_time) & (moment < test_time)],
        "test": labelled[moment >= test_time],
    }
    for name, rows in parts.items():
        found = int(fraud[rows].sum())
        if found < LEAST_FRAUDS or found == len(rows):
            raise ValueError(
                f"{found} of the {len(rows)} transactions for {name} are known to be fraud, {LEAST_FRAUDS} are needed, "
                "and genuine ones beside them; send labels, or raise days"
            )
    cases = {
        name: cases_of(
            columns,
            rows,
            fraud=fraud[rows],
            settings=settings,
            genuine_share=settings.genuine_share if name == "train" else 1.0,
        )
        for name, rows in parts.items()
    }
    train, validation, test = cases["train"], cases["validation"], cases["test"]
    baselines = _baselines(train.features, test.features, settings.seed)
    ensemble, curve, validation_metrics = fit_ensemble(
        train, validation, types=columns.types, settings=settings, folder=out, progress=progress
    )
    progress(Progress("evaluating"))
    probability = _probability(ensemble, test)
    untrained = {name: average_precision(scores, test.fraud) for name, scores in baselines.items()}
    best = baselines[max(untrained, key=lambda name: untrained[name])]
    spread, gain_spread = _spreads(probability, best, test.fraud, settings.seed)
    logits = ensemble.logits(_columns(ensemble, test), test.sides)
    metrics = binary_metrics(probability, test.fraud)
    report = FitReport(
        metric=METRIC,
        score=metrics[METRIC],
        spread=spread,
        gain_spread=gain_spread,
        baselines=untrained,
        validation=validation_metrics,
        test=metrics | {f"{name}_{METRIC}": average_precision(each, test.fraud) for name, each in logits.items()},
        first_event={},
        curve=curve,
        counts={
            "transactions": len(columns),
            "features": len(ensemble.features),
            **{f"{name}_cases": len(rows) for name, rows in parts.items()},
            **{f"{name}_frauds": int(fraud[rows].sum()) for name, rows in parts.items()},
        },
        mixture={"trees": 1.0 - ensemble.weight, "network": ensemble.weight},
        split={"kind": "global_time", "validation_time": float(validation_time), "test_time": float(test_time)},
        seconds=time.monotonic() - started,
    )
    # Of the newest transactions, which no member learned from: what is asked next should look like these.
    references = {"score": reference_of(probability)} | references_of(test.features, FEATURES)
    return report, ensemble, references


def _columns(ensemble: RiskEnsemble, cases: RiskCases) -> Table:
    return np.ascontiguousarray(cases.features[:, [FEATURES.index(name) for name in ensemble.features]])


def _probability(ensemble: RiskEnsemble, cases: RiskCases) -> NDArray[np.float64]:
    return ensemble.probability(_columns(ensemble, cases), cases.sides)


def _baselines(train: Table, test: Table, seed: int) -> dict[str, NDArray[np.float64]]:
    """Scores of the test cases by predictors that see no label in training."""
    from sklearn.ensemble import IsolationForest

    scores = {
        name: np.nan_to_num(test[:, FEATURES.index(feature)].astype(np.float64)) for name, feature in BASELINES.items()
    }
    sample = np.random.default_rng(seed).permutation(len(train))[:ISOLATION_ROWS]
    forest = IsolationForest(random_state=seed, n_jobs=1).fit(np.nan_to_num(train[sample]))
    scores["isolation_forest"] = -forest.score_samples(np.nan_to_num(test))
    return scores


def _spreads(
    probability: NDArray[np.float64], baseline: NDArray[np.float64], fraud: NDArray[np.int64], seed: int
) -> tuple[float, float]:
    """Bootstrap standard deviations of average precision, and of its lead over a baseline (Efron, 1979)."""
    generator = np.random.default_rng(seed)
    found: list[list[float]] = []
    while len(found) < RESAMPLES:
        rows = generator.integers(0, len(fraud), len(fraud))
        if fraud[rows].any():
            found.append([average_precision(scores[rows], fraud[rows]) for scores in (probability, baseline)])
    own, other = np.array(found).T
    return float(own.std()), float((own - other).std())
