"""The console's part of this application."""

from apps.risk.assessments import admin as settings_admin  # noqa: F401
from apps.risk.cases import admin as case_admin  # noqa: F401
from apps.risk.labels import admin as label_admin  # noqa: F401
from apps.risk.lists import admin as list_admin  # noqa: F401
from apps.risk.monitoring import admin as monitoring_admin  # noqa: F401
from apps.risk.notifications import admin as notification_admin  # noqa: F401
from apps.risk.rules import admin as rule_admin  # noqa: F401
