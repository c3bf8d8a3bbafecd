"""The frozen configurations in configs/*.json: one for each claim, changed by editing the file alone.

Every configuration has a `kind` (which of the functions in recsys.py measures it), `dataset`, `model`, `settings` (of
NextItemConfig, over those of the data set) and `seeds`; the other fields are those of its kind.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.benchmark.datasets import DATASETS
from ml.nn.names import ENCODER_NAMES
from ml.tasks.config import NextItemConfig

FOLDER = Path(__file__).parent / "configs"
# The fields of each kind beside the common ones, and whether it only runs with --full or by its name.
FIELDS = {
    "scores": {"budget_minutes", "records"},
    "ablation": {"budget_minutes", "metric", "table", "rows"},
    "gain": {"budget_minutes", "metric", "record", "aim", "against"},
    "forgetting": {"quantile"},
    "faithfulness": {"budget_minutes", "requests", "threads"},
    "speed": {"epochs", "batch_size", "threads", "peer_learning_rate", "aims"},
    "equal-time": {"budget_minutes", "batch_size", "threads", "peer_learning_rate", "aim"},
}
COMMON = {"kind", "dataset", "model", "settings", "seeds"}
OPTIONAL = {"peer", "only_full", "threads"}


@dataclass(frozen=True)
class Run:
    """One call of `python -m ml.benchmark`."""

    dataset: str
    model: str
    settings: dict[str, Any]
    budget_minutes: float
    seeds: tuple[int, ...]
    threads: int | None = None


@dataclass(frozen=True)
class Configuration:
    name: str
    kind: str
    content: dict[str, Any]

    @property
    def only_full(self) -> bool:
        return bool(self.content.get("only_full"))

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(self.content["seeds"])

    def run(self, changes: dict[str, Any] | None = None) -> Run:
        """The run of the configuration, with a row's own dataset, model and settings over the common ones."""
        content, changes = self.content, changes or {}
        return Run(
            dataset=changes.get("dataset", content["dataset"]),
            model=changes.get("model", content["model"]),
            settings={**content["settings"], **changes.get("settings", {})},
            budget_minutes=content.get("budget_minutes", 60.0),
            seeds=self.seeds,
            threads=content.get("threads"),
        )

    def rows(self) -> dict[str, Run]:
        return {name: self.run(changes) for name, changes in self.content["rows"].items()}

    def runs(self) -> Iterator[Run]:
        """Every run that the configuration asks for."""
        if "rows" in self.content:
            yield from self.rows().values()
        else:
            yield self.run()
        if "against" in self.content:
            yield self.run(self.content["against"])


def load(name: str, folder: Path = FOLDER) -> Configuration:
    """Raises ValueError that names what is missing or wrong in the file."""
    content = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    kind = content.get("kind")
    if kind not in FIELDS:
        raise ValueError(f"{name}.json: kind must be one of {', '.join(FIELDS)}")
    wanted = COMMON | FIELDS[kind]
    missing, unknown = sorted(wanted - set(content)), sorted(set(content) - wanted - OPTIONAL)
    if missing or unknown:
        raise ValueError(
            f"{name}.json: missing {', '.join(missing) or 'nothing'}; unknown {', '.join(unknown) or 'none'}"
        )
    configuration = Configuration(name, kind, content)
    for run in configuration.runs():
        _check(name, run)
    return configuration


def names(folder: Path = FOLDER) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.json"))


def _check(name: str, run: Run) -> None:
    if run.dataset not in DATASETS or run.model not in ENCODER_NAMES:
        raise ValueError(f"{name}.json: unknown dataset {run.dataset} or model {run.model}")
    try:
        NextItemConfig.from_dict({**run.settings, "encoder": run.model, "budget_minutes": run.budget_minutes})
    except ValueError as error:
        raise ValueError(f"{name}.json: {error}") from error
