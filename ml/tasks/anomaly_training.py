"""Training the detectors of anomalies, and how well they do without labels to be judged by."""

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from ml.data.tails import Tails
from ml.data.transactions import COLUMNS as COLUMN_NAMES
from ml.data.transactions import TransactionColumns
from ml.data.velocity import FEATURES, velocity_features
from ml.nn.masked_features import MaskedFeatures
from ml.serving.anomaly_detector import AnomalyDetector, Floats, member_scores
from ml.serving.isolation_forest import IsolationTrees
from ml.tasks.anomaly_config import AnomalyConfig
from ml.training.progress import Progress, Report

# Features of which a high value is unusual, in groups that measure the same. Known frauds are 0 until the first label
# is there, and speak from then on.
GROUPS = (
    ("amount", "amount_to_customer_mean_30d", "amount_to_customer_median", "amount_z_customer_30d"),
    (
        "customer_count_1h",
        "customer_count_1d",
        "customer_large_7d",
        "customer_large_14d",
        "counterparty_count_1h",
        "counterparty_count_1d",
        "device_count_1h",
        "card_count_1h",
    ),
    ("device_customers_7d", "device_customers_30d"),
    (
        "counterparty_known_frauds_28d",
        "counterparty_fraud_rate_1d",
        "counterparty_fraud_rate_7d",
        "counterparty_fraud_rate_30d",
    ),
    ("device_known_frauds_28d", "device_fraud_rate_30d"),
)
READ = tuple(name for group in GROUPS for name in group)
COLUMNS = [FEATURES.index(name) for name in READ]
# Below it, a feature that hardly ever differs would drown the others.
LEAST_SCALE = 0.1
# What a planted amount is multiplied by, and at most so many are planted.
PLANTED_FACTOR = 3.0
PLANTED = 1_000

Rows = NDArray[np.int64]


def fit_detector(table: Floats, settings: AnomalyConfig, progress: Report) -> AnomalyDetector:
    """A detector fitted on rows of features (cases, READ), of which nearly all should be ordinary."""
    tails = Tails.of(table)
    surprises = tails(table)
    forest = IsolationForest(
        n_estimators=settings.trees, max_samples=min(settings.tree_rows, len(table)), random_state=settings.seed
    )
    trees = IsolationTrees.of(forest.fit(surprises))
    scale = np.maximum(surprises.std(axis=0), LEAST_SCALE).astype(np.float32)
    groups = [number for number, group in enumerate(GROUPS) for _ in group]
    network = _fit_network(torch.from_numpy(surprises / scale), groups, settings, progress)
    scores = member_scores(surprises, trees, network, scale)
    members = Tails.of(scores)
    combined = Tails.of(members(scores).sum(axis=1, keepdims=True))
    return AnomalyDetector(list(READ), groups, tails, trees, network, scale, members, combined)


def _fit_network(rows: torch.Tensor, groups: list[int], settings: AnomalyConfig, progress: Report) -> MaskedFeatures:
    network = MaskedFeatures(groups, settings.hidden)
    optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    for epoch in range(1, settings.epochs + 1):
        total = 0.0
        for batch in torch.randperm(len(rows)).split(settings.batch_size):
            optimiser.zero_grad()
            loss = network.loss(rows[batch])
            loss.backward()
            optimiser.step()
            total += loss.item() * len(batch)
        progress(Progress("training", epoch, settings.epochs, metrics={"loss": total / len(rows)}))
    return network.eval()


def planted_cases(transactions: TransactionColumns, rows: Rows, seed: int) -> tuple[Floats, NDArray[np.int64]]:
    """Some transactions as they are, and once more with PLANTED_FACTOR times the amount: features (cases, READ), and
    which are planted, 1 or 0.

    They are chosen from different customers, so that no altered one lies in the history of another at that party, and
    without their labels: what is asked is whether the behaviour stands out.
    """
    shuffled = np.random.default_rng(seed).permutation(rows)
    _, first = np.unique(np.asarray(transactions.customer)[shuffled], return_index=True)
    chosen = shuffled[np.sort(first)[:PLANTED]]
    columns = {name: np.asarray(getattr(transactions, name)) for name in COLUMN_NAMES}
    columns["fraud_known_at"] = columns["cleared_at"] = np.full(len(transactions), np.inf)
    genuine = TransactionColumns.of(types=transactions.types, **columns)
    columns["amount"] = np.where(np.isin(np.arange(len(transactions)), chosen), PLANTED_FACTOR, 1.0) * columns["amount"]
    altered = TransactionColumns.of(types=transactions.types, **columns)
    features = [velocity_features(log, chosen)[:, COLUMNS] for log in (genuine, altered)]
    return np.concatenate(features), np.repeat([0, 1], len(chosen))
