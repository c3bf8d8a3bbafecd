"""The console's part of this application."""

from apps.service.inbox import admin as inbox_admin  # noqa: F401
