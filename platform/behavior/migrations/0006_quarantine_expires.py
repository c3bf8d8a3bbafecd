from django.conf import settings
from django.db import migrations

APP = settings.DATABASE_ROLES["app"]


class Migration(migrations.Migration):
    """What lay in quarantine for long is deleted: it holds raw ids of people."""

    dependencies = [("behavior", "0005_person_without_links")]

    operations = [
        migrations.RunSQL(
            f"GRANT DELETE ON behavior_quarantine TO {APP}", f"REVOKE DELETE ON behavior_quarantine FROM {APP}"
        )
    ]
