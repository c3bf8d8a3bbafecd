"""The console's part of this application: rules, searches, settings judged where they are edited, reasons."""

from apps.recommendation import rule_admin, search_admin  # noqa: F401
from apps.recommendation.explanation_view import explanation_context
from apps.recommendation.scenarios import APPLICATION
from apps.recommendation.settings import ScenarioSettings
from console.pages.decisions import explain_decisions
from console.pages.scenarios import check_scenario_settings

check_scenario_settings(APPLICATION, ScenarioSettings.from_dict)
explain_decisions(APPLICATION, explanation_context)
