"""Who of an online shop buys in this session: ten folds of UCI's Online Shoppers, with and without PageValues.

The task `click_rate` reads a session's fields and numbers, the purchase being the outcome; boosted trees are the peer,
on the same folds. Of each fold's training sessions a ninth chooses the epoch and the calibrator, and the trees' count.
"""

import csv
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.data.impressions import Impressions
from ml.tasks.registry import TASKS
from tests.benchmarks.records import Record
from tests.benchmarks.runner import mean, spread

FOLDS = 10
FIELDS = ("Month", "OperatingSystems", "Browser", "Region", "TrafficType", "VisitorType", "Weekend")
# Counts and times of which a few sessions have very many are told in logarithms.
LONG_TAILED = ("Duration", "Pages", "Values", "Related", "Administrative", "Informational")
# Of 30 settings, on parts of eight folds' training sessions that were held out from training and from its stop.
SETTINGS: dict[str, Any] = {
    "batch_size": 256,
    "epochs": 40,
    "patience": 5,
    "hidden": 128,
    "dimension": 8,
    "members": 8,
    "dropout": 0.1,
    "ridge": 1e-3,
    "threads": 1,
}
TREES: dict[str, Any] = {
    "max_depth": 4,
    "eta": 0.05,
    "subsample": 0.8,
    "colsample_bytree": 0.6,
    "min_child_weight": 5,
    "objective": "binary:logistic",
    "eval_metric": "auc",
    "nthread": 1,
}
MOST_TREES, TREES_PATIENCE = 1_000, 50
# Record, whether PageValues are read, the floor of gradient boosting, aim.
RECORDS = (
    ("ads.shoppers.auc", True, 0.934, ">= 0.945"),
    ("ads.shoppers.auc_no_pagevalues", False, 0.780, ">= 0.8"),
)

Rows = NDArray[np.int64]


def measure(*, data: Path | None, full: bool) -> Iterator[Record]:
    """Raises SystemExit where the data are missing."""
    sessions = read_sessions(data)
    for name, with_page_values, floor, aim in RECORDS:
        chosen = sessions if with_page_values else without(sessions, "PageValues")
        by_fold = [judge(chosen, *parts) for parts in folds(chosen.clicked)]
        yield {
            "id": name,
            "value": mean(by_fold, "network"),
            **spread([fold["network"] for fold in by_fold]),
            "floor": floor,
            "aim": aim,
            "peer": {"name": "XGBoost", "value": mean(by_fold, "trees")},
            "detail": {"mixed_with_trees": mean(by_fold, "mixed")},
        }


def judge(sessions: Impressions, train: Rows, chooses: Rows, test: Rows) -> dict[str, float]:
    """AUC on the fold's test of the network, the trees, and the mean of their log-odds."""
    from sklearn.metrics import roc_auc_score

    by_network, by_trees = network_scores(sessions, train, chooses, test), tree_scores(sessions, train, chooses, test)
    scores = {"network": by_network, "trees": by_trees, "mixed": by_network + by_trees}
    return {name: float(roc_auc_score(sessions.clicked[test], each)) for name, each in scores.items()}


def network_scores(sessions: Impressions, train: Rows, chooses: Rows, test: Rows) -> NDArray[np.float64]:
    from ml.serving.click_rate import ClickRatePredictor

    ordered = sessions.rows(np.concatenate([train, chooses, test]))
    last = len(ordered) - 1
    placed = Impressions(**vars(ordered) | {"time": np.arange(len(ordered), dtype=np.float64)})
    settings = SETTINGS | {
        "validation_quantile": (len(train) - 0.5) / last,
        "test_quantile": (len(train) + len(chooses) - 0.5) / last,
    }
    with tempfile.TemporaryDirectory() as folder:
        TASKS["click_rate"].fit(placed, settings, Path(folder), progress=lambda _: None)
        return log_odds(ClickRatePredictor.load(Path(folder)).probabilities(sessions.rows(test)))


def tree_scores(sessions: Impressions, train: Rows, chooses: Rows, test: Rows) -> NDArray[np.float64]:
    import xgboost

    # The visitors' kind and month as codes: trees cut them as they come.
    table = np.concatenate([sessions.numbers, sessions.fields.astype(np.float32)], axis=1)
    parts = [xgboost.DMatrix(table[rows], label=sessions.clicked[rows]) for rows in (train, chooses, test)]
    grown = xgboost.train(
        TREES,
        parts[0],
        MOST_TREES,
        evals=[(parts[1], "chooses")],
        early_stopping_rounds=TREES_PATIENCE,
        verbose_eval=False,
    )
    return log_odds(grown.predict(parts[2], iteration_range=(0, grown.best_iteration + 1)).astype(np.float64))


def log_odds(chances: NDArray[np.float64]) -> NDArray[np.float64]:
    kept = chances.clip(1e-6, 1.0 - 1e-6)
    odds: NDArray[np.float64] = np.log(kept / (1.0 - kept))
    return odds


def folds(bought: NDArray[np.int8]) -> Iterator[tuple[Rows, Rows, Rows]]:
    """Rows that train, choose and test, each fold with its share of the buyers."""
    from sklearn.model_selection import StratifiedKFold, train_test_split

    splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    for rest, test in splitter.split(bought, bought):
        train, chooses = train_test_split(rest, test_size=1 / (FOLDS - 1), stratify=bought[rest], random_state=0)
        yield train, chooses, test


def without(sessions: Impressions, number: str) -> Impressions:
    kept = [place for place, name in enumerate(sessions.number_names) if name != number]
    names = [sessions.number_names[place] for place in kept]
    return Impressions(**vars(sessions) | {"numbers": sessions.numbers[:, kept], "number_names": names})


def read_sessions(data: Path | None) -> Impressions:
    folder = Path(data) / "ads" / "online_shoppers" if data else None
    files = sorted(folder.glob("*.csv")) if folder and folder.exists() else []
    if not files:
        raise SystemExit(
            "shoppers needs --data or SEQUITUR_DATA, a folder with ads/online_shoppers and the CSV file of UCI's "
            "Online Shoppers Purchasing Intention (468)"
        )
    with files[0].open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    numbers = [name for name in rows[0] if name not in (*FIELDS, "Revenue")]
    return Impressions.of(
        time=np.arange(len(rows)),
        clicked=[row["Revenue"] in ("1", "True", "TRUE") for row in rows],
        fields={name: [row[name] for row in rows] for name in FIELDS},
        numbers={name: told(name, np.array([float(row[name]) for row in rows])) for name in numbers},
        target="VisitorType",
    )


def told(name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log1p(values.clip(min=0.0)) if any(part in name for part in LONG_TAILED) else values
