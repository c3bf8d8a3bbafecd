"""What the configurations of all tasks share: how they are read, judged and stored, and kinds of settings."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self, get_args

from ml.nn.names import Device

Requirement = tuple[Callable[[Any], bool], str]


def is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    return is_whole(value) or (isinstance(value, float) and math.isfinite(value))


def is_weights(value: object) -> bool:
    return isinstance(value, dict) and all(is_number(weight) and weight >= 0 for weight in value.values())


def one_of(allowed: Iterable[str]) -> Requirement:
    names = tuple(allowed)
    return lambda value: value in names, f"one of {', '.join(names)}"


def whole(least: int, most: int) -> Requirement:
    return lambda value: is_whole(value) and least <= value <= most, f"a whole number from {least} to {most}"


COUNT: Requirement = (lambda value: is_whole(value) and value >= 1, "a whole number of 1 or more")
COUNT_OR_NULL: Requirement = (lambda value: value is None or COUNT[0](value), "null, or 1 or more")
COUNT_OR_ZERO: Requirement = (lambda value: is_whole(value) and value >= 0, "a whole number of 0 or more")
SEED = COUNT_OR_ZERO
# All tenants share the machine that trains, so what no data bounds has a top.
PASSES = whole(1, 1_000)
STEPS = whole(1, 100_000)
WIDTH = whole(1, 1_024)
WIDTH_OR_ZERO = whole(0, 1_024)
DEPTH = whole(1, 16)
TREES = whole(1, 2_000)
LENGTH = whole(1, 2_048)
BATCH = whole(1, 16_384)
NOT_NEGATIVE: Requirement = (lambda value: is_number(value) and value >= 0, "0 or more")
POSITIVE: Requirement = (lambda value: is_number(value) and value > 0, "above 0")
POSITIVE_OR_NULL: Requirement = (lambda value: value is None or POSITIVE[0](value), "null, or above 0")
BELOW_ONE: Requirement = (lambda value: is_number(value) and 0 <= value < 1, "at least 0 and below 1")
SHARE: Requirement = (lambda value: is_number(value) and 0 <= value <= 1, "between 0 and 1")
QUANTILE: Requirement = (lambda value: is_number(value) and 0 < value < 1, "between 0 and 1")
SWITCH: Requirement = (lambda value: isinstance(value, bool), "true or false")
DEVICE: Requirement = one_of(get_args(Device))


def too_large(most: int, **sizes: int) -> list[str]:
    """What is wrong where sizes that are each usable by themselves make a step that takes gigabytes."""
    fits = math.prod(sizes.values()) <= most
    return [] if fits else [f"{' x '.join(sizes)} must be at most {most:,}, or a step would not fit into memory"]


@dataclass(frozen=True)
class TaskSettings:
    """Settings of one training run; every field may be given in the `config` dict of `fit`."""

    # What each setting must be, by name.
    checks: ClassVar[Mapping[str, Requirement]]

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """Raises ValueError that names each unknown or unusable setting."""
        known = {setting.name for setting in fields(cls)}
        if unknown := sorted(set(settings) - known):
            raise ValueError(f"unknown settings {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        config = cls(**settings)
        problems = [
            f"{name} must be {words}" for name, (holds, words) in cls.checks.items() if not holds(getattr(config, name))
        ]
        if problems := problems or config.contradictions():
            raise ValueError("; ".join(problems))
        return config

    @classmethod
    def as_stored(cls, settings: Mapping[str, Any]) -> Self:
        """Those that an artifact keeps, unjudged: it was trained under the checks of its time."""
        return cls(**settings)

    def contradictions(self) -> list[str]:
        """What is wrong with settings that are each usable by itself."""
        return []

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
