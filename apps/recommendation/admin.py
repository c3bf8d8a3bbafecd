"""The console's part of this application: scenario settings are judged where they are edited, and its own pages."""

from apps.recommendation import admin_batches, admin_sufficiency  # noqa: F401
from apps.recommendation.scenarios import APPLICATION, ScenarioSettings
from console.pages.scenarios import check_scenario_settings

check_scenario_settings(APPLICATION, ScenarioSettings.from_dict)
