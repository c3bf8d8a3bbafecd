"""The search-ranking predictor: features of a list's items in, scores out, each with its parts.

Its artifact: model.safetensors (weights), config.json (format, task, names of the features, settings), report.json.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ml.data.item_features import ItemFeatures
from ml.nn.additive_ranker import AdditiveRanker
from ml.serving.requests import RankingPrediction, RankingRequest

RANKING_FORMAT = 1
# Rows scored at once, so that a whole log does not need memory for all of its hidden units together.
ROWS_AT_ONCE = 65_536

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class SearchRankingPredictor:
    model: AdditiveRanker
    names: list[str]
    task: str = "search_ranking"

    @classmethod
    def load(cls, path: Path) -> "SearchRankingPredictor":
        """Raises FileNotFoundError or ValueError where the folder is no artifact of this task."""
        from safetensors.torch import load_file

        config = json.loads((Path(path) / "config.json").read_text(encoding="utf-8"))
        if config["task"] != "search_ranking" or config["format"] != RANKING_FORMAT:
            raise ValueError(f"{path} holds task {config['task']}, format {config['format']}, and no such ranker")
        model = AdditiveRanker(len(config["features"]), config["hidden"])
        model.load_state_dict(load_file(Path(path) / "model.safetensors"))
        return cls(model.eval(), config["features"])

    @property
    def nbytes(self) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in self.model.state_dict().values())

    def add_items(self, ids: list[str], features: ItemFeatures) -> "SearchRankingPredictor":
        """Raises ValueError: this model knows items by what it is told of them each time."""
        raise ValueError("a search-ranking model holds no items; tell it of new ones in the request")

    def predict(self, requests: list[RankingRequest]) -> list[RankingPrediction]:
        """Answers in the order of the requests. Features that the model does not know are passed over, and those that
        are missing say nothing. Raises ValueError for columns of unequal length."""
        tables = [self._table(request) for request in requests]
        with torch.inference_mode():
            parts = self.model.parts(torch.from_numpy(np.concatenate(tables))).numpy()
        ends = np.cumsum([len(table) for table in tables])
        return [self._answer(part) for part in np.split(parts, ends[:-1])]

    def score(self, features: Floats, names: Sequence[str]) -> Floats:
        """Scores of rows whose features (rows, F) are in the order of `names`."""
        found = [names.index(name) if name in names else -1 for name in self.names]
        with_missing = np.concatenate([features, np.full((len(features), 1), np.nan, dtype=np.float32)], axis=1)
        return score_rows(self.model, with_missing[:, found])

    def _table(self, request: RankingRequest) -> Floats:
        columns = request["features"]
        lengths = {len(column) for column in columns.values()}
        if len(lengths) != 1:
            raise ValueError("features must hold at least one column, and all of one length")
        table = np.full((lengths.pop(), len(self.names)), np.nan, dtype=np.float32)
        for place, name in enumerate(self.names):
            if name in columns:
                table[:, place] = np.array(columns[name], dtype=np.float32)
        return table

    def _answer(self, parts: Floats) -> RankingPrediction:
        columns = {name: parts[:, place].tolist() for place, name in enumerate(self.names)}
        return RankingPrediction(scores=parts.sum(axis=1).tolist(), parts=columns)


@torch.inference_mode()
def score_rows(model: AdditiveRanker, features: Floats) -> Floats:
    """Scores of all rows (rows, F), without any position."""
    scores = [
        model(torch.from_numpy(np.array(features[begin : begin + ROWS_AT_ONCE]))).numpy()
        for begin in range(0, len(features), ROWS_AT_ONCE)
    ]
    return np.concatenate(scores) if scores else np.zeros(0, dtype=np.float32)
