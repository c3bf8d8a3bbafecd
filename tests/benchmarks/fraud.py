"""Fraud on the Fraud Detection Handbook's simulated transactions, by its protocol, beside the usual models.

Results of each fold and model are kept under var/benchmarks until the whole has ended, so that an interrupted command
goes on.
"""

import hashlib
import shutil
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import xgboost
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ml.data import party_log, velocity
from ml.data.transactions import TransactionColumns
from ml.data.velocity import FEATURES, velocity_features
from ml.evaluation.fraud import WEEK, Fold, fraud_metrics, unknown_rows, within
from ml.serving.risk_ensemble import Table, tree_logits
from ml.tasks.risk_cases import cases_of, telling_columns
from ml.tasks.risk_config import RiskConfig
from ml.tasks.risk_training import fit_ensemble
from ml.tasks.risk_trees import fit_trees
from ml.training.environment import seeded
from tests.benchmarks.records import Record, measured_commit
from tests.benchmarks.runner import HOME, Runner

DAY = 86_400
FIRST_DAY = date(2018, 4, 1)
FIRST_MOMENT = datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, tzinfo=UTC).timestamp()
TEST_FOLDS = (date(2018, 8, 15), date(2018, 8, 8), date(2018, 8, 1), date(2018, 7, 25))
HISTORY_WEEKS = 7
WINDOWS = ("1d", "7d", "30d")
HANDBOOK_FEATURES = (
    "amount",
    "is_weekend",
    "is_night",
    *(f"customer_{name}_{window}" for name in ("count", "amount_mean") for window in WINDOWS),
    *(f"counterparty_{name}_{window}" for name in ("settled_count", "fraud_rate") for window in WINDOWS),
)
AIMS = {"auc": ">= 0.89", "average_precision": ">= 0.75", "card_precision_100": ">= 0.317"}
PARITY = {"auc": 0.876, "average_precision": 0.694, "card_precision_100": 0.304}
NAMES = {"auc": "risk.auc", "average_precision": "risk.ap", "card_precision_100": "risk.cp100"}

Rows = NDArray[np.int64]
Scores = dict[str, float]


@dataclass(frozen=True)
class World:
    """The whole set: columns, features, day (from 0 on FIRST_DAY) and fraud of each transaction."""

    columns: TransactionColumns
    features: Table
    day: NDArray[np.int64]
    fraud: NDArray[np.int64]

    def handbook(self, rows: Rows) -> Table:
        return np.nan_to_num(self.features[rows][:, [FEATURES.index(name) for name in HANDBOOK_FEATURES]])


# Scores of the test rows by name.
Model = Callable[[World, Fold, Rows], dict[str, NDArray]]


def measure(*, data: Path | None, full: bool) -> Iterator[Record]:
    """Raises SystemExit where the data are missing."""
    file = handbook_file(data)
    folder = HOME / "benchmarks" / "fraud"
    runner = Runner(Path(file).parent, folder, measured_commit())
    world = read_world(data, folder)
    found: dict[str, list[Scores]] = defaultdict(list)
    folds = [Fold((start - FIRST_DAY).days) for start in TEST_FOLDS]
    for (key, model), fold in product(MODELS.items(), folds):
        kept = runner.keep([key, fold.start], partial(judge, world, fold, model))
        for name, scores in kept.items():
            found[name].append(scores)
            print(f"fold of day {fold.start}: {name} {scores}", flush=True)
    yield from records(found)
    shutil.rmtree(folder, ignore_errors=True)


def judge(world: World, fold: Fold, model: Model) -> dict[str, Scores]:
    rows = unknown_rows(fold, world.day, world.columns.customer, world.fraud)
    with seeded(0, None):
        found = model(world, fold, rows)
    outcome = world.fraud[rows], world.columns.customer[rows], world.day[rows]
    return {name: fraud_metrics(scores, *outcome) for name, scores in found.items()}


def records(found: dict[str, list[Scores]]) -> Iterator[Record]:
    means = {
        name: {metric: statistics.mean(fold[metric] for fold in folds) for metric in AIMS}
        for name, folds in found.items()
    }
    for metric, aim in AIMS.items():
        values = [fold[metric] for fold in found["trees"]]
        yield {
            "id": NAMES[metric],
            "value": statistics.mean(values),
            "spread": statistics.stdev(values),
            "floor": max(means[name][metric] for name in ("amount", "terminal_fraud_rate")),
            "parity": PARITY[metric],
            "aim": aim,
            "peer": {"name": "XGBoost", "value": means["xgboost"][metric]},
            "detail": {name: each[metric] for name, each in means.items() if name != "trees"},
        }


def history_weeks(fold: Fold) -> range:
    """The days before the training week whose labels may be learned from too."""
    return range(fold.train.start - HISTORY_WEEKS * WEEK, fold.train.start)


def handbook_file(data: Path | None) -> Path:
    """Raises SystemExit where there is none."""
    file = Path(data) / "risk" / "transactions.parquet" if data else None
    if file is None or not file.exists():
        raise SystemExit(
            "this needs --data or SEQUITUR_DATA, a folder with risk/transactions.parquet: the simulated raw data that "
            "the Fraud Detection Handbook publishes, as one file"
        )
    return file


