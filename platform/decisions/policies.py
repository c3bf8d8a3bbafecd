"""Which of the scored candidates are shown, in which order, and with what probability."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from django.core.exceptions import ValidationError
from numpy.typing import NDArray

from ml.policy.ranking import plackett_luce

DEFAULT_TEMPERATURE = 0.3
# Candidates without a score stay possible, as the unlikeliest.
SMALLEST_SCORE = 1e-9


@dataclass(frozen=True)
class Policy:
    """`greedy` serves by falling score; `softmax` draws from a Plackett-Luce distribution at `temperature`.

    At temperature 1 an item is drawn in proportion to its score, lower ones come closer to greedy.
    """

    name: str
    temperature: float

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> "Policy":
        """The policy of a scenario's settings. Raises ValidationError that names the setting and the cure."""
        name = settings.get("policy", "greedy")
        if name == "greedy":
            return cls(name, 0.0)
        if name != "softmax":
            raise ValidationError({"policy": f"'{name}' is unknown; use greedy or softmax"})
        temperature = settings.get("temperature", DEFAULT_TEMPERATURE)
        if isinstance(temperature, bool) or not isinstance(temperature, int | float) or not 0.01 <= temperature <= 100:
            raise ValidationError({"temperature": "must be a number from 0.01 to 100"})
        return cls(name, float(temperature))

    def __str__(self) -> str:
        return self.name if self.name == "greedy" else f"{self.name}({self.temperature:g})"


@dataclass(frozen=True)
class Choice:
    """Candidates by position in the order to serve, and the propensity of each at its rank."""

    positions: list[int]
    propensities: list[float]


def choose(policy: Policy, *, scores: Sequence[float], count: int, decision_id: UUID) -> Choice:
    """Order up to `count` of the candidates. `scores` are shares or other ratios of 0 or more."""
    positions, propensities = plackett_luce(_logits(scores), count, policy.temperature, generator_of(decision_id))
    return Choice([int(position) for position in positions], [float(propensity) for propensity in propensities])


def draw(policy: Policy, scores: Sequence[float], generator: np.random.Generator) -> tuple[int, float]:
    """The position of one of the candidates, and the probability with which the policy takes it.

    `scores` (one or more) are shares or other ratios of 0 or more; of equals, greedy takes the first.
    """
    positions, propensities = plackett_luce(_logits(scores), 1, policy.temperature, generator)
    return int(positions[0]), float(propensities[0])


def chance_of_best(policy: Policy, scores: Sequence[float]) -> float:
    """The probability with which the policy takes the best of these scores, which are shares or other ratios."""
    if policy.name == "greedy":
        return 1.0
    weights = np.exp(_logits(scores) / policy.temperature - (_logits(scores) / policy.temperature).max())
    return float(weights.max() / weights.sum())


def generator_of(decision_id: UUID) -> np.random.Generator:
    """Seeded with the decision's id, so that a stored decision can be drawn again and checked."""
    return np.random.default_rng(decision_id.int)


def _logits(scores: Sequence[float]) -> NDArray[np.float64]:
    return np.log(np.maximum(np.asarray(scores, dtype=np.float64), SMALLEST_SCORE))
