"""The console's part of this application: rules, and scenario settings that are judged where they are edited."""

from apps.recommendation import rule_admin  # noqa: F401
from apps.recommendation.scenarios import APPLICATION
from apps.recommendation.settings import ScenarioSettings
from console.pages.scenarios import check_scenario_settings

check_scenario_settings(APPLICATION, ScenarioSettings.from_dict)
