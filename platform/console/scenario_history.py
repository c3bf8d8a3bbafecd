"""The history of a scenario in words: what each change did, and whether it can be undone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from decisions.editing import scenario_changes
from decisions.models import Scenario, ScenarioChange

SHOWN = 20


@dataclass(frozen=True)
class HistoryRow:
    change: ScenarioChange
    lines: list[str]
    can_be_undone: bool


def history_rows(scenario: Scenario) -> list[HistoryRow]:
    """The newest changes first."""
    return [
        HistoryRow(change, _lines(change), change.before is not None)
        for change in scenario_changes(scenario.key)[:SHOWN]
    ]


def _lines(change: ScenarioChange) -> list[str]:
    if change.before is None:
        return ["made"]
    before, after = _flat(change.before), _flat(change.after)
    return [
        f"{name}: {_said(before, name)} → {_said(after, name)}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def _flat(state: Mapping[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in state.items() if name != "settings"}
    return rest | {f"settings.{name}": value for name, value in state["settings"].items()}


def _said(state: Mapping[str, Any], name: str) -> str:
    return json.dumps(state[name], ensure_ascii=False) if name in state else "default"
