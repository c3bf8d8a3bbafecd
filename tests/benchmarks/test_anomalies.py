"""The benchmark of anomalies: what its rows are made of."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml.benchmark.datasets import MissingData
from ml.data.velocity import FEATURES, velocity_features
from ml.simulation.transactions import TransactionWorld, simulate_transactions
from ml.tasks.anomaly_training import COLUMNS
from tests.benchmarks import anomalies


def test_the_row_without_labels_is_what_a_log_without_labels_gives() -> None:
    columns = simulate_transactions(TransactionWorld(customers=60, days=30)).columns
    never = np.full(len(columns), np.inf)
    blind = velocity_features(replace(columns, fraud_known_at=never, cleared_at=never))[:, COLUMNS]
    seeing = velocity_features(columns)[:, COLUMNS]
    assert not np.array_equal(seeing, blind, equal_nan=True)
    assert np.array_equal(anomalies.without_labels(seeing), blind, equal_nan=True)


def test_the_file_is_read_with_labels_that_come_a_week_late(tmp_path: Path) -> None:
    (tmp_path / "risk").mkdir()
    columns = {
        "TX_TIME_SECONDS": [100, 86_500],
        "TX_TIME_DAYS": [0, 1],
        "CUSTOMER_ID": [7, 8],
        "TERMINAL_ID": [1, 1],
        "TX_AMOUNT": [10.0, 20.0],
        "TX_FRAUD": [0, 1],
    }
    pq.write_table(pa.table(columns), tmp_path / "risk" / "transactions.parquet")
    transactions, day, customer, fraud = anomalies.read(tmp_path)
    assert (day.tolist(), customer.tolist(), fraud.tolist()) == ([0, 1], [7, 8], [0, 1])
    assert transactions.fraud_known_at[1] - transactions.time[1] == 7 * 86_400
    # The 1st of April 2018 was a Sunday.
    features = anomalies.features_of(transactions, np.array([0, 1]))
    assert features[:, anomalies.WANTED.index("is_weekend")].tolist() == [1.0, 0.0]
    assert set(anomalies.WANTED) <= set(FEATURES)


def test_without_the_file_it_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match="Fraud Detection Handbook"):
        anomalies.read(tmp_path)
