"""How a tenant's risk desk decides: thresholds, costs, capacity. Kept as the settings of one scenario."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from apps.risk.engine import NEVER
from apps.risk.transactions.reading import parse_known_currency
from behavior.currencies import CURRENCIES
from behavior.parsing import Invalid, parse_type
from decisions.editing import change_settings_of
from decisions.models import Scenario
from serving.models import ModelVersion, VersionStatus
from serving.schedules import RETRAIN
from serving.selectors import model_versions
from tenancy.kept import Kept

APPLICATION = "risk"
SCENARIO = "transactions"
KIND = "transactions"
MODEL = "risk"
MOST_TYPES = 100
# A change reaches every process within this time, and a busy process reads them once in it.
SETTINGS_SECONDS = 1.0


@dataclass(frozen=True)
class RiskSettings:
    """`review_above` and `decline_above` are calibrated probabilities of fraud; above 1, up to NEVER, means never.

    Where no model of frauds is live but one of anomalies is, what is more unusual than the share `review_anomaly_above`
    of all transactions goes to review.

    A fraud that passes costs `cost_fraud_share` of its amount, a review `cost_review` and a genuine transaction that is
    declined `cost_wrong_decline`, all in the desk's own currency; a review recognises `review_catch_share` of
    the frauds;
    `daily_capacity` is how many reviews the desk can do a day. `label_delay_days` is how long after a transaction its
    fraud is usually known. Events of `event_types` in the behaviour log are transactions; those without a currency are
    in `currency`. One unit of another currency counts as `exchange_rates` says, in `currency`.

    A card, device, address or counterparty ties the cases of those who used it, unless more than
    `link_most_subjects` did.

    A `shadow_share` of the assessments is asked of a challenger too: of the version with the number
    `challenger_version`, or of the newest candidate where it is 0. A model is trained anew as `retrain` says, once
    `retrain_least_labels` labels came since the last run that succeeded.
    """

    review_above: float = 0.1
    decline_above: float = 0.8
    review_anomaly_above: float = 0.995
    label_delay_days: float = 7.0
    cost_fraud_share: float = 1.0
    cost_review: float = 5.0
    cost_wrong_decline: float = 20.0
    review_catch_share: float = 0.95
    daily_capacity: int = 100
    event_types: tuple[str, ...] = ("transaction", "payment", "transfer", "withdrawal")
    currency: str = "EUR"
    exchange_rates: Mapping[str, float] = field(default_factory=dict)
    shadow_share: float = 0.1
    challenger_version: int = 0
    retrain: Literal["off", "daily", "weekly"] = "off"
    retrain_least_labels: int = 100
    link_most_subjects: int = 20

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "RiskSettings":
        """The defaults with some replaced. Raises ValidationError that names each setting that cannot be used."""
        problems = {name: problem for name, value in values.items() if (problem := _problem(name, value))}
        if problems:
            raise ValidationError(problems)
        given: dict[str, Any] = dict(values)
        if "event_types" in given:
            given["event_types"] = tuple(given["event_types"])
        changed = replace(cls(), **given)
        if changed.review_above > changed.decline_above:
            raise ValidationError({"review_above": "must not be above decline_above"})
        if changed.currency in changed.exchange_rates:
            raise ValidationError({"exchange_rates": f"must not name {changed.currency}, the desk's own currency"})
        return changed

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"event_types": list(self.event_types), "exchange_rates": dict(self.exchange_rates)}


_settings: Kept[RiskSettings] = Kept(SETTINGS_SECONDS)

RANGES = {
    "review_above": (0, NEVER),
    "decline_above": (0, NEVER),
    "review_anomaly_above": (0, 1),
    "label_delay_days": (0, 365),
    "cost_fraud_share": (0, 100),
    "cost_review": (0, 1e6),
    "cost_wrong_decline": (0, 1e6),
    "review_catch_share": (0, 1),
    "daily_capacity": (0, 1_000_000),
    "shadow_share": (0, 1),
    "challenger_version": (0, 1_000_000),
    "retrain_least_labels": (0, 1_000_000),
    "link_most_subjects": (0, 1_000),
}
WHOLE = {"daily_capacity", "challenger_version", "retrain_least_labels", "link_most_subjects"}
# Of one unit of any currency in any other, with room to spare.
LEAST_RATE, MOST_RATE = 1e-9, 1e9


def _problem(name: str, value: Any) -> str | None:
    if name in RANGES:
        least, most = RANGES[name]
        is_number = type(value) is int or (type(value) is float and name not in WHOLE)
        whole = "whole " if name in WHOLE else ""
        return None if is_number and least <= value <= most else f"must be a {whole}number from {least:g} to {most:g}"
    if name == "currency":
        return None if value in CURRENCIES else "must be an ISO 4217 code in use, e.g. 'EUR'"
    if name == "exchange_rates":
        return _problem_of_rates(value)
    if name == "event_types":
        return _problem_of_types(value)
    if name == "retrain":
        return None if value in RETRAIN else f"must be one of {', '.join(RETRAIN)}"
    return f"is not a setting; known are {', '.join(each.name for each in fields(RiskSettings))}"


def _problem_of_types(value: Any) -> str | None:
    if not isinstance(value, list | tuple) or len(value) > MOST_TYPES:
        return f'must be a list of at most {MOST_TYPES} event types, e.g. ["payment"]'
    try:
        for each in value:
            parse_type(each)
    except Invalid as problem:
        return problem.message
    return None


def _problem_of_rates(value: Any) -> str | None:
    if not isinstance(value, Mapping):
        return 'must be rates by currency, e.g. {"USD": 0.92}'
    for currency, rate in value.items():
        try:
            parse_known_currency(currency)
        except Invalid as problem:
            return problem.message
        if type(rate) not in (int, float) or not LEAST_RATE <= rate <= MOST_RATE:
            return f"the rate of {currency} must be a number from {LEAST_RATE:g} to {MOST_RATE:g}"
    return None


def check_settings(values: Mapping[str, Any]) -> RiskSettings:
    """Settings as somebody wants them; a challenger that is newly named must be one. Raises ValidationError."""
    settings = RiskSettings.from_dict(values)
    number = settings.challenger_version
    if number in (0, current_settings().challenger_version):
        return settings
    known = possible_challengers().order_by("-number").values_list("number", flat=True)
    if number not in known:
        named = ", ".join([*(str(each) for each in known[:10]), "0 (the newest candidate)"])
        problem = f"{number} is no version that can be asked; choose one of {named}"
        raise ValidationError({"challenger_version": problem})
    return settings


def possible_challengers() -> QuerySet[ModelVersion]:
    """Versions that are not live, that the gate has not refused, and that still have their files."""
    able = model_versions(MODEL).filter(files_deleted_at=None)
    return able.exclude(status__in=[VersionStatus.REFUSED, VersionStatus.LIVE])


def live_settings() -> RiskSettings:
    """`current_settings` as they were at most SETTINGS_SECONDS ago, for the path of an answer."""
    return _settings.get(None, current_settings)


def current_settings() -> RiskSettings:
    """Those of the tenant in scope; the defaults where none are kept, or where what is kept cannot be used."""
    kept = Scenario.objects.filter(key=SCENARIO, application=APPLICATION).values_list("settings", flat=True).first()
    try:
        return RiskSettings.from_dict(kept or {})
    except ValidationError:
        return RiskSettings()


def training_config() -> dict[str, Any]:
    """What a run of the task risk takes from the desk's settings where it does not say otherwise."""
    return {"label_delay_days": current_settings().label_delay_days}


def obtain_scenario() -> Scenario:
    """The scenario that holds the settings; made with its defaults where there is none. Safe to race."""
    known = Scenario.objects.filter(key=SCENARIO)
    if (scenario := known.first()) is not None:
        return scenario
    Scenario.objects.bulk_create(
        [Scenario(key=SCENARIO, name="Transactions", application=APPLICATION, kind=KIND, model=MODEL)],
        ignore_conflicts=True,
    )
    return known.get()


def change_settings(changes: Mapping[str, Any], *, actor: str) -> RiskSettings:
    """Replace some settings. Raises ValidationError that names each one that cannot be used."""
    settings = change_settings_of(scenario_id=obtain_scenario().id, changes=changes, check=check_settings, actor=actor)
    _settings.forget(None)
    return settings
