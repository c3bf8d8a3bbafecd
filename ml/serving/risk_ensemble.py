"""Gradient-boosted trees beside a network that reads both sides' events, mixed and calibrated.

Its artifact: trees.json (XGBoost's own format), network.safetensors where there is a network, config.json (format,
task, names of features and types, shape of the network, its weight, the onset's rate, the calibrator), report.json.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xgboost
from numpy.typing import NDArray

from ml.data.party_sequences import SideSequences
from ml.evaluation.calibration import Calibrator, calibrator_from_dict
from ml.nn.device import device_of
from ml.nn.two_sided import RiskBatch, TwoSidedNetwork
from ml.serving.artifact import write_json
from ml.serving.risk_onset import EXPOSURE, exposure_of, with_onset

TASK = "risk"
FORMAT = 1
TREES, NETWORK = "trees.json", "network.safetensors"
ROWS_AT_ONCE = 4_096

Table = NDArray[np.float32]
Doubles = NDArray[np.float64]
Sides = dict[str, SideSequences]


@dataclass(frozen=True)
class RiskEnsemble:
    """features: names of the columns that both members read. types: of transactions, in the order of their codes.

    weight is the network's share of the mixed log-odds, in [0, 1]; shape holds the network's arguments. Without a
    network, shape is empty and weight 0. onset_rate is how many counterparties turn bad a second (`risk_onset`), 0
    where that is not reckoned with.
    """

    features: list[str]
    types: list[str]
    trees: xgboost.Booster
    network: TwoSidedNetwork | None
    shape: dict[str, Any]
    weight: float
    onset_rate: float
    calibrator: Calibrator

    @classmethod
    def load(cls, path: Path) -> "RiskEnsemble":
        """Raises FileNotFoundError or ValueError where the folder is no artifact of this task."""
        from safetensors.torch import load_file

        path = Path(path)
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        if config["task"] != TASK or config["format"] != FORMAT:
            raise ValueError(f"{path} holds task {config['task']}, format {config['format']}, and no risk model")
        trees = xgboost.Booster(params={"nthread": 1})
        trees.load_model(bytearray((path / TREES).read_bytes()))
        network = None
        if config["network"]:
            network = TwoSidedNetwork(**config["network"])
            network.load_state_dict(load_file(path / NETWORK))
            network.eval()
        return cls(
            features=config["features"],
            types=config["types"],
            trees=trees,
            network=network,
            shape=config["network"],
            weight=config["weight"],
            onset_rate=config.get("onset_rate", 0.0),
            calibrator=calibrator_from_dict(config["calibrator"]),
        )

    def save(self, path: Path, settings: dict[str, Any]) -> None:
        """Write everything but the report; `settings` is the run's whole configuration, kept for the record."""
        from safetensors.torch import save_file

        (path / TREES).write_bytes(bytes(self.trees.save_raw("json")))
        if self.network is not None:
            save_file({name: each.contiguous() for name, each in self.network.state_dict().items()}, path / NETWORK)
        config = {
            "format": FORMAT,
            "task": TASK,
            "features": self.features,
            "types": self.types,
            "network": self.shape,
            "weight": self.weight,
            "onset_rate": self.onset_rate,
            "calibrator": self.calibrator.to_dict(),
            "settings": settings,
        }
        write_json(path / "config.json", config)

    @property
    def nbytes(self) -> int:
        weights = self.network.state_dict().values() if self.network is not None else ()
        return len(self.trees.save_raw("ubj")) + sum(each.numel() * each.element_size() for each in weights)

    def logits(self, features: Table, sides: Sides | None) -> dict[str, Doubles]:
        """Log-odds of fraud by member, each (rows,). features (rows, F) in the order of `features`."""
        found = {"trees": tree_logits(self.trees, features)}
        if self.network is not None and sides is not None:
            found["network"] = network_logits(self.network, features, sides)
        return found

    def mix(self, logits: dict[str, Doubles], features: Table) -> Doubles:
        """The mixed log-odds with the onset's, not yet calibrated."""
        mixed = logits["trees"]
        if "network" in logits:
            mixed = (1.0 - self.weight) * mixed + self.weight * logits["network"]
        if self.onset_rate == 0.0:
            return mixed
        return with_onset(mixed, self.onset_rate, exposure_of(features[:, self.features.index(EXPOSURE)]))

    def probability(self, features: Table, sides: Sides | None) -> Doubles:
        """Calibrated probabilities of fraud, (rows,)."""
        return self.calibrator(self.mix(self.logits(features, sides), features))


def tree_logits(trees: xgboost.Booster, features: Table) -> Doubles:
    if not len(features):
        return np.zeros(0)
    return np.asarray(trees.inplace_predict(features, predict_type="margin"), dtype=np.float64)


@torch.inference_mode()
def network_logits(network: TwoSidedNetwork, features: Table, sides: Sides) -> Doubles:
    found = [np.zeros(0)]
    for begin in range(0, len(features), ROWS_AT_ONCE):
        rows = np.arange(begin, min(begin + ROWS_AT_ONCE, len(features)))
        batch = RiskBatch.of(features[rows], {side: sequences.rows(rows) for side, sequences in sides.items()})
        found.append(network(batch.to(device_of(network))).double().cpu().numpy())
    return np.concatenate(found)
