"""The settings `prediction_heads` and `loss_weights`: what is predicted besides the next item, and what it counts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ml.data.activity import DAY
from ml.nn.names import NEXT_ITEM, NEXT_TYPE

PURCHASE, CHURN = "purchase", "churn"
# The settings of each head; all of them are needed.
HEADS = {NEXT_TYPE: (), PURCHASE: ("days", "types"), CHURN: ("days",)}
UNCERTAINTY = "uncertainty"


@dataclass(frozen=True)
class Head:
    """One head. `types` are the event types that count as a purchase, empty for every other head; `days` is how far
    it looks ahead, None for the next type."""

    name: str
    days: float | None = None
    types: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """How far it looks ahead; 0 for the next type."""
        return DAY * (self.days or 0.0)

    def describe(self) -> dict[str, Any]:
        """The head's settings."""
        days = {} if self.days is None else {"days": self.days}
        return {**days, "types": list(self.types)} if self.types else days


def parse_heads(setting: Mapping[str, Mapping[str, Any]] | None) -> list[Head]:
    """The heads of a setting without problems, in the order of HEADS."""
    given = setting or {}
    return [Head(name, given[name].get("days"), tuple(given[name].get("types", ()))) for name in HEADS if name in given]


def head_problems(prediction_heads: Any, loss_weights: Any, split: str) -> list[str]:
    """What is wrong with the settings, each named with its cure."""
    if not prediction_heads:
        wrong = [] if prediction_heads in (None, {}) else ["prediction_heads must be null, or settings by head"]
        return wrong if loss_weights is None else [*wrong, "loss_weights needs prediction_heads; set them, or leave it"]
    if not isinstance(prediction_heads, Mapping):
        return ["prediction_heads must be null, or settings by head"]
    unknown = sorted(set(prediction_heads) - set(HEADS))
    if unknown:
        return [f"prediction_heads has unknown heads {', '.join(unknown)}; known are {', '.join(HEADS)}"]
    problems = [problem for name, settings in prediction_heads.items() for problem in _of_head(name, settings)]
    if split != "global_time":
        problems.append(
            "prediction_heads needs split global_time: outcomes within days need one clock for all subjects"
        )
    return problems + _of_weights(loss_weights, {NEXT_ITEM, *prediction_heads})


def _of_head(name: str, settings: Any) -> list[str]:
    wanted = HEADS[name]
    if not isinstance(settings, Mapping) or set(settings) != set(wanted):
        return [f"prediction_heads.{name} must be an object with {' and '.join(wanted) or 'nothing in it'}"]
    problems = []
    if "days" in wanted and not (_number(settings["days"]) and settings["days"] > 0):
        problems.append(f"prediction_heads.{name}.days must be above 0")
    if "types" in wanted and not _names(settings["types"]):
        problems.append(f"prediction_heads.{name}.types must list at least one event type")
    return problems


def _of_weights(weights: Any, losses: set[str]) -> list[str]:
    if weights is None or weights == UNCERTAINTY:
        return []
    if not isinstance(weights, Mapping):
        return [f"loss_weights must be null, {UNCERTAINTY}, or weights by name"]
    unknown = sorted(set(weights) - losses)
    if unknown:
        return [f"loss_weights names {', '.join(unknown)}; what is trained is {', '.join(sorted(losses))}"]
    # The best epoch is chosen by the next item's score, and a head that does not count is better left out.
    wrong = sorted(name for name, weight in weights.items() if not (_number(weight) and weight > 0))
    return [f"loss_weights.{name} must be above 0; leave out a head that is not to be trained" for name in wrong]


def _names(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(name, str) for name in value)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
