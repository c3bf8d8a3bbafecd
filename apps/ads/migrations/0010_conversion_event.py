import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    """With a default in the database: no row is rewritten, and processes of the release before go on writing."""

    dependencies = [("ads", "0009_expected_costs")]

    operations = [
        migrations.AddField(
            "flight",
            "conversion_event",
            models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Event of the log that is a conversion, such as sign_up. Empty: a purchase.",
                max_length=64,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-z][a-z0-9_.-]*\\Z", "must be an event type, such as sign_up"
                    )
                ],
            ),
        ),
    ]
