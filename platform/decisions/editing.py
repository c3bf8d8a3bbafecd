"""Changes of scenarios by operators: each one is kept with who made it, and can be undone."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from decisions.models import Scenario, ScenarioChange

EDITED = ("name", "model", "settings", "is_active")
Settings = TypeVar("Settings")
IN_USE = "There is a scenario with this key; choose another one."


def scenario_changes(key: str) -> QuerySet[ScenarioChange]:
    """Changes of the scenario with this key, newest first."""
    return ScenarioChange.objects.filter(scenario=key).order_by("-created_at", "-id")


def create_scenario(
    *,
    key: str,
    name: str,
    application: str,
    kind: str,
    actor: str,
    model: str = "",
    settings: Mapping[str, Any] | None = None,
    is_active: bool = True,
) -> Scenario:
    """Raises ValidationError for unusable values and for a key that is in use."""
    scenario = Scenario(
        key=key,
        name=name,
        application=application,
        kind=kind,
        model=model,
        settings=dict(settings or {}),
        is_active=is_active,
    )
    scenario.clean_fields()
    try:
        with transaction.atomic():
            scenario.save(force_insert=True)
    except IntegrityError as error:
        raise ValidationError({"key": IN_USE}) from error
    _keep(scenario, ScenarioChange.Action.CREATED, actor, None)
    return scenario


@transaction.atomic
def change_scenario(
    *, scenario_id: UUID, values: Mapping[str, Any], actor: str, seen_at: datetime | None = None
) -> Scenario:
    """Give some of EDITED new values. `seen_at` is the `updated_at` that the operator saw.

    Raises ValidationError for unusable values, and where somebody else has changed the scenario since `seen_at`.
    """
    scenario = Scenario.objects.select_for_update().get(id=scenario_id)
    if seen_at is not None and scenario.updated_at != seen_at:
        last = scenario_changes(scenario.key).first()
        who = f"{last.actor} has" if last else "Somebody has"
        raise ValidationError(
            f"{who} changed this scenario since you opened it. Load the page anew, and change it there."
        )
    return _write(scenario, values, ScenarioChange.Action.CHANGED, actor)


@transaction.atomic
def change_settings_of(
    *, scenario_id: UUID, changes: Mapping[str, Any], check: Callable[[Mapping[str, Any]], Settings], actor: str
) -> Settings:
    """Replace some of a scenario's settings; whoever replaces others at that moment loses nothing.

    Returns what `check` makes of all of them; it raises ValidationError for those that cannot be used.
    """
    scenario = Scenario.objects.select_for_update().get(id=scenario_id)
    values = {**scenario.settings, **changes}
    settings = check(values)
    _write(scenario, {"settings": values}, ScenarioChange.Action.CHANGED, actor)
    return settings


@transaction.atomic
def undo_change(*, change_id: UUID, actor: str) -> Scenario:
    """Bring the scenario back to the state before a change; what was changed after it goes too, and stays in the
    history. Raises ScenarioChange.DoesNotExist, and ValidationError for the change that made the scenario."""
    change = ScenarioChange.objects.get(id=change_id)
    if change.before is None:
        raise ValidationError("Before this change there was no scenario; switch it off instead.")
    scenario = Scenario.objects.select_for_update().get(key=change.scenario)
    return _write(scenario, change.before, ScenarioChange.Action.UNDONE, actor)


def _write(scenario: Scenario, values: Mapping[str, Any], action: str, actor: str) -> Scenario:
    before = _state(scenario)
    for name in EDITED:
        if name in values:
            setattr(scenario, name, values[name])
    if _state(scenario) == before:
        return scenario
    scenario.clean_fields()
    scenario.save()
    _keep(scenario, action, actor, before)
    return scenario


def _keep(scenario: Scenario, action: str, actor: str, before: dict[str, Any] | None) -> None:
    ScenarioChange.objects.create(
        scenario=scenario.key, action=action, actor=actor, before=before, after=_state(scenario)
    )


def _state(scenario: Scenario) -> dict[str, Any]:
    return {name: getattr(scenario, name) for name in EDITED}
