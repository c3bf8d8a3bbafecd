"""Frauds found without learning from a label, on the Fraud Detection Handbook's transactions with its folds.

The detector and the peer learn what is usual from the training week. Features that count frauds use labels that were
known by then, a week late, as the handbook's do; the row `no_labels` has none at all. Settings were chosen on the first
two validation folds.
"""

import statistics
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from ml.benchmark.datasets import MissingData
from ml.data.party_log import DAY
from ml.data.transactions import TransactionColumns
from ml.data.velocity import FEATURES, velocity_features
from ml.evaluation.fraud import Fold, fraud_metrics, unknown_rows, within
from ml.tasks.anomaly_config import AnomalyConfig
from ml.tasks.anomaly_training import READ, fit_detector
from ml.training.environment import seeded
from tests.benchmarks.fraud import FIRST_DAY, HANDBOOK_FEATURES, TEST_FOLDS
from tests.benchmarks.records import Record

FILE = Path("risk") / "transactions.parquet"
BEGINS = datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, tzinfo=UTC).timestamp()
FOLDS = tuple(Fold((start - FIRST_DAY).days) for start in TEST_FOLDS)
LABEL_DELAY_DAYS = 7
ROWS_AT_ONCE = 100_000
# The best published without labels to learn from (chapter 7, on one validation split): the autoencoder.
PUBLISHED = {"auc": 0.836, "average_precision": 0.180, "card_precision_100": 0.217}
PUBLISHED_FOREST = {"auc": 0.808, "average_precision": 0.164, "card_precision_100": 0.190}
IDS = {"auc": "auc", "average_precision": "ap", "card_precision_100": "cp100"}
WANTED = tuple(dict.fromkeys((*READ, *HANDBOOK_FEATURES)))

Table = NDArray[np.float32]


def measure(*, data: Path | None, full: bool) -> Iterator[Record]:
    transactions, day, customer, fraud = read(data)
    rows = np.flatnonzero(
        np.isin(day, [number for fold in FOLDS for part in (fold.train, fold.test) for number in part])
    )
    table = features_of(transactions, rows)
    found: dict[str, list[dict[str, float]]] = {}
    for fold in FOLDS:
        train = np.flatnonzero(within(day[rows], fold.train))
        test_rows = unknown_rows(fold, day, customer, fraud)
        test = np.searchsorted(rows, test_rows)
        for name, scores in scores_of(table[train], table[test]).items():
            metrics = fraud_metrics(scores, fraud[test_rows], customer[test_rows], day[test_rows])
            found.setdefault(name, []).append(metrics)
    yield from (record(metric, found) for metric in IDS)


def scores_of(train: Table, test: Table) -> dict[str, NDArray]:
    """What each way makes of the test's rows, having seen those of the training."""
    settings = AnomalyConfig()
    ours_train, ours_test = columns_of(train, READ), columns_of(test, READ)
    with seeded(settings.seed, 1):
        ours = fit_detector(ours_train, settings, lambda progress: None)(ours_test)
    blind_train, blind_test = without_labels(ours_train), without_labels(ours_test)
    with seeded(settings.seed, 1):
        blind = fit_detector(blind_train, settings, lambda progress: None)(blind_test).ranks
    members = {name: ours.members[:, place] for place, name in enumerate(("tails", "forest", "network"))}
    return {
        "model": ours.ranks,
        **members,
        "no_labels": blind,
        "isolation_forest": handbook_forest(columns_of(train, HANDBOOK_FEATURES), columns_of(test, HANDBOOK_FEATURES)),
        "amount": ours_test[:, READ.index("amount")],
    }


def handbook_forest(train: Table, test: Table) -> NDArray:
    """scikit-learn's forest on the handbook's 15 features, standardised on the training week."""
    mean, spread = train.mean(axis=0), train.std(axis=0)
    forest = IsolationForest(n_estimators=100, random_state=0).fit((train - mean) / spread)
    scores: NDArray = -forest.score_samples((test - mean) / spread)
    return scores


def columns_of(table: Table, names: tuple[str, ...]) -> Table:
    return table[:, [WANTED.index(name) for name in names]]


def without_labels(table: Table) -> Table:
    """What these features would be if no fraud were known."""
    known = ["fraud" in name for name in READ]
    return np.where(known, np.where(np.isnan(table), np.nan, 0.0), table).astype(np.float32)


def record(metric: str, found: dict[str, list[dict[str, float]]]) -> Record:
    def mean(name: str) -> float:
        return statistics.mean(fold[metric] for fold in found[name])

    others = ("tails", "forest", "network", "no_labels")
    return {
        "id": f"risk.unsupervised.{IDS[metric]}",
        "value": mean("model"),
        "spread": statistics.stdev(fold[metric] for fold in found["model"]),
        "floor": mean("amount"),
        "parity": PUBLISHED[metric],
        "aim": f">= {PUBLISHED[metric]}",
        "peer": {"name": "isolation forest on the handbook's features", "value": mean("isolation_forest")},
        "detail": {**{name: mean(name) for name in others}, "published_forest": PUBLISHED_FOREST[metric]},
    }


def features_of(transactions: TransactionColumns, rows: NDArray[np.int64]) -> Table:
    """The features WANTED of these rows, a part at a time, since all of them would take gigabytes."""
    columns = [FEATURES.index(name) for name in WANTED]
    parts = [rows[begin : begin + ROWS_AT_ONCE] for begin in range(0, len(rows), ROWS_AT_ONCE)]
    return np.concatenate([velocity_features(transactions, part)[:, columns] for part in parts])


def read(data: Path | None) -> tuple[TransactionColumns, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The transactions, with the day, the customer and the fraud of each. Raises MissingData."""
    if data is None or not (data / FILE).exists():
        raise MissingData(f"{FILE} is missing: the simulated raw data of the Fraud Detection Handbook; give --data")
    table = pq.read_table(data / FILE)
    time = BEGINS + table["TX_TIME_SECONDS"].to_numpy().astype(np.float64)
    fraud = table["TX_FRAUD"].to_numpy().astype(np.int64)
    customer = table["CUSTOMER_ID"].to_numpy().astype(np.int64)
    transactions = TransactionColumns.of(
        types=["payment"],
        time=time,
        amount=table["TX_AMOUNT"].to_numpy(),
        customer=customer,
        counterparty=table["TERMINAL_ID"].to_numpy(),
        fraud_known_at=np.where(fraud == 1, time + LABEL_DELAY_DAYS * DAY, np.inf),
    )
    return transactions, table["TX_TIME_DAYS"].to_numpy().astype(np.int64), customer, fraud
