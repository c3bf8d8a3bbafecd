"""The risk predictor: a transaction's velocity features and both sides' recent events in, a probability out."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from ml.data.item_features import ItemFeatures
from ml.data.party_sequences import SIDES, History, sequences_of_histories
from ml.data.velocity import FEATURES
from ml.explain.tree_parts import TreeParts
from ml.nn.two_sided_shares import Shares, SharingNetwork
from ml.serving.risk_ensemble import RiskEnsemble, Sides, Table
from ml.serving.risk_requests import Contribution, EventShare, RiskPrediction, RiskRequest

CONTRIBUTIONS = 20
MOST_EVENTS = 16
_AMOUNT = FEATURES.index("amount")
_SINCE_LAST = {side: FEATURES.index(f"{side}_seconds_since_last") for side in SIDES}


@dataclass(frozen=True)
class RiskPredictor:
    ensemble: RiskEnsemble
    columns: list[int]
    tree_parts: TreeParts | None
    task: str = "risk"

    @classmethod
    def load(cls, path: Path) -> "RiskPredictor":
        """Raises FileNotFoundError or ValueError where the folder is no artifact of this task."""
        ensemble = RiskEnsemble.load(path)
        if gone := [name for name in ensemble.features if name not in FEATURES]:
            raise ValueError(f"{path} reads features that are no longer computed ({', '.join(gone)}); train it again")
        return cls(ensemble, [FEATURES.index(name) for name in ensemble.features], TreeParts.of(ensemble.trees))

    @cached_property
    def network(self) -> SharingNetwork | None:
        """None also for one without a share in the mixture: it would cost more than all the rest and say nothing."""
        network = self.ensemble.network
        return None if network is None or self.ensemble.weight == 0.0 else SharingNetwork.of(network)

    @property
    def nbytes(self) -> int:
        return self.ensemble.nbytes + (0 if self.tree_parts is None else self.tree_parts.table.nbytes)

    def add_items(self, ids: list[str], features: ItemFeatures) -> "RiskPredictor":
        """Raises ValueError: this model knows transactions by what it is told of them each time."""
        raise ValueError("a risk model holds no items; tell it of a transaction in the request")

    def predict(self, requests: list[RiskRequest]) -> list[RiskPrediction]:
        """Answers in the order of the requests. Raises ValueError that names the field at fault."""
        if not requests:
            return []
        whole = _feature_table(requests)
        table = np.ascontiguousarray(whole[:, self.columns])
        parts = self._tree_parts(table)
        # They sum to the trees' log-odds, so that these need not be asked for by themselves.
        logits, shares = {"trees": parts.sum(axis=1, dtype=np.float64)}, None
        if self.network is not None:
            shares = self.network.shares(table, self._sides(requests, whole))
            logits["network"] = shares.logit.astype(np.float64)
        probability = self.ensemble.calibrator(self.ensemble.mix(logits, table))
        parts = (1.0 - self.ensemble.weight) * parts[:, :-1]
        return [
            RiskPrediction(
                probability=float(probability[row]),
                anomaly=None,
                members={name: float(1.0 / (1.0 + np.exp(-each[row]))) for name, each in logits.items()},
                contributions=self._contributions(table[row], parts[row]),
                events=self._events(row, requests[row], shares),
            )
            for row in range(len(requests))
        ]

    def _sides(self, requests: list[RiskRequest], whole: Table) -> Sides:
        types = {name: code for code, name in enumerate(self.ensemble.types, start=1)}
        limit = self.ensemble.shape["max_length"]
        found = {}
        for side in SIDES:
            histories: Sequence[History] = [request[side] for request in requests]  # type: ignore[literal-required]
            newest = np.array([max(history["times"], default=0.0) for history in histories])
            now = newest + np.nan_to_num(whole[:, _SINCE_LAST[side]])
            found[side] = sequences_of_histories(histories, now=now, amount=whole[:, _AMOUNT], types=types, limit=limit)
        return found

    def _tree_parts(self, table: Table) -> NDArray[Any]:
        """What each feature adds to the trees' log-odds, and last what they start from: TreeSHAP (Lundberg et al.,
        2020), (rows, F + 1)."""
        if self.tree_parts is not None:
            return self.tree_parts(table)
        data = xgboost.DMatrix(table, nthread=1)
        parts: NDArray[np.float32] = self.ensemble.trees.predict(data, pred_contribs=True, validate_features=False)
        return parts

    def _contributions(self, values: Table, parts: NDArray[Any]) -> list[Contribution]:
        strongest = np.argsort(-np.abs(parts), kind="stable")[:CONTRIBUTIONS]
        return [
            Contribution(
                feature=self.ensemble.features[column],
                value=None if np.isnan(values[column]) else float(values[column]),
                part=float(parts[column]),
            )
            for column in strongest
            if parts[column]
        ]

    def _events(self, row: int, request: RiskRequest, shares: Shares | None) -> list[EventShare]:
        if shares is None:
            return []
        found: list[tuple[float, str, int, float]] = []
        for side in SIDES:
            given = len(request[side]["times"])  # type: ignore[literal-required]
            read = min(given, self.ensemble.shape["max_length"])
            part = (self.ensemble.weight * shares.part[side][row, :read]).tolist()
            attention = shares.attention[side][row, :read].tolist()
            found += zip(part, [side] * read, range(given - read, given), attention, strict=True)
        strongest = sorted(found, key=lambda event: -abs(event[0]))[:MOST_EVENTS]
        return [
            EventShare(side=side, index=index, part=part, attention=attention)
            for part, side, index, attention in strongest
        ]


def _feature_table(requests: list[RiskRequest]) -> Table:
    for request in requests:
        if len(request["features"]) != len(FEATURES):
            raise ValueError(f"features has {len(request['features'])} values where {len(FEATURES)} are defined")
    return np.array([request["features"] for request in requests], dtype=np.float32)
