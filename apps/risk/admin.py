"""The console's part of this application."""

from apps.risk.monitoring import admin as monitoring_admin  # noqa: F401
