"""What a recommendation scenario is: its kind and its settings, checked by name, with a default for each."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import TextChoices

from behavior.event_types import PURCHASES
from catalog.filters import FilterError, parse_filter

APPLICATION = "recommendation"
MODEL = "next-item"


class Kind(TextChoices):
    """How the list of a scenario comes about."""

    PERSONALISED = "personalised", "Personalised: what this subject is likely to want next"
    SIMILAR = "similar", "Similar: what goes with the items given, or with the one viewed last"
    POPULAR = "popular", "Popular: what most subjects want"
    TRENDING = "trending", "Trending: what is wanted more than it used to be"


# What an event says about interest, on the scale of one view. Being shown an item says nothing.
EVENT_WEIGHTS = {
    **dict.fromkeys(sorted(PURCHASES), 5.0),
    "add_to_cart": 3.0,
    "cart": 3.0,
    "impression": 0.0,
    "remove_from_cart": 0.0,
}


@dataclass(frozen=True)
class ScenarioSettings:
    """Settings of a scenario; a request may replace any of them in `params`.

    event_weights        weight of an event type in popularity and trends; types not named weigh 1; a type of weight 0
                         also stays out of the sequence that the model reads
    exclude_bought_days  items that the subject bought within so many days stay out; 0 lets them in
    bought_types         event types that mean bought
    exclude_seen         items that the subject has any event with stay out
    temperature          exploration: 0 gives the best list, higher values sample from it (Plackett-Luce)
    filter               which items may appear, as in the request
    require_known_items  leave out items that are in the log but not in the catalogue; null does so once there is a
                         catalogue
    popular_days         how far back popularity looks; trend_days: length of the recent period of a trend, compared
                         with the period four times as long before it
    """

    event_weights: Mapping[str, float] = field(default_factory=lambda: dict(EVENT_WEIGHTS))
    exclude_bought_days: int = 30
    bought_types: Sequence[str] = tuple(sorted(PURCHASES))
    exclude_seen: bool = False
    temperature: float = 0.0
    filter: dict[str, Any] | None = None
    require_known_items: bool | None = None
    popular_days: int = 30
    trend_days: int = 7

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ScenarioSettings":
        """Raises ValidationError that names each unknown or unusable setting."""
        return cls().changed(values)

    def changed(self, values: Mapping[str, Any]) -> "ScenarioSettings":
        """These settings with some replaced; raises ValidationError as `from_dict` does."""
        known = {each.name for each in fields(self)}
        problems = {
            name: f"is not a setting; known are {', '.join(sorted(known))}" for name in values if name not in known
        }
        problems |= {
            name: problem for name, value in values.items() if name in known and (problem := _problem(name, value))
        }
        if problems:
            raise ValidationError(problems)
        return replace(self, **values)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def weight(self, event_type: str) -> float:
        return self.event_weights.get(event_type, 1.0)


def _problem(name: str, value: Any) -> str | None:
    if name in DAYS and not (_is_number(value, int) and DAYS[name] <= value <= 3650):
        return f"must be a whole number of days from {DAYS[name]} to 3650"
    if name == "exclude_seen" and not isinstance(value, bool):
        return "must be true or false"
    if name == "require_known_items" and not (value is None or isinstance(value, bool)):
        return "must be true, false or null"
    if name == "temperature" and not (_is_number(value, (int, float)) and (value == 0.0 or 0.01 <= value <= 10.0)):
        return "must be 0, or a number from 0.01 to 10"
    if name == "bought_types" and not (
        isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(each, str) for each in value)
    ):
        return 'must be a list of event types, such as ["purchase"]'
    if name == "event_weights":
        return _problem_of_weights(value)
    if name == "filter" and value is not None:
        try:
            parse_filter(value)
        except FilterError as error:
            return str(error)
    return None


DAYS = {"exclude_bought_days": 0, "popular_days": 1, "trend_days": 1}


def _problem_of_weights(value: Any) -> str | None:
    if not isinstance(value, dict):
        return 'must be an object such as {"view": 1, "purchase": 5}'
    if not all(_is_number(weight, (int, float)) and 0.0 <= weight <= 1000.0 for weight in value.values()):
        return "holds a weight that is not a number from 0 to 1000"
    return None


def _is_number(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


@dataclass(frozen=True)
class DefaultScenario:
    key: str
    name: str
    kind: Kind
    model: str = ""


DEFAULT_SCENARIOS = (
    DefaultScenario("home", "Home page", Kind.PERSONALISED, MODEL),
    DefaultScenario("product", "Product page", Kind.SIMILAR, MODEL),
    DefaultScenario("popular", "Popular", Kind.POPULAR),
    DefaultScenario("trending", "Trending", Kind.TRENDING),
    DefaultScenario("email", "E-mail batch", Kind.PERSONALISED, MODEL),
)
