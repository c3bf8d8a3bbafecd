"""Scenario settings: defaults, checks, and how soon a change is felt."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from apps.recommendation.lists.settings import ScenarioSettings, settings_schema
from apps.recommendation.scenarios import DEFAULT_SCENARIOS, Kind, scenario_settings
from apps.recommendation.selectors import scenarios
from apps.recommendation.services import create_default_scenarios
from behavior.event_types import PURCHASES
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.recommendation.conftest import ids


def test_settings_have_defaults_and_survive_a_round_trip() -> None:
    settings = ScenarioSettings.from_dict({"temperature": 0.5})
    assert settings.temperature == 0.5
    assert settings.exclude_bought_days == 30
    assert set(settings.bought_types) == PURCHASES
    assert ScenarioSettings.from_dict(settings.to_dict()) == settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("exclude_bought_days", -1),
        ("exclude_bought_days", True),
        ("exclude_seen", "yes"),
        ("temperature", float("nan")),
        ("event_weights", ["view"]),
        ("event_weights", {"view": -1}),
        ("bought_types", "purchase"),
        ("popular_days", 0),
        ("filter", {"eq": {"field": "colour", "value": "red"}}),
        ("require_known_items", "auto"),
        ("variety", 0.5),
        ("diversity", 1.5),
        ("freshness", -2),
        ("price", "cheap"),
        ("rotation_rate", True),
        ("rotation_hours", 0),
        ("category_window", {"size": 3}),
        ("category_window", {"size": 3, "limit": 3}),
        ("viewed_types", "view"),
        ("negative_types", [1]),
        ("fill", 1),
    ],
)
def test_unusable_settings_are_named(name: str, value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        ScenarioSettings.from_dict({name: value})
    assert list(refused.value.message_dict) == [name]


def test_every_setting_is_documented_and_its_default_can_be_used() -> None:
    documented = settings_schema()["properties"]
    assert documented.keys() == ScenarioSettings().to_dict().keys()
    assert all(each["description"] for each in documented.values())
    assert ScenarioSettings.from_dict(ScenarioSettings().to_dict()) == ScenarioSettings()


def test_a_kind_has_settings_of_its_own_which_the_scenario_may_replace() -> None:
    own = scenario_settings(Kind.BUY_AGAIN)
    assert (own.exclude_bought_days, own.fill) == (0, False)
    changed = scenario_settings(Kind.BUY_AGAIN, {"fill": True}, {"exclude_bought_days": 3})
    assert (changed.exclude_bought_days, changed.fill) == (3, True)


def test_default_scenarios_are_made_once_and_keep_their_changes(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        create_default_scenarios()
        scenarios().filter(key="home").update(settings={"exclude_seen": True})
        create_default_scenarios()
        found = dict(scenarios().values_list("key", "settings"))
    assert found == {each.key: {} for each in DEFAULT_SCENARIOS} | {"home": {"exclude_seen": True}}


def test_a_change_of_settings_is_felt_within_two_seconds(
    shop: Tenant, recommend: Callable[..., dict[str, Any]]
) -> None:
    assert len(ids(recommend("popular"))) == 12
    with tenant_scope(shop.id):
        only_boots = {"filter": {"eq": {"field": "categories", "value": "boots"}}}
        scenarios().filter(key="popular").update(settings=only_boots)
    time.sleep(1.1)
    assert len(ids(recommend("popular"))) == 6


def test_a_scenario_that_is_switched_off_is_unknown(shop: Tenant, api: Any) -> None:
    with tenant_scope(shop.id):
        create_default_scenarios()
        scenarios().filter(key="trending").update(is_active=False)
    answer = api.post("recommendations", {"scenario": "trending", "subject": {"user_id": "u1"}})
    assert answer.status_code == 404
    assert "known are: also-bought, buy-again, cart, category, email, home, popular, " in answer.json()["detail"]
    assert "trending" not in answer.json()["detail"].partition("known are")[2]
