"""The console's part of this application."""

from apps.service.experiments import admin as experiment_admin  # noqa: F401
from apps.service.inbox import admin as inbox_admin  # noqa: F401
from apps.service.knowledge import admin as knowledge_admin  # noqa: F401
from apps.service.replies import admin as reply_admin  # noqa: F401
from apps.service.reports import admin as report_admin  # noqa: F401
from apps.service.understanding import admin as understanding_admin  # noqa: F401
