"""The console's part of this application."""

from apps.service.understanding import admin as understanding_admin  # noqa: F401
