"""How unusual a transaction is, without any label to learn from: three detectors whose ranks are put together.

`ml.tasks.anomaly` trains one. Its artifact: anomaly.safetensors (all arrays), config.json, report.json.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ml.data.tails import Tails
from ml.nn.masked_features import MaskedFeatures
from ml.serving.artifact import write_json
from ml.serving.isolation_forest import IsolationTrees

ANOMALY_FORMAT = 1
TASK = "anomaly"
ARRAYS = "anomaly.safetensors"
MEMBERS = ("tails", "forest", "network")
# Between the sum of the surprises, in which many small ones hide a large one, and the largest alone.
TAIL_POWER = 4

Table = NDArray[np.floating]
Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Anomalies:
    """anomaly (n,): the share of the training's transactions that were less unusual, from 0 to 1.

    ranks (n,): what `anomaly` is made of, without an upper end, for ordering. members (n, MEMBERS): each detector's own
    share. surprises (n, F): of each feature, in nats.
    """

    anomaly: Doubles
    ranks: Doubles
    members: Doubles
    surprises: Floats


@dataclass(frozen=True)
class AnomalyDetector:
    """tails: the features' surprises, of which the largest count most. forest: how soon a row is isolated. network: how
    far features lie above what those of other groups foretell. The last two read surprises too, so that no feature's
    unit or spread matters.

    `members` and `combined` hold how the detectors' scores, and the sum of their surprises, were spread in training.
    """

    features: list[str]
    groups: list[int]
    tails: Tails
    trees: IsolationTrees
    network: MaskedFeatures
    scale: Floats
    members: Tails
    combined: Tails

    def __call__(self, table: Table) -> Anomalies:
        """Of rows (n, F) in the order of `features`, NaN where a value is missing."""
        surprises = self.tails(table)
        of_members = self.members(member_scores(surprises, self.trees, self.network, self.scale))
        ranks = of_members.sum(axis=1, dtype=np.float64)
        of_all = self.combined(ranks[:, None])[:, 0].astype(np.float64)
        return Anomalies(
            anomaly=-np.expm1(-of_all),
            ranks=ranks,
            members=-np.expm1(-of_members.astype(np.float64)),
            surprises=surprises,
        )

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self._arrays().values())

    def save(self, out: Path, settings: dict[str, Any]) -> None:
        from safetensors.numpy import save_file

        partial = Path(out) / f"{ARRAYS}.partial"
        save_file({name: np.ascontiguousarray(array) for name, array in self._arrays().items()}, partial)
        partial.replace(Path(out) / ARRAYS)
        config = {
            "format": ANOMALY_FORMAT,
            "task": TASK,
            "features": self.features,
            "groups": self.groups,
            "settings": settings,
        }
        write_json(Path(out) / "config.json", config)

    @classmethod
    def load(cls, path: Path) -> "AnomalyDetector":
        """Raises FileNotFoundError or ValueError where the folder is no artifact of this task."""
        from safetensors.numpy import load_file

        config = json.loads((Path(path) / "config.json").read_text(encoding="utf-8"))
        if config["task"] != TASK or config["format"] != ANOMALY_FORMAT:
            raise ValueError(f"{path} holds task {config['task']}, format {config['format']}, and no such detector")
        arrays = load_file(Path(path) / ARRAYS)
        network = MaskedFeatures(config["groups"], config["settings"]["hidden"])
        network.load_state_dict({name: torch.from_numpy(arrays[f"network.{name}"]) for name in network.state_dict()})
        return cls(
            features=config["features"],
            groups=config["groups"],
            tails=Tails.from_arrays(arrays),
            trees=IsolationTrees.from_arrays(arrays),
            network=network.eval(),
            scale=arrays["scale"],
            members=Tails.from_arrays(arrays, "members"),
            combined=Tails.from_arrays(arrays, "combined"),
        )

    def _arrays(self) -> dict[str, NDArray]:
        weights = {f"network.{name}": weight.numpy() for name, weight in self.network.state_dict().items()}
        return {
            **self.tails.to_arrays(),
            **self.trees.to_arrays(),
            **weights,
            "scale": self.scale,
            **self.members.to_arrays("members"),
            **self.combined.to_arrays("combined"),
        }


@torch.inference_mode()
def member_scores(surprises: Floats, trees: IsolationTrees, network: MaskedFeatures, scale: Floats) -> Doubles:
    """Each detector's own score of rows of surprises (n, F), higher for more unusual, (n, MEMBERS)."""
    unexpected = network.unexpected(torch.from_numpy(surprises / scale)).sum(dim=1).numpy()
    strongest = (surprises.astype(np.float64) ** TAIL_POWER).sum(axis=1)
    return np.stack([strongest, trees(surprises), unexpected.astype(np.float64)], axis=1)
