"""The anomaly predictor: velocity features in, how unusual the transaction is out, for tenants without labels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from ml.data.item_features import ItemFeatures
from ml.data.velocity import FEATURES
from ml.serving.anomaly_detector import MEMBERS, AnomalyDetector

# A surprise below this (one transaction in 20) is not worth naming.
LEAST_SURPRISE = float(np.log(20.0))
CONTRIBUTIONS = 20


class FeatureSurprise(TypedDict):
    """part is minus the log of the share of transactions whose value was at least as high, above 0."""

    feature: str
    value: float | None
    part: float


class AnomalyPrediction(TypedDict):
    """Of the shape of a risk prediction without a probability: unusual is not the same as fraudulent.

    anomaly and members: the share of the training's transactions that were less unusual, from 0 to 1. contributions:
    the features that surprise, the strongest first. events stays empty.
    """

    probability: None
    anomaly: float
    members: dict[str, float]
    contributions: list[FeatureSurprise]
    events: list[Any]


@dataclass(frozen=True)
class AnomalyPredictor:
    detector: AnomalyDetector
    columns: list[int]
    task: str = "anomaly"

    @classmethod
    def load(cls, path: Path) -> "AnomalyPredictor":
        """Raises FileNotFoundError or ValueError where the folder is no artifact of this task."""
        detector = AnomalyDetector.load(path)
        if gone := [name for name in detector.features if name not in FEATURES]:
            raise ValueError(f"{path} reads features that are no longer computed ({', '.join(gone)}); train it again")
        return cls(detector, [FEATURES.index(name) for name in detector.features])

    @property
    def nbytes(self) -> int:
        return self.detector.nbytes

    def add_items(self, ids: list[str], features: ItemFeatures) -> "AnomalyPredictor":
        """Raises ValueError: this model knows no items."""
        raise ValueError("a model of anomalies holds no items")

    def predict(self, requests: list[Any]) -> list[AnomalyPrediction]:
        """Of risk requests, of which only "features" are read, in the order of FEATURES. Raises ValueError for a list
        of another length."""
        rows = [request["features"] for request in requests]
        if any(len(row) != len(FEATURES) for row in rows):
            raise ValueError(f"features must hold {len(FEATURES)} values, one for each of ml.data.velocity.FEATURES")
        table = np.array(rows, dtype=np.float32).reshape(len(rows), len(FEATURES))[:, self.columns]
        found = self.detector(table)
        return [
            AnomalyPrediction(
                probability=None,
                anomaly=float(anomaly),
                members=dict(zip(MEMBERS, members.tolist(), strict=True)),
                contributions=self._contributions(row, surprises),
                events=[],
            )
            for anomaly, members, row, surprises in zip(
                found.anomaly, found.members, table, found.surprises, strict=True
            )
        ]

    def _contributions(self, row: NDArray[np.float32], surprises: NDArray[np.float32]) -> list[FeatureSurprise]:
        order = np.argsort(-surprises, kind="stable")[:CONTRIBUTIONS]
        return [
            FeatureSurprise(
                feature=self.detector.features[place], value=float(row[place]), part=float(surprises[place])
            )
            for place in order
            if surprises[place] >= LEAST_SURPRISE
        ]
