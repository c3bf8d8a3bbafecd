"""How a tenant's ads decide: time zone, windows, priors, filters. Kept as the settings of one scenario."""

import ipaddress
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from django.core.exceptions import ValidationError

from decisions.editing import change_settings_of
from decisions.models import Scenario
from decisions.policies import Policy
from tenancy.kept import Kept

APPLICATION = "ads"
SCENARIO = "ads"
MOST_ADDRESSES = 100


@dataclass(frozen=True)
class AdSettings:
    """Days of budgets and hours of targeting are those of `timezone`.

    A placed ad may be seen for `impression_minutes` and clicked for `click_minutes` after that. Until the log tells
    more, a creative is taken to be clicked at `prior_click_rate`, and a click to convert at `prior_conversion_rate`,
    each as sure as `prior_weight` observations. `policy` and `temperature` are those of decisions: `greedy`, or
    `softmax`, which now and then shows what scores less.

    Clicks sooner than `fastest_click_ms` after the impression are not billed, nor anything from `own_addresses` (of the
    business itself, such as 203.0.113.0/24), nor clicks beyond `most_clicks_an_hour` of one subject.

    With `four_eyes` nobody approves a creative that they had a hand in.
    """

    timezone: str = "UTC"
    impression_minutes: int = 30
    click_minutes: int = 240
    prior_click_rate: float = 0.005
    prior_conversion_rate: float = 0.02
    prior_weight: int = 500
    policy: Literal["greedy", "softmax"] = "greedy"
    temperature: float = 0.3
    fastest_click_ms: int = 500
    most_clicks_an_hour: int = 10
    own_addresses: tuple[str, ...] = ()
    four_eyes: bool = False

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "AdSettings":
        """The defaults with some replaced. Raises ValidationError that names each setting that cannot be used."""
        problems = {name: problem for name, value in values.items() if (problem := _problem(name, value))}
        if problems:
            raise ValidationError(problems)
        given: dict[str, Any] = dict(values)
        if "own_addresses" in given:
            given["own_addresses"] = tuple(given["own_addresses"])
        changed = replace(cls(), **given)
        Policy.from_settings({"policy": changed.policy, "temperature": changed.temperature})
        return changed

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"own_addresses": list(self.own_addresses)}

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @cached_property
    def decision_policy(self) -> Policy:
        return Policy.from_settings({"policy": self.policy, "temperature": self.temperature})

    @cached_property
    def own_networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        return tuple(ipaddress.ip_network(each, strict=False) for each in self.own_addresses)


RANGES = {
    "impression_minutes": (1, 1440),
    "click_minutes": (1, 1440),
    "prior_click_rate": (1e-6, 0.5),
    "prior_conversion_rate": (1e-6, 0.5),
    "prior_weight": (1, 1_000_000),
    "temperature": (0.01, 100),
    "fastest_click_ms": (0, 10_000),
    "most_clicks_an_hour": (1, 10_000),
}
WHOLE = {"impression_minutes", "click_minutes", "prior_weight", "fastest_click_ms", "most_clicks_an_hour"}


def _problem(name: str, value: Any) -> str | None:
    if name in RANGES:
        least, most = RANGES[name]
        is_number = type(value) is int or (type(value) is float and name not in WHOLE)
        whole = "whole " if name in WHOLE else ""
        return None if is_number and least <= value <= most else f"must be a {whole}number from {least:g} to {most:g}"
    if name == "timezone":
        known = isinstance(value, str) and value in available_timezones()
        return None if known else "must be a time zone such as Europe/Berlin"
    if name == "policy":
        return None if value in ("greedy", "softmax") else "must be greedy or softmax"
    if name == "four_eyes":
        return None if isinstance(value, bool) else "must be true or false"
    if name == "own_addresses":
        return problem_of_networks(value)
    return f"is not a setting; known are {', '.join(each.name for each in fields(AdSettings))}"


def problem_of_networks(value: Any) -> str | None:
    """Why a value is no list of networks, such as ["203.0.113.0/24"]; None where it is one."""
    if not isinstance(value, list | tuple) or len(value) > MOST_ADDRESSES:
        return f'must be a list of at most {MOST_ADDRESSES} networks, such as ["203.0.113.0/24"]'
    for each in value:
        try:
            ipaddress.ip_network(each if isinstance(each, str) else "", strict=False)
        except ValueError:
            return f"'{each}' is no network such as 203.0.113.0/24"
    return None


_kept: Kept[AdSettings] = Kept(2.0)


def current_settings() -> AdSettings:
    """Those of the tenant in scope, as they were at most two seconds ago; the defaults where none are kept."""
    return _kept.get("settings", _read)


def obtain_scenario() -> Scenario:
    """The scenario that holds the settings; made with its defaults where there is none. Safe to race."""
    known = Scenario.objects.filter(key=SCENARIO, application=APPLICATION)
    if (scenario := known.first()) is not None:
        return scenario
    Scenario.objects.bulk_create(
        [Scenario(key=SCENARIO, name="Ads", application=APPLICATION, kind="ads")], ignore_conflicts=True
    )
    return known.get()


def change_settings(changes: Mapping[str, Any], *, actor: str) -> AdSettings:
    """Replace some settings. Raises ValidationError that names each one that cannot be used."""
    settings = change_settings_of(
        scenario_id=obtain_scenario().id, changes=changes, check=AdSettings.from_dict, actor=actor
    )
    _kept.forget("settings")
    return settings


def _read() -> AdSettings:
    kept = Scenario.objects.filter(key=SCENARIO, application=APPLICATION).values_list("settings", flat=True).first()
    try:
        return AdSettings.from_dict(kept or {})
    except ValidationError:
        return AdSettings()
