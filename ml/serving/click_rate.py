"""The predictor of click and conversion rates: candidates for one place in, the chance of each out.

Its artifact: model.safetensors (weights), vocabulary.json (values of the fields in code order), config.json (format,
task, names, network arguments, mixture, calibrator), report.json; affinity.safetensors where histories count beside the
network.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ml.data.impressions import Impressions
from ml.data.item_features import ItemFeatures
from ml.evaluation.calibration import Calibrator, calibrator_from_dict
from ml.evaluation.stacking import Stack
from ml.nn.click_network import ClickBatch, ClickNetwork
from ml.nn.device import device_of
from ml.serving.affinity import SIGNALS, Affinity
from ml.serving.artifact import write_json
from ml.serving.requests import ClickRatePrediction, ClickRateRequest

TASKS = ("click_rate", "conversion_rate")
FORMAT = 1
AFFINITY = "affinity.safetensors"
NETWORK_ALONE = Stack({"network": 1.0})
ROWS_AT_ONCE = 8_192
# Keeps log-odds finite where all members are certain.
LEAST_CHANCE = 1e-7

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class ClickRatePredictor:
    """values: of each field, in code order from 1; `shape` holds the network's arguments, `stack` mixes log-odds of its
    members' mean with the signals of `affinity`, `calibrator` maps the mixture to probabilities, and history is cut to
    the newest `history_length`."""

    model: ClickNetwork
    names: list[str]
    values: list[list[str]]
    number_names: list[str]
    target: str
    history_length: int
    shape: dict[str, Any]
    calibrator: Calibrator
    task: str
    stack: Stack = NETWORK_ALONE
    affinity: Affinity | None = None

    @classmethod
    def load(cls, path: Path) -> "ClickRatePredictor":
        """Raises FileNotFoundError or ValueError where the folder is no artifact of this task."""
        from safetensors.numpy import load_file as load_arrays
        from safetensors.torch import load_file

        path = Path(path)
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        if config["task"] not in TASKS or config["format"] != FORMAT:
            raise ValueError(f"{path} holds task {config['task']}, format {config['format']}, and no model of rates")
        values = json.loads((path / "vocabulary.json").read_text(encoding="utf-8"))
        model = network_of(config["names"], values, config["number_names"], config["target"], config["shape"])
        model.load_state_dict(load_file(path / "model.safetensors"))
        # Artifacts that were made before there were mixtures name none.
        stack = Stack(**config["stack"]) if "stack" in config else NETWORK_ALONE
        needs_affinity = stack.weights.keys() & set(SIGNALS)
        return cls(
            model=model.eval(),
            values=values,
            stack=stack,
            affinity=Affinity(load_arrays(path / AFFINITY)["vectors"]) if needs_affinity else None,
            calibrator=calibrator_from_dict(config["calibrator"]),
            **{name: config[name] for name in ("names", "number_names", "target", "history_length", "shape", "task")},
        )

    def save(self, path: Path, settings: dict[str, Any]) -> None:
        from safetensors.numpy import save_file as save_arrays
        from safetensors.torch import save_file

        path = Path(path)
        partial = path / "model.safetensors.partial"
        save_file({name: weight.contiguous() for name, weight in self.model.state_dict().items()}, partial)
        partial.replace(path / "model.safetensors")
        if self.affinity:
            save_arrays({"vectors": self.affinity.vectors}, path / AFFINITY)
        write_json(path / "vocabulary.json", self.values)
        kept = {
            name: getattr(self, name) for name in ("names", "number_names", "target", "history_length", "shape", "task")
        }
        mixing = {"stack": self.stack.to_dict(), "calibrator": self.calibrator.to_dict()}
        about = {"format": FORMAT, **kept, **mixing, "settings": settings}
        write_json(path / "config.json", about)

    @property
    def nbytes(self) -> int:
        vectors = self.affinity.vectors.nbytes if self.affinity else 0
        return vectors + sum(each.numel() * each.element_size() for each in self.model.state_dict().values())

    def add_items(self, ids: list[str], features: ItemFeatures) -> "ClickRatePredictor":
        """Raises ValueError: what this model does not know has code 0 of its field, and is answered all the same."""
        raise ValueError("a click-rate model holds no items; values that it does not know count as unknown")

    def predict(self, requests: list[ClickRateRequest]) -> list[ClickRatePrediction]:
        """Answers in the order of the requests, all in one batch. Fields and numbers that the model does not know are
        passed over, and those that are missing count as unknown. Raises ValueError for columns of unequal length."""
        batches = [self._encoded(request) for request in requests]
        fields, numbers, history = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        chances = self._chances(fields, numbers, history)
        ends = np.cumsum([len(batch[0]) for batch in batches])
        return [ClickRatePrediction(probabilities=part.tolist()) for part in np.split(chances, ends[:-1])]

    def probabilities(self, impressions: Impressions) -> Doubles:
        """Of each impression of a log, whose values may be others than those of the training, (n,)."""
        log = impressions.recoded(self.names, self.values, self.number_names, self.target)
        history = log.history[:, -self.history_length :] if self.history_length else log.history[:, :0]
        return self._chances(log.fields, log.numbers, history)

    def _chances(self, fields: NDArray[np.int32], numbers: NDArray[np.float32], history: NDArray[np.int32]) -> Doubles:
        signals = {"network": log_odds(self.model, fields, numbers, history)}
        if self.affinity:
            signals |= self.affinity.signals(history, fields[:, self.names.index(self.target)])
        return self.calibrator(self.stack(signals))

    @cached_property
    def _codes(self) -> dict[str, dict[str, int]]:
        return {
            name: {value: code for code, value in enumerate(values, start=1)}
            for name, values in zip(self.names, self.values, strict=True)
        }

    def _encoded(self, request: ClickRateRequest) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int32]]:
        columns = request["candidates"]
        numbers = request.get("numbers") or {}
        lengths = {len(column) for column in columns.values()} | {len(column) for column in numbers.values()}
        if len(lengths) != 1:
            raise ValueError("candidates and numbers must hold at least one column, and all of one length")
        count, context = lengths.pop(), request.get("context") or {}
        fields = np.zeros((count, len(self.names)), dtype=np.int32)
        for place, name in enumerate(self.names):
            known = self._codes[name]
            if name in columns:
                fields[:, place] = [known.get(value, 0) for value in columns[name]]
            elif name in context:
                fields[:, place] = known.get(context[name], 0)
        table = np.full((count, len(self.number_names)), np.nan, dtype=np.float32)
        for place, name in enumerate(self.number_names):
            if name in numbers:
                table[:, place] = np.array(numbers[name], dtype=np.float32)
        known, past = self._codes[self.target], request.get("history") or []
        codes = [known.get(item, 0) for item in past[-self.history_length :]] if self.history_length else []
        history = np.zeros((count, self.history_length), dtype=np.int32)
        history[:, : len(codes)] = codes
        return fields, table, history


def network_of(
    names: list[str], values: list[list[str]], number_names: list[str], target: str, shape: dict[str, Any]
) -> ClickNetwork:
    return ClickNetwork([len(each) + 1 for each in values], len(number_names), names.index(target), **shape)


@torch.inference_mode()
def log_odds(
    model: ClickNetwork, fields: NDArray[np.int32], numbers: NDArray[np.float32], history: NDArray[np.int32]
) -> Doubles:
    """Log-odds of the members' mean chance of a click, (n,); the model must be in evaluation mode."""
    device = device_of(model)
    chances = [
        model.probability(ClickBatch.of(fields[rows], numbers[rows], history[rows]).to(device)).cpu().numpy()
        for rows in (slice(begin, begin + ROWS_AT_ONCE) for begin in range(0, len(fields), ROWS_AT_ONCE))
    ]
    chance = np.concatenate(chances).astype(np.float64) if chances else np.zeros(0)
    chance = np.clip(chance, LEAST_CHANCE, 1 - LEAST_CHANCE)
    return np.asarray(np.log(chance) - np.log1p(-chance))
