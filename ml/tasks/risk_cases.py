"""What the risk ensemble learns from: transactions as they were known then, with what is known of them now."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.data.party_sequences import sequences_of_log
from ml.data.transactions import TransactionColumns
from ml.data.velocity import FEATURES, velocity_features
from ml.nn.two_sided import RiskBatch
from ml.serving.risk_ensemble import Sides, Table
from ml.tasks.risk_config import MODEL_FEATURES, RiskConfig


@dataclass(frozen=True)
class RiskCases:
    """Transactions with what was known of them then, features (n, F), and what is known now, fraud (n,) of 0 and 1.

    weight (n,) is how many transactions each stands for. sides are None where no network asks for them.
    """

    features: Table
    sides: Sides | None
    fraud: NDArray[np.int64]
    weight: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.fraud)

    def columns(self, chosen: list[int]) -> "RiskCases":
        return RiskCases(np.ascontiguousarray(self.features[:, chosen]), self.sides, self.fraud, self.weight)

    def rows(self, chosen: NDArray[np.bool_]) -> "RiskCases":
        """Some of the cases, without sequences."""
        return RiskCases(self.features[chosen], None, self.fraud[chosen], self.weight[chosen])

    def followed_by(self, newer: "RiskCases") -> "RiskCases":
        """Both together, without sequences."""
        return RiskCases(
            np.concatenate([self.features, newer.features]),
            None,
            np.concatenate([self.fraud, newer.fraud]),
            np.concatenate([self.weight, newer.weight]),
        )

    def batch(self, rows: NDArray[np.int64]) -> RiskBatch:
        assert self.sides is not None
        return RiskBatch.of(self.features[rows], {side: each.rows(rows) for side, each in self.sides.items()})


def cases_of(
    transactions: TransactionColumns,
    at: NDArray[np.int64],
    *,
    fraud: NDArray[np.int64],
    settings: RiskConfig,
    genuine_share: float = 1.0,
    features: Table | None = None,
) -> RiskCases:
    """The transactions `at`, whose outcomes are fraud (len(at),), with all frauds and a share of the genuine ones.

    `features` are those of the whole log, where they are at hand.
    """
    kept = (fraud == 1) | (np.random.default_rng(settings.seed).random(len(at)) < genuine_share)
    rows, outcome = at[kept], fraud[kept]
    table = velocity_features(transactions, rows) if features is None else features[rows]
    sides = None if settings.encoder == "none" else sequences_of_log(transactions, rows, limit=settings.max_length)
    weight = np.where(outcome == 1, 1.0, 1.0 / genuine_share).astype(np.float32)
    return RiskCases(table, sides, outcome, weight)


def telling_columns(features: Table) -> list[int]:
    """The columns of MODEL_FEATURES that hold at least two different values."""
    columns = [FEATURES.index(name) for name in MODEL_FEATURES]
    low, high = np.fmin.reduce(features[:, columns], axis=0), np.fmax.reduce(features[:, columns], axis=0)
    return [column for column, tells in zip(columns, low < high, strict=True) if tells]
