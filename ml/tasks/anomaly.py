"""Anomaly: how unusual is a transaction, beside the others of its log? For tenants that have no labels yet."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.data.party_log import DAY
from ml.data.transactions import TransactionColumns
from ml.data.velocity import velocity_features
from ml.evaluation.classification import area_under_roc, average_precision
from ml.evaluation.ranking import bootstrap_spread
from ml.serving.anomaly_detector import AnomalyDetector
from ml.serving.artifact import write_json
from ml.tasks.anomaly_config import AnomalyConfig
from ml.tasks.anomaly_training import COLUMNS, READ, Rows, fit_detector, planted_cases
from ml.tasks.base import FitReport
from ml.training.environment import seeded
from ml.training.progress import Progress, Report

METRIC = "planted_auc"
# Orders by one feature that a detector must beat.
BASELINES = ("amount", "customer_count_1d")
LEAST_TRANSACTIONS = 500


class AnomalyTask:
    """Detectors that learn what is usual from transactions without labels; see `ml.tasks.base.Task`.

    They are judged by planted anomalies: how often is a test transaction with three times its amount the more unusual
    of two? Where labels are known, the report also says how frauds were ranked; nothing is chosen by that.
    """

    def fit(
        self,
        columns: TransactionColumns,
        config: dict[str, Any],
        out: Path,
        *,
        progress: Report,
        initial: Path | None = None,
    ) -> FitReport:
        """`initial` is not gone on from: detectors are fitted in seconds."""
        settings, out = AnomalyConfig.from_dict(config), Path(out)
        finished = out / "report.json"
        if finished.exists():
            return FitReport(**json.loads(finished.read_text(encoding="utf-8")))
        out.mkdir(parents=True, exist_ok=True)
        with seeded(settings.seed, settings.threads):
            report, detector = _fit(columns, settings, progress)
        progress(Progress("saving", metrics={METRIC: report.score}))
        detector.save(out, settings.to_dict())
        # The report comes last: with it the artifact is complete.
        write_json(finished, report.to_dict())
        return report

    def evaluate(self, artifact: Path, columns: TransactionColumns, *, since: float, until: float) -> dict[str, float]:
        """planted_auc of the transactions in the window; auc and average_precision too where frauds are known."""
        moment = np.asarray(columns.time)
        rows = np.flatnonzero((moment >= since) & (moment < until))
        if not len(rows):
            raise ValueError("no transaction lies in the window; nothing to evaluate on")
        detector = AnomalyDetector.load(artifact)
        features, planted = planted_cases(columns, rows, seed=0)
        metrics = {"cases": float(len(rows)), METRIC: area_under_roc(detector(features).ranks, planted)}
        return metrics | _fraud_metrics(detector, columns, rows)


def _fit(columns: TransactionColumns, settings: AnomalyConfig, progress: Report) -> tuple[FitReport, AnomalyDetector]:
    started = time.monotonic()
    progress(Progress("baselines"))
    moment = np.asarray(columns.time)
    newest = moment.max(initial=-np.inf)
    recent = np.flatnonzero(moment > newest - settings.days * DAY)
    if len(recent) < LEAST_TRANSACTIONS:
        raise ValueError(f"{len(recent)} transactions in {settings.days} days; training needs {LEAST_TRANSACTIONS}")
    test_time = float(np.quantile(moment[recent], settings.test_quantile))
    train, test = recent[moment[recent] < test_time], recent[moment[recent] >= test_time]
    if not len(train):
        raise ValueError("the transactions all happened at the same time; nothing is left to learn from")
    train = np.random.default_rng(settings.seed).permutation(train)[: settings.most_transactions]
    detector = fit_detector(velocity_features(columns, train)[:, COLUMNS], settings, progress)
    progress(Progress("evaluating"))
    features, planted = planted_cases(columns, test, settings.seed)
    scores = {"model": detector(features).ranks}
    scores |= {name: np.nan_to_num(features[:, READ.index(name)]) for name in BASELINES}
    wins = {name: _wins(each, planted) for name, each in scores.items()}
    tested = wins.pop("model")
    best = max(wins.values(), key=lambda each: each.mean())
    report = FitReport(
        metric=METRIC,
        score=float(tested.mean()),
        spread=bootstrap_spread(tested, seed=settings.seed),
        gain_spread=bootstrap_spread(tested - best, seed=settings.seed),
        baselines={name: float(each.mean()) for name, each in wins.items()},
        validation={},
        test={METRIC: float(tested.mean()), **_fraud_metrics(detector, columns, test)},
        first_event={},
        curve=[],
        counts={
            "transactions": len(columns),
            "train_cases": len(train),
            "test_cases": len(test),
            "planted": int(planted.sum()),
            "features": len(READ),
        },
        mixture={},
        split={"kind": "global_time", "test_time": test_time},
        seconds=time.monotonic() - started,
    )
    return report, detector


def _wins(scores: NDArray[np.floating], planted: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of each planted case the share of the others that it scores above, ties half; their mean is the ROC's area."""
    others = np.sort(scores[planted == 0])
    asked = scores[planted == 1]
    below, up_to = np.searchsorted(others, asked, side="left"), np.searchsorted(others, asked, side="right")
    wins: NDArray[np.float64] = (below + up_to) / (2.0 * len(others))
    return wins


def _fraud_metrics(detector: AnomalyDetector, columns: TransactionColumns, rows: Rows) -> dict[str, float]:
    """How the frauds that are known were ranked; empty where there are none."""
    fraud = columns.labelled_fraud()[rows].astype(np.int64)
    if not 0 < fraud.sum() < len(fraud):
        return {}
    ranks = detector(velocity_features(columns, rows)[:, COLUMNS]).ranks
    return {"auc": area_under_roc(ranks, fraud), "average_precision": average_precision(ranks, fraud)}
