from django.conf import settings
from django.db import migrations

APP = settings.DATABASE_ROLES["app"]


class Migration(migrations.Migration):
    """Counts of what was not seen for two weeks are deleted."""

    dependencies = [("ads", "0012_filtered_hours")]

    operations = [
        migrations.RunSQL(
            f"GRANT DELETE ON ads_creativecount TO {APP}", f"REVOKE DELETE ON ads_creativecount FROM {APP}"
        )
    ]
