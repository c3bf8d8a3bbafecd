from django.db import migrations, models


class Migration(migrations.Migration):
    """Columns with defaults in the database: no row is rewritten, and processes of the release before go on writing."""

    dependencies = [("ads", "0001_campaigns"), ("tenancy", "0004_key_creators")]

    operations = [
        migrations.AddField(
            "delivery",
            "consent",
            models.SmallIntegerField(default=1, db_default=1, help_text="of the subject, as bits"),
        ),
        migrations.AddField("delivery", "country", models.CharField(max_length=100, default="", db_default="")),
        migrations.AddField("delivery", "device", models.CharField(max_length=10, default="", db_default="")),
        migrations.AddField(
            "delivery",
            "to_log",
            models.SmallIntegerField(
                default=0, db_default=0, help_text="events that the behaviour log does not hold yet, as bits of TO_LOG"
            ),
        ),
    ]
