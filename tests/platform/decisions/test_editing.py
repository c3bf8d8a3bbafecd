"""Changes of scenarios: kept with their author, undone, and never lost to somebody else's."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, connection, transaction

from decisions.editing import change_scenario, change_settings_of, create_scenario, scenario_changes, undo_change
from decisions.models import Scenario, ScenarioChange
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.waiting import until


def make(**values: Any) -> Scenario:
    values = {
        "key": "home",
        "name": "Home",
        "application": "recommendation",
        "kind": "popular",
        "actor": "ada",
    } | values
    return create_scenario(**values)


def test_a_history_says_who_changed_what(scope: Tenant) -> None:
    home = make()
    change_scenario(scenario_id=home.id, values={"settings": {"popular_days": 7}}, actor="bob")

    changed, made = scenario_changes("home")
    assert (made.action, made.actor, made.before) == ("created", "ada", None)
    assert (changed.action, changed.actor) == ("changed", "bob")
    assert (changed.before["settings"], changed.after["settings"]) == ({}, {"popular_days": 7})


def test_a_change_of_nothing_is_no_change(scope: Tenant) -> None:
    home = make()
    change_scenario(scenario_id=home.id, values={"name": "Home", "settings": {}}, actor="bob")
    assert scenario_changes("home").count() == 1


def test_undo_goes_back_to_the_state_before_and_can_be_undone(scope: Tenant) -> None:
    home = make()
    change_scenario(scenario_id=home.id, values={"is_active": False}, actor="bob")
    change_scenario(scenario_id=home.id, values={"name": "Front"}, actor="bob")

    switched_off = scenario_changes("home")[1]
    undone = undo_change(change_id=switched_off.id, actor="ada")
    assert (undone.is_active, undone.name) == (True, "Home")

    back = undo_change(change_id=scenario_changes("home")[0].id, actor="ada")
    assert (back.is_active, back.name) == (False, "Front")
    assert [each.action for each in scenario_changes("home")] == ["undone", "undone", "changed", "changed", "created"]


def test_the_making_of_a_scenario_cannot_be_undone(scope: Tenant) -> None:
    make()
    with pytest.raises(ValidationError, match="switch it off"):
        undo_change(change_id=scenario_changes("home")[0].id, actor="ada")


def test_two_operators_do_not_overwrite_each_other(scope: Tenant) -> None:
    home = make()
    change_scenario(scenario_id=home.id, values={"name": "Front"}, actor="bob", seen_at=home.updated_at)
    with pytest.raises(ValidationError, match="bob has changed"):
        change_scenario(scenario_id=home.id, values={"name": "Start"}, actor="ada", seen_at=home.updated_at)
    assert Scenario.objects.get().name == "Front"


def test_settings_that_are_replaced_at_once_are_all_replaced(tenant: Tenant) -> None:
    """While one change waits for its commit, the other waits for it."""
    with tenant_scope(tenant.id):
        home = make(settings={"kept": 0})

    def put(**changes: int) -> dict[str, Any]:
        return dict(change_settings_of(scenario_id=home.id, changes=changes, check=dict, actor="bob"))

    def elsewhere() -> None:
        try:
            with tenant_scope(tenant.id):
                put(second=2)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with tenant_scope(tenant.id):
            put(first=1)
            other = pool.submit(elsewhere)
            until(somebody_waits, every=0.01)
        other.result()
    with tenant_scope(tenant.id):
        assert Scenario.objects.get().settings == {"kept": 0, "first": 1, "second": 2}


def somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))")
        return bool(cursor.fetchone()[0])


def test_a_key_is_used_once(scope: Tenant) -> None:
    make()
    with pytest.raises(ValidationError) as refused:
        make(name="Another")
    assert "key" in refused.value.message_dict
    assert Scenario.objects.count() == 1


def test_history_cannot_be_rewritten(scope: Tenant) -> None:
    make()
    with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
        ScenarioChange.objects.update(actor="nobody")
    with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
        ScenarioChange.objects.all().delete()
