"""The artifact folder of a trained next-item model: safetensors and JSON, written once and never changed.

model.safetensors   the network's weights
rules.safetensors   sequential rules and popularity, readable without torch
neighbors.safetensors   past sessions, where neighbours are wanted; readable without torch
vocabulary.json     item ids and event types in code order
config.json         format, task, settings of the network, mixture weights, prediction heads
report.json         the FitReport

and where the model knows items by content

item_features.safetensors   attributes and encoded texts of its items
text_encoder.json           which encoder the texts went through
text_encoder/               the encoder's weights and tokens, where it was tuned
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml.data.vocabulary import Vocabulary
from ml.evaluation.mixture import Mixture
from ml.evaluation.untrained import Untrained

FORMAT = 2
TEXT_ENCODER = "text_encoder.json"
TUNED_ENCODER = "text_encoder"


@dataclass(frozen=True)
class Artifact:
    """All of an artifact but the network's weights; needs numpy only.

    `network` holds the arguments that rebuild the network; `max_length` is how many events it reads. `heads` says of
    each prediction head how far it looks ahead ("days"), what it counts ("types") and the "rates" of its outcomes.
    """

    path: Path
    task: str
    network: dict[str, Any]
    max_length: int
    mixture: Mixture
    untrained_mixture: Mixture
    vocabulary: Vocabulary
    untrained: Untrained
    heads: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path) -> "Artifact":
        """Raises FileNotFoundError where a file is missing, ValueError where the format is another."""
        path = Path(path)
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        if config["format"] != FORMAT:
            raise ValueError(f"{path}: artifact format {config['format']} is not {FORMAT}; train the model again")
        return cls(
            path=path,
            task=config["task"],
            network=config["network"],
            max_length=config["max_length"],
            mixture=Mixture(**config["mixture"]),
            untrained_mixture=Mixture(**config["untrained_mixture"]),
            vocabulary=Vocabulary.load(path / "vocabulary.json"),
            untrained=Untrained.load(path),
            heads=config.get("heads", {}),
        )

    def save(self, settings: dict[str, Any]) -> None:
        """Write everything but the weights; `settings` is the run's whole configuration, kept for the record."""
        config = {
            "format": FORMAT,
            "task": self.task,
            "network": self.network,
            "max_length": self.max_length,
            "mixture": self.mixture.to_dict(),
            "untrained_mixture": self.untrained_mixture.to_dict(),
            "heads": self.heads,
            "settings": settings,
        }
        self.vocabulary.save(self.path / "vocabulary.json")
        self.untrained.save(self.path)
        write_json(self.path / "config.json", config)

    @property
    def weights(self) -> Path:
        return self.path / "model.safetensors"


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file that is there whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content, indent=1), encoding="utf-8")
    os.replace(partial, path)
