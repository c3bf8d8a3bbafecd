"""The cross-encoder predictor: a question beside the best passages of a search in; their new order out.

Its artifact: model/ (weights and tokens), config.json (format, task, what is read, how places count, calibration,
settings), report.json.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.data.item_features import ItemFeatures
from ml.evaluation.calibration import Calibrator, calibrator_from_dict
from ml.nn.cross_encoder import CrossEncoder
from ml.serving.artifact import write_json
from ml.serving.cross_encoder_requests import CrossEncoderPrediction, CrossEncoderRequest

CROSS_ENCODER_FORMAT = 1
MODEL_FOLDER = "model"

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Reading:
    """How passages are read and weighed: the first `passages` of a search, of each pair `tokens` tokens; the model's
    logit over `spread`, less `place_weight` times log(1 + place), the first place being 0."""

    passages: int
    tokens: int
    spread: float = 1.0
    place_weight: float = 0.0

    def scores(self, logits: Doubles, places: Doubles) -> Doubles:
        """(passages,) of the model's logits, and the places that the search gave."""
        return logits / self.spread - self.place_weight * np.log1p(places)


@dataclass(frozen=True)
class CrossEncoderPredictor:
    model: CrossEncoder
    reading: Reading
    calibrator: Calibrator
    task: str = "cross_encoder"

    @classmethod
    def load(cls, path: Path) -> "CrossEncoderPredictor":
        """Raises FileNotFoundError or ValueError where the folder is no artifact of this task."""
        config = json.loads((Path(path) / "config.json").read_text(encoding="utf-8"))
        if config["task"] != "cross_encoder" or config["format"] != CROSS_ENCODER_FORMAT:
            raise ValueError(f"{path} holds task {config['task']}, format {config['format']}, and no cross-encoder")
        model = CrossEncoder.load(str(Path(path) / MODEL_FOLDER)).answering()
        return cls(model, Reading(**config["reading"]), calibrator_from_dict(config["calibrator"]))

    def save(self, path: Path, settings: dict[str, Any]) -> None:
        """Write all but the report."""
        if not (path / MODEL_FOLDER).exists():
            self.model.save(path / MODEL_FOLDER)
        config = {
            "format": CROSS_ENCODER_FORMAT,
            "task": self.task,
            "reading": vars(self.reading),
            "calibrator": self.calibrator.to_dict(),
            "settings": settings,
        }
        write_json(path / "config.json", config)

    @property
    def nbytes(self) -> int:
        return self.model.nbytes

    def add_items(self, ids: list[str], features: ItemFeatures) -> "CrossEncoderPredictor":
        """Raises ValueError: this model knows no items."""
        raise ValueError("a cross-encoder holds no items")

    def predict(self, requests: list[CrossEncoderRequest]) -> list[CrossEncoderPrediction]:
        """Answers in the order of the requests."""
        read = self.reading.passages
        asked = [text for request in requests for text in request["asked"][:read]]
        passages = [text for request in requests for text in request["passages"][:read]]
        logits = self.model.scores(asked, passages, tokens_read=self.reading.tokens)
        ends = np.cumsum([len(request["passages"][:read]) for request in requests])
        return [self._answer(part) for part in np.split(logits, ends)[: len(requests)]]

    def _answer(self, logits: Doubles) -> CrossEncoderPrediction:
        scores = self.reading.scores(logits, np.arange(len(logits), dtype=np.float64))
        return CrossEncoderPrediction(scores=scores.tolist(), probabilities=self.calibrator(scores).tolist())
