"""What every task offers to those who train and judge models."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ml.training.progress import Report

# What a task learns from: the event log's columns, or shown lists.
Data = TypeVar("Data", contravariant=True)


@dataclass(frozen=True)
class FitReport:
    """The outcome of a training run; plain JSON values only.

    metric names the selection metric; score is the model's on the test cases and `baselines` holds the untrained
    predictors' on the same ones. `spread` is the bootstrap standard deviation of score, and `gain_spread` that of its
    lead over the best baseline, case by case.
    """

    metric: str
    score: float
    spread: float
    gain_spread: float
    baselines: dict[str, float]
    validation: dict[str, float]
    test: dict[str, float]
    first_event: dict[str, float]
    curve: list[dict[str, float]]
    counts: dict[str, int]
    mixture: dict[str, float]
    split: dict[str, Any]
    seconds: float
    # sequences_per_second and events_per_second while training, and the seconds of an epoch; empty after a resumption.
    speed: dict[str, float] = field(default_factory=dict)
    # Where settings were searched for: each trial's settings, score and outcome, in the order of their making.
    trials: list[dict[str, Any]] = field(default_factory=list)
    # By prediction head: "cases" it was tested on, the "weight" of its loss, and "scores" by predictor, the "model"
    # beside the untrained ones; see ml.tasks.head_evaluation.
    heads: dict[str, dict[str, Any]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Task(Protocol[Data]):
    def fit(
        self,
        columns: Data,
        config: dict[str, Any],
        out: Path,
        *,
        progress: Report,
        initial: Path | None = None,
    ) -> FitReport:
        """Train on a log and leave an artifact in `out`; a run that was stopped resumes from `out`/checkpoint.

        `initial` is an artifact whose weights it goes on from, instead of fresh ones. Deterministic by config["seed"].
        Raises ValueError for a configuration or a log that cannot be trained on.
        """
        ...

    def evaluate(self, artifact: Path, columns: Data, *, since: float, until: float) -> dict[str, float]:
        """Metrics of an artifact on the cases with since <= time < until of any log."""
        ...
