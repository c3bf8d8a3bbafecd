"""The console's part of this application: scenario settings are judged where they are edited."""

from apps.recommendation.scenarios import APPLICATION
from apps.recommendation.settings import ScenarioSettings
from console.pages.scenarios import check_scenario_settings

check_scenario_settings(APPLICATION, ScenarioSettings.from_dict)
