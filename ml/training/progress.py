"""What a running task tells its caller."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Stage = Literal["snapshot", "text", "search", "baselines", "training", "evaluating", "saving"]


@dataclass(frozen=True)
class Progress:
    """Where a run stands. `epoch` and `step` count from 1 while training and are 0 before it."""

    stage: Stage
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    steps: int = 0
    metrics: dict[str, float] = field(default_factory=dict)


# Called at each stage and epoch and every few seconds in between; raising from it stops the run, which can be resumed.
Report = Callable[[Progress], None]
