"""The settings of a recommendation scenario: each with its default, its check and its meaning."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any

from django.core.exceptions import ValidationError

from apps.recommendation.lists.checks import (
    CategoryWindow,
    Check,
    EventTypes,
    EventWeights,
    Filter,
    Flag,
    Number,
    Whole,
)
from behavior.event_types import NEGATIVE, PURCHASES, UNDO_NEGATIVE, VIEWS

# What an event says about interest, on the scale of one view. Being shown an item says nothing.
EVENT_WEIGHTS = {
    **dict.fromkeys(sorted(PURCHASES), 5.0),
    "add_to_cart": 3.0,
    "cart": 3.0,
    "impression": 0.0,
    "remove_from_cart": 0.0,
}


def setting(default: Any, check: Check, meaning: str) -> Any:
    """A field of ScenarioSettings; `meaning` is what the API's documentation says of it."""
    metadata = {"check": check, "meaning": meaning}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class ScenarioSettings:
    """Settings of a scenario; a request may replace any of them in `params`."""

    event_weights: Mapping[str, float] = setting(
        EVENT_WEIGHTS,
        EventWeights(),
        "weight of an event type in popularity and trends; types not named weigh 1; a type of weight 0 also stays out "
        "of the sequence that the model reads",
    )
    exclude_bought_days: int = setting(
        30, Whole("days", 0, 3650), "items that the subject bought within so many days stay out; 0 lets them in"
    )
    bought_types: Sequence[str] = setting(
        tuple(sorted(PURCHASES)), EventTypes("purchase"), "event types that mean bought"
    )
    viewed_types: Sequence[str] = setting(tuple(sorted(VIEWS)), EventTypes("view"), "event types that mean viewed")
    exclude_seen: bool = setting(False, Flag(), "items that the subject has any event with stay out")
    temperature: float = setting(
        0.0,
        Number(0.01, 10, or_zero=True),
        "exploration: 0 gives the best list, higher values sample from it (Plackett-Luce)",
    )
    filter: dict[str, Any] | None = setting(  # noqa: RUF009
        None, Filter(), "which items may appear, as in the request; it may name a saved filter"
    )
    require_known_items: bool | None = setting(
        None,
        Flag(or_null=True),
        "leave out items that are in the log but not in the catalogue; null does so once there is a catalogue",
    )
    popular_days: int = setting(30, Whole("days", 1, 3650), "how far back popularity looks")
    trend_days: int = setting(
        7,
        Whole("days", 1, 3650),
        "length of the recent period of a trend, compared with the period four times as long before it",
    )
    fill: bool = setting(
        True, Flag(), "fill up a short list with what is popular and then what is new; false leaves it short"
    )
    diversity: float = setting(
        0.0, Number(0, 1), "0 orders by score alone, 1 by unlikeness in category and brand to the items above"
    )
    category_window: dict[str, int] | None = setting(  # noqa: RUF009
        None,
        CategoryWindow(),
        "among any `size` neighbouring places at most `limit` items of one category; an item at whose place that could "
        "not hold names the rule category_window_relaxed",
    )
    freshness: float = setting(
        0.0, Number(-1, 1), "above 0 prefers items that are new in the catalogue, below 0 old ones"
    )
    freshness_days: int = setting(30, Whole("days", 1, 3650), "age at which half of an item's freshness is gone")
    price: float = setting(
        0.0,
        Number(-1, 1),
        "above 0 prefers items dearer, below 0 cheaper than what the subject's items cost at the median",
    )
    rotation_rate: float = setting(
        0.0, Number(0, 1), "share of its score that an item loses each time that it was shown to the subject lately"
    )
    rotation_hours: int = setting(24, Whole("hours", 1, 720), "how far back rotation looks")
    negative_types: Sequence[str] = setting(
        tuple(sorted(NEGATIVE)),
        EventTypes("hide"),
        "event types by which the subject refuses an item: it stays out, and items like it lose score for a while",
    )
    undo_types: Sequence[str] = setting(
        tuple(sorted(UNDO_NEGATIVE)), EventTypes("unhide"), "event types by which the subject takes a refusal back"
    )
    negative_damping: float = setting(
        0.5, Number(0, 1), "share of its score that an item of the same categories and brand as one just refused loses"
    )
    negative_days: int = setting(30, Whole("days", 1, 3650), "days after which half of that loss is gone")
    personalisation: float = setting(
        0.3,
        Number(0, 1),
        "of a search: the part of the order that the subject's taste decides, the rest is the query's",
    )
    meaning: float = setting(
        1.0,
        Number(0, 1),
        "of a search: weight of closeness in meaning where that of the words is 1; 0 goes by words alone",
    )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ScenarioSettings":
        """Raises ValidationError that names each unknown or unusable setting."""
        return cls().changed(values)

    def changed(self, values: Mapping[str, Any]) -> "ScenarioSettings":
        """These settings with some replaced; raises ValidationError as `from_dict` does."""
        problems = {name: problem for name, value in values.items() if (problem := _problem(name, value))}
        if problems:
            raise ValidationError(problems)
        return replace(self, **values)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def weight(self, event_type: str) -> float:
        return self.weights.get(event_type, 1.0)

    @cached_property
    def weights(self) -> dict[str, float]:
        """By event type; a refusal and its undoing say nothing of interest, whatever else is set."""
        return {**self.event_weights, **dict.fromkeys((*self.negative_types, *self.undo_types), 0.0)}


CHECKS: dict[str, Check] = {each.name: each.metadata["check"] for each in fields(ScenarioSettings)}


def _problem(name: str, value: Any) -> str | None:
    if name not in CHECKS:
        return f"is not a setting; known are {', '.join(sorted(CHECKS))}"
    return CHECKS[name].problem(value)


def settings_schema() -> dict[str, Any]:
    """What `params` of a request may hold, as OpenAPI describes it."""
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            each.name: each.metadata["check"].schema() | {"description": each.metadata["meaning"]}
            for each in fields(ScenarioSettings)
        },
    }
