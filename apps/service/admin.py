"""The console's part of this application."""

from apps.service.knowledge import admin as knowledge_admin  # noqa: F401
