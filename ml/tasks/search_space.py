"""The `search` setting of a training run, and the trials that come of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

# Tried where `search` names no space of its own: what moves the score most on small and middling logs.
DEFAULT_SPACE: dict[str, Any] = {
    "dimension": [32, 64, 128],
    "layers": [1, 2, 3],
    "dropout": {"low": 0.0, "high": 0.5},
    "learning_rate": {"low": 3e-4, "high": 1e-2, "log": True},
}
DEFAULT_TRIALS = 20
MOST_TRIALS = 200
# What a trial may not choose: the judge, the machine, and the search itself.
FIXED = {
    *("split", "validation_quantile", "test_quantile", "successive", "evaluation_cases", "exclude_seen"),
    *("device", "threads", "memory_budget_mb", "compile", "mixed_precision", "seed", "search", "budget_minutes"),
    # All trials share one text encoder.
    *("text_encoder", "text_steps"),
}


@dataclass(frozen=True)
class Range:
    """Numbers from low to high, both included; with `log` equally likely by order of magnitude."""

    low: float
    high: float
    log: bool

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)


@dataclass(frozen=True)
class SearchSpace:
    trials: int
    choices: dict[str, list[Any]]
    ranges: dict[str, Range]

    @classmethod
    def from_dict(cls, search: Any) -> "SearchSpace":
        """Raises ValueError that names what cannot be searched."""
        if not isinstance(search, Mapping) or set(search) - {"trials", "space"}:
            raise ValueError("search must be an object with trials and space, or null")
        trials, space = search.get("trials", DEFAULT_TRIALS), search.get("space", DEFAULT_SPACE)
        if not isinstance(trials, int) or isinstance(trials, bool) or not 1 <= trials <= MOST_TRIALS:
            raise ValueError(f"search.trials must be a whole number from 1 to {MOST_TRIALS}")
        if not isinstance(space, Mapping) or not space:
            raise ValueError("search.space must name at least one setting")
        if fixed := sorted(FIXED & set(space)):
            raise ValueError(f"search.space must not hold {', '.join(fixed)}: trials could not be compared")
        choices = {name: values for name, values in space.items() if isinstance(values, list)}
        ranges = {name: _range(name, values) for name, values in space.items() if not isinstance(values, list)}
        if empty := sorted(name for name, values in choices.items() if not values):
            raise ValueError(f"search.space.{empty[0]} must list at least one value")
        return cls(trials, choices, ranges)

    def corners(self) -> Iterable[tuple[str, Any]]:
        """Every setting with each of its listed values or the ends of its range."""
        for name, values in self.choices.items():
            yield from ((name, value) for value in values)
        for name, between in self.ranges.items():
            yield from ((name, value) for value in (between.low, between.high))


@dataclass
class Trial:
    """One set of settings and what came of it: `scores` by epoch, and the best of them. JSON-able."""

    settings: dict[str, Any]
    score: float | None = None
    scores: list[float] = field(default_factory=list)
    outcome: str = ""  # finished, stopped (worse than the median of the others), or why it could not be tried


def best_trial(trials: list[Trial]) -> Trial:
    """The trial with the best score, the earlier one among equals."""
    return max(trials, key=lambda trial: -1.0 if trial.score is None else trial.score)


def _range(name: str, values: Any) -> Range:
    problem = f"search.space.{name} must be a list of values, or numbers low and high with low below high"
    if not isinstance(values, Mapping) or not {"low", "high"} <= set(values) <= {"low", "high", "log"}:
        raise ValueError(problem)
    low, high, log = values["low"], values["high"], values.get("log", False)
    if not all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high)):
        raise ValueError(problem)
    if not low < high or not isinstance(log, bool) or (log and low <= 0):
        raise ValueError(f"{problem}; log needs a low above 0")
    return Range(low, high, log)
