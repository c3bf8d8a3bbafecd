"""The risk predictor: a transaction's velocity features and both sides' recent events in, a probability out."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from ml.data.item_features import ItemFeatures
from ml.data.party_sequences import SIDES, History, SideSequences, sequences_of_histories
from ml.data.velocity import FEATURES
from ml.explain.tree_parts import TreeParts
from ml.nn.two_sided_shares import Shares, SharingNetwork
from ml.serving.risk_ensemble import RiskEnsemble, Table
from ml.serving.risk_requests import Contribution, EventShare, RiskPrediction, RiskRequest

CONTRIBUTIONS = 20
MOST_EVENTS = 16
# Of what is told of events, which every decision keeps.
DIGITS = 7
_AMOUNT = FEATURES.index("amount")
_SINCE_LAST = [FEATURES.index(f"{side}_seconds_since_last") for side in SIDES]


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

    @cached_property
    def types(self) -> dict[str, int]:
        """The code of each type of transactions, from 1."""
        return {name: code for code, name in enumerate(self.ensemble.types, start=1)}

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
            shares = self.network.shares(table, self._sequences(requests, whole))
            logits["network"] = shares.logit.astype(np.float64)
        probability = self.ensemble.calibrator(self.ensemble.mix(logits, table))
        members = {name: (1.0 / (1.0 + np.exp(-each))).tolist() for name, each in logits.items()}
        parts = (1.0 - self.ensemble.weight) * parts[:, :-1]
        return [
            RiskPrediction(
                probability=float(probability[row]),
                anomaly=None,
                members={name: member[row] for name, member in members.items()},
                contributions=self._contributions(table[row], parts[row]),
                events=self._events(row, requests[row], shares),
            )
            for row in range(len(requests))
        ]

    def _sequences(self, requests: list[RiskRequest], whole: Table) -> SideSequences:
        """Of all customers and then of all counterparties."""
        histories: list[History] = [request[side] for side in SIDES for request in requests]  # type: ignore[literal-required]
        newest = np.array([max(history["times"], default=0.0) for history in histories])
        since_last = whole[:, _SINCE_LAST].T.ravel()
        return sequences_of_histories(
            histories,
            now=newest + np.where(np.isnan(since_last), 0.0, since_last),
            amount=np.concatenate([whole[:, _AMOUNT]] * len(SIDES)),
            types=self.types,
            limit=self.ensemble.shape["max_length"],
        )

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
        told = zip(strongest.tolist(), values[strongest].tolist(), parts[strongest].tolist(), strict=True)
        return [
            Contribution(feature=self.ensemble.features[column], value=None if value != value else value, part=part)
            for column, value, part in told
            if part
        ]

    def _events(self, row: int, request: RiskRequest, shares: Shares | None) -> list[EventShare]:
        if shares is None:
            return []
        most = self.ensemble.shape["max_length"]
        read: list[tuple[str, int]] = []
        added, attended = [], []
        for number, side in enumerate(SIDES):
            given = len(request[side]["times"])  # type: ignore[literal-required]
            kept = min(given, most)
            read += [(side, index) for index in range(given - kept, given)]
            added.append(shares.part[number, row, :kept])
            attended.append(shares.attention[number, row, :kept])
        parts = np.float32(self.ensemble.weight) * np.concatenate(added)
        strongest = np.argsort(-np.abs(parts), kind="stable")[:MOST_EVENTS]
        told = np.array((parts[strongest], np.concatenate(attended)[strongest]), dtype=np.float64).round(DIGITS).T
        return [
            EventShare(side=side, index=index, time=request[side]["times"][index], part=part, attention=attention)  # type: ignore[literal-required]
            for (side, index), (part, attention) in zip(
                [read[place] for place in strongest.tolist()], told.tolist(), strict=True
            )
        ]


def _feature_table(requests: list[RiskRequest]) -> Table:
    for request in requests:
        if len(request["features"]) != len(FEATURES):
            raise ValueError(f"features has {len(request['features'])} values where {len(FEATURES)} are defined")
    return np.array([request["features"] for request in requests], dtype=np.float32)
