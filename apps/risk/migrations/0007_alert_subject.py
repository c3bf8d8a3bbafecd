from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("risk", "0006_notifications")]

    operations = [
        AddIndexConcurrently(
            "alert",
            models.Index(
                models.F("tenant"),
                models.F("subject_key"),
                models.OrderBy(models.F("created_at"), descending=True),
                name="alert_subject",
            ),
        ),
    ]
