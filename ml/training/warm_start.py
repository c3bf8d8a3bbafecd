"""Going on from an earlier model's weights, also when the catalogue has grown or changed its order since."""

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ml.data.item_features import ItemFeatures, value_codes
from ml.data.vocabulary import Vocabulary
from ml.nn.heads import COUNTED
from ml.nn.sequence_model import SequenceModel
from ml.serving.artifact import Artifact

# Weights with a row for each item or event type, and the row of the first name.
ITEM_ROWS = {"embedding.item_table.weight": 1, "bias": 0}
TYPE_ROWS = {
    "embedding.type_table.weight": 1,
    "prediction_heads.output.next_type.weight": 0,
    "prediction_heads.output.next_type.bias": 0,
}
HEADS = "prediction_heads."
VALUE_TABLE = "embedding.content.value_table.weight"
POSITIONS = "encoder.position.weight"
# Arguments of the network that may differ: the names, whose rows are matched, what holds no weights, and the heads,
# of which new ones start fresh.
MAY_DIFFER = {
    *("items", "types", "dropout", "attribute_values", "id_dropout"),
    *("prediction_heads", "learn_loss_weights"),
}
# An encoder that may take over another's weights: its blocks are the same, and it only looks back.
MAY_BECOME = {"bidirectional": "transformer"}


@dataclass(frozen=True)
class WarmStart:
    """An artifact to go on from, and the time up to which it has learned (None where its split had none).
    `settings` are those that it was trained with."""

    artifact: Artifact
    trained_until: float | None
    settings: dict[str, Any]

    @classmethod
    def open(cls, path: Path) -> "WarmStart":
        """Raises FileNotFoundError or ValueError for what is no finished artifact."""
        report = json.loads((Path(path) / "report.json").read_text(encoding="utf-8"))
        settings = json.loads((Path(path) / "config.json").read_text(encoding="utf-8"))["settings"]
        return cls(Artifact.open(path), report["split"]["validation_time"], settings)

    def learned_the_same(self, settings: dict[str, Any]) -> bool:
        """Whether the earlier model was trained towards the same end. Fine-tuning to another one, it has everything
        still to learn, also from events that it has seen."""
        return _end(self.settings) == _end(settings)

    def check(self, arguments: dict[str, Any]) -> None:
        """Raises ValueError, naming each setting of the network that is not the earlier model's."""
        before = self.artifact.network
        becomes = MAY_BECOME.get(before["encoder"])
        differing = [
            f"{name} is {value!r} here and {before.get(name)!r} there"
            for name, value in arguments.items()
            if name not in MAY_DIFFER and before.get(name) != value and not (name == "encoder" and value == becomes)
        ]
        if differing:
            raise ValueError(
                f"a warm start needs the settings of the model that it goes on from: {'; '.join(differing)}; "
                "use the same, or train from scratch"
            )

    def load_into(self, model: SequenceModel, vocabulary: Vocabulary) -> None:
        """Copy the weights; items, event types and heads that the earlier model did not know keep their fresh ones."""
        from safetensors.torch import load_file

        before, known = load_file(self.artifact.weights), self.artifact.vocabulary
        items, old_items = _matching(vocabulary.items, known.item_codes)
        types, old_types = _matching(vocabulary.types, known.type_codes)
        values, old_values = _matching_values(model, self.artifact.path)
        weights = model.state_dict()
        with torch.no_grad():
            for name, weight in weights.items():
                if name.startswith(HEADS) and (name not in before or name.startswith(HEADS + COUNTED)):
                    continue
                if name in ITEM_ROWS:
                    weight[items + ITEM_ROWS[name]] = before[name][old_items + ITEM_ROWS[name]]
                elif name == VALUE_TABLE:
                    weight[values] = before[name][old_values]
                elif name in TYPE_ROWS:
                    weight[types + TYPE_ROWS[name]] = before[name][old_types + TYPE_ROWS[name]]
                    # The rows before the first name belong to the unknown type.
                    weight[: TYPE_ROWS[name]] = before[name][: TYPE_ROWS[name]]
                elif name == POSITIONS:
                    # An encoder that only looks back has no place for the event after the last one.
                    weight.copy_(before[name][: len(weight)])
                else:
                    weight.copy_(before[name])


def _end(settings: dict[str, Any]) -> tuple[Any, ...]:
    """What a run with these settings trains towards."""
    encoder, objective = settings["encoder"], settings.get("objective", "auto")
    if objective == "auto":
        objective = "masked" if encoder == "bidirectional" else "next"
    return encoder, objective, settings.get("prediction_heads") or {}


def _matching_values(model: SequenceModel, path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """The codes of the attribute values that the earlier model in `path` knows too, and their codes there."""
    content, earlier = model.embedding.content, ItemFeatures.open(path)
    if content is None or earlier is None:
        return _matching([], {})
    before = {value: code + 1 for value, code in value_codes(earlier.names).items()}
    return _matching(list(value_codes(content.features.names)), before)


def _matching(names: Sequence[Hashable], codes: Mapping[Any, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """0-based places of the known ones among `names`, and their 0-based places in the earlier vocabulary."""
    place = np.array([codes.get(name, 0) - 1 for name in names], dtype=np.int64)
    return torch.from_numpy(np.flatnonzero(place >= 0)), torch.from_numpy(place[place >= 0])
