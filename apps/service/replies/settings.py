"""How a tenant's service answers: what may be sent, what never is, what an order's events are called. Kept as the
settings of one scenario."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from django.core.exceptions import ValidationError

from apps.service.knowledge.searching import DENSE, FULL_TEXT, STAGES
from behavior.currencies import CURRENCIES
from behavior.parsing import Invalid, parse_type
from decisions.editing import change_scenario
from decisions.models import Scenario
from serving.schedules import RETRAIN
from tenancy.kept import Kept

APPLICATION = "service"
SCENARIO = "replies"
KIND = "replies"
MODEL = "replies"
MOST_NAMES = 500
LONGEST_NAME = 200
MOST_MINUTES = 10_080  # a week
MOST_COST = 1_000
MOST_LABELS = 1_000_000


@dataclass(frozen=True)
class ServiceSettings:
    """A reply is sent by itself only where its confidence is at least `send_above`, which is off (None) until somebody
    sets it, and its intent is one of `auto_send_intents` or allows it itself. Below `draft_above` the customer goes to
    an agent.

    `error_rate` is the share of replies sent by themselves that may be wrong, for which thresholds are suggested. A
    message with one of `blocked_topics`, words or phrases, always goes to an agent. Events of `order_event_types` in
    the behaviour log say how the customer's orders stand. `answers_inbound` lets messages that come from a help desk be
    answered without being asked. `business_name` fills the slot business.name. `stages` are those of the
    search for what replies rest on. Within `first_response_minutes` a customer's message is to be answered; the inbox
    runs its clock by it.

    What agents accept and edit becomes past replies in knowledge where `learn_past_replies`, and a model of replies is
    trained on it as `retrain` says, once `retrain_least_labels` came since the last run. To a `control_share` of the
    customers replies are chosen without that model, so that the two can be compared.

    Reports reckon an answer of an agent at `minutes_per_answer`, a minute at `cost_agent_minute` and a thousand tokens
    of a language model at `cost_per_1000_tokens`, in `currency`.
    """

    send_above: float | None = None
    draft_above: float = 0.2
    error_rate: float = 0.05
    auto_send_intents: tuple[str, ...] = ()
    blocked_topics: tuple[str, ...] = ()
    order_event_types: tuple[str, ...] = (
        *(
            "order",
            "purchase",
            "order_placed",
            "order_paid",
            "order_shipped",
            "shipment",
            "order_delivered",
            "delivery",
        ),
        *("order_cancelled", "order_updated", "return", "refund"),
    )
    stages: tuple[str, ...] = STAGES
    answers_inbound: bool = True
    business_name: str = ""
    first_response_minutes: int = 60
    learn_past_replies: bool = True
    retrain: Literal["off", "daily", "weekly"] = "off"
    retrain_least_labels: int = 100
    control_share: float = 0.0
    minutes_per_answer: float = 3.0
    cost_agent_minute: float = 0.5
    cost_per_1000_tokens: float = 0.0
    currency: str = "EUR"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ServiceSettings":
        """The defaults with some replaced. Raises ValidationError that names each setting that cannot be used."""
        problems = {name: problem for name, value in values.items() if (problem := _problem(name, value))}
        if problems:
            raise ValidationError(problems)
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return replace(cls(), **given)

    def to_dict(self) -> dict[str, Any]:
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def _problem(name: str, value: Any) -> str | None:
    if name == "send_above" and value is None:
        return None
    if name in ("send_above", "draft_above", "error_rate", "control_share"):
        return None if _is_number(value, 1) else "must be a number from 0 to 1"
    if name in ("minutes_per_answer", "cost_agent_minute", "cost_per_1000_tokens"):
        return None if _is_number(value, MOST_COST) else f"must be a number from 0 to {MOST_COST:,}"
    if name in ("answers_inbound", "learn_past_replies"):
        return None if type(value) is bool else "must be true or false"
    if name == "retrain":
        return None if value in RETRAIN else f"must be one of {', '.join(RETRAIN)}"
    if name == "retrain_least_labels":
        is_count = type(value) is int and 0 <= value <= MOST_LABELS
        return None if is_count else f"must be a whole number from 0 to {MOST_LABELS:,}"
    if name == "currency":
        return None if value in CURRENCIES else "must be a currency of ISO 4217, such as EUR"
    if name == "first_response_minutes":
        is_minutes = type(value) is int and 1 <= value <= MOST_MINUTES
        return None if is_minutes else f"must be a whole number of minutes from 1 to {MOST_MINUTES:,}"
    if name == "business_name":
        return (
            None
            if isinstance(value, str) and len(value) <= LONGEST_NAME
            else f"must be a text of at most {LONGEST_NAME}"
        )
    if name == "stages":
        is_known = isinstance(value, list | tuple) and {FULL_TEXT, DENSE} & set(value) and set(value) <= set(STAGES)
        return None if is_known else f"must name {FULL_TEXT} or {DENSE}, or both, and others of {', '.join(STAGES)}"
    if name in ("auto_send_intents", "blocked_topics", "order_event_types"):
        return _problem_of_names(name, value)
    return f"is not a setting; known are {', '.join(each.name for each in fields(ServiceSettings))}"


def _is_number(value: Any, most: float) -> bool:
    return type(value) in (int, float) and 0 <= value <= most


def _problem_of_names(name: str, value: Any) -> str | None:
    if not isinstance(value, list | tuple) or len(value) > MOST_NAMES:
        return f"must be a list of at most {MOST_NAMES} names"
    for each in value:
        if not isinstance(each, str) or not 1 <= len(each.strip()) <= LONGEST_NAME:
            return f"must hold texts of 1 to {LONGEST_NAME} characters"
    if name != "order_event_types":
        return None
    try:
        for each in value:
            parse_type(each)
    except Invalid as problem:
        return problem.message
    return None


_kept: Kept[ServiceSettings] = Kept(seconds=1.0)


def current_settings() -> ServiceSettings:
    """Those of the tenant in scope, as they were at most a second ago; the defaults where none are kept, or where what
    is kept cannot be used."""
    return _kept.get(SCENARIO, read_settings)


def read_settings() -> ServiceSettings:
    """Those of the tenant in scope as they are now."""
    kept = Scenario.objects.filter(key=SCENARIO, application=APPLICATION).values_list("settings", flat=True).first()
    try:
        return ServiceSettings.from_dict(kept or {})
    except ValidationError:
        return ServiceSettings()


def obtain_scenario() -> Scenario:
    """The scenario that holds the settings; made with its defaults where there is none. Safe to race."""
    known = Scenario.objects.filter(key=SCENARIO)
    if (scenario := known.first()) is not None:
        return scenario
    Scenario.objects.bulk_create(
        [Scenario(key=SCENARIO, name="Replies", application=APPLICATION, kind=KIND, model=MODEL)],
        ignore_conflicts=True,
    )
    return known.get()


def check_settings(values: Mapping[str, Any]) -> ServiceSettings:
    """Settings as somebody wants them, which must agree with each other; what was stored before is read as it is.
    Raises ValidationError."""
    settings = ServiceSettings.from_dict(values)
    if settings.send_above is not None and settings.send_above < settings.draft_above:
        problem = f"must be at least draft_above ({settings.draft_above:g}), below which all goes to an agent"
        raise ValidationError({"send_above": problem})
    return settings


def put_settings(values: Mapping[str, Any], *, actor: str) -> ServiceSettings:
    """Replace all settings; what `values` leaves out takes its default. Raises ValidationError."""
    settings = check_settings(values)
    change_scenario(scenario_id=obtain_scenario().id, values={"settings": settings.to_dict()}, actor=actor)
    _kept.forget(SCENARIO)
    return settings
