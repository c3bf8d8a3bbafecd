"""The worker that sends daily e-mails asks whether a member can still log in, and learns nothing else of users."""

from django.conf import settings
from django.db import migrations

APP = settings.DATABASE_ROLES["app"]


class Migration(migrations.Migration):
    dependencies = [
        ("risk", "0011_alerts_join_cases"),
        ("tenancy", "0003_definer_search_path"),
    ]

    operations = [
        migrations.RunSQL(
            f"GRANT SELECT (id, is_active) ON auth_user TO {APP}",
            f"REVOKE SELECT (id, is_active) ON auth_user FROM {APP}",
        ),
    ]
