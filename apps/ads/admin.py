"""The console's part of this application."""

from apps.ads import settings_admin  # noqa: F401
from apps.ads.audiences import admin as audience_admin  # noqa: F401
from apps.ads.campaigns import admin as campaign_admin  # noqa: F401
from apps.ads.experiments import admin as experiment_admin  # noqa: F401
from apps.ads.reports import admin as report_admin  # noqa: F401