def read_columns(data: Path | None) -> tuple[TransactionColumns, NDArray[np.int64]]:
    """All transactions, each label known after a week, and which are fraud."""
    table = pq.read_table(handbook_file(data))
    seconds = table.column("TX_TIME_SECONDS").to_numpy().astype(np.float64)
    fraud = table.column("TX_FRAUD").to_numpy().astype(np.int64)
    time = seconds + FIRST_MOMENT
    columns = TransactionColumns.of(
        types=["payment"],
        time=time,
        amount=table.column("TX_AMOUNT").to_numpy(),
        customer=table.column("CUSTOMER_ID").to_numpy(),
        counterparty=table.column("TERMINAL_ID").to_numpy(),
        fraud_known_at=np.where(fraud == 1, time + WEEK * DAY, np.inf),
    )
    return columns, fraud


def read_world(data: Path | None, folder: Path) -> World:
    columns, fraud = read_columns(data)
    day = ((columns.time - FIRST_MOMENT) // DAY).astype(np.int64)
    return World(columns, whole_features(columns, folder), day, fraud)


def whole_features(columns: TransactionColumns, folder: Path) -> Table:
    """Features of the whole set, kept for as long as their code stays the same."""
    code = b"".join(Path(str(module.__file__)).read_bytes() for module in (party_log, velocity))
    kept = folder / f"features-{hashlib.sha256(code).hexdigest()[:16]}.npy"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = kept.with_suffix(".partial.npy")
        np.save(unfinished, velocity_features(columns))
        unfinished.replace(kept)
    found: Table = np.load(kept, mmap_mode="r")
    return found


def floor(world: World, fold: Fold, rows: Rows) -> dict[str, NDArray]:
    features = {"amount": "amount", "terminal_fraud_rate": "counterparty_fraud_rate_30d"}
    return {name: world.features[rows, FEATURES.index(feature)] for name, feature in features.items()}


def classifiers() -> dict[str, Any]:
    """The peers that learn from labels; XGBoost with the settings that the published figures name."""
    return {
        "xgboost": xgboost.XGBClassifier(
            n_estimators=100, learning_rate=0.1, max_depth=3, tree_method="exact", base_score=0.5, n_jobs=1
        ),
        "logistic_regression": LogisticRegression(max_iter=1_000),
        "random_forest": RandomForestClassifier(100, max_depth=20, n_jobs=1, random_state=0),
        "feed_forward": MLPClassifier((64, 32), batch_size=256, max_iter=15, random_state=0),
    }


def peer(name: str, world: World, fold: Fold, rows: Rows) -> dict[str, NDArray]:
    """One of them on the handbook's features of the training week."""
    week = np.flatnonzero(within(world.day, fold.train))
    model = make_pipeline(StandardScaler(), classifiers()[name])
    model.fit(world.handbook(week), world.fraud[week])
    return {name: model.predict_proba(world.handbook(rows))[:, 1]}


def isolation_forest(world: World, fold: Fold, rows: Rows) -> dict[str, NDArray]:
    week = np.flatnonzero(within(world.day, fold.train))
    forest = IsolationForest(random_state=0, n_jobs=1).fit(world.handbook(week))
    return {"isolation_forest": -forest.score_samples(world.handbook(rows))}


def week_alone(world: World, fold: Fold, rows: Rows) -> dict[str, NDArray]:
    """Our trees with the labels of the training week alone, fewer of them for fewer frauds."""
    settings = RiskConfig(encoder="none", trees=150, depth=4, leaf_weight=5.0)
    week = np.flatnonzero(within(world.day, fold.train))
    cases = cases_of(world.columns, week, fraud=world.fraud[week], settings=settings, features=world.features)
    columns = telling_columns(cases.features)
    trees = fit_trees(cases.columns(columns), cases.fraud, settings)
    return {"week": tree_logits(trees, np.ascontiguousarray(world.features[rows][:, columns]))}


def all_labels(world: World, fold: Fold, rows: Rows) -> dict[str, NDArray]:
    """Our ensemble with all labels known by the first test day, of which those of the training week choose. The network
    stays out: it did not gain by its cost."""
    settings = RiskConfig(encoder="none", genuine_share=0.3)
    train, validation = (
        cases_of(
            world.columns,
            learned,
            fraud=world.fraud[learned],
            settings=settings,
            genuine_share=share,
            features=world.features,
        )
        for learned, share in (
            (np.flatnonzero(within(world.day, history_weeks(fold))), settings.genuine_share),
            (np.flatnonzero(within(world.day, fold.train)), 1.0),
        )
    )
    ensemble, _, _ = fit_ensemble(
        train, validation, types=world.columns.types, settings=settings, folder=None, progress=lambda _: None
    )
    table = np.ascontiguousarray(world.features[rows][:, [FEATURES.index(name) for name in ensemble.features]])
    return {"trees": ensemble.mix({"trees": tree_logits(ensemble.trees, table)}, table)}


MODELS: dict[str, Model] = {
    "floor": floor,
    "xgboost": partial(peer, "xgboost"),
    "week": week_alone,
    "logistic_regression": partial(peer, "logistic_regression"),
    "isolation_forest": isolation_forest,
    "all_labels": all_labels,
    "feed_forward": partial(peer, "feed_forward"),
    "random_forest": partial(peer, "random_forest"),
}
