import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from tenancy.operations import tie

ROLES = settings.DATABASE_ROLES
CHANGED = "(case_id, outcome, release_asked_by, release_person)"
RUNTIME = f"{ROLES['app']}, {ROLES['console']}"


class Migration(migrations.Migration):
    dependencies = [
        ("risk", "0007_alert_subject"),
        ("tenancy", "0004_key_creators"),
    ]

    operations = [
        migrations.AddField(
            model_name="alert",
            name="outcome",
            field=models.CharField(
                blank=True,
                choices=[("confirmed", "Confirmed fraud"), ("false_alarm", "False alarm")],
                db_default="",
                default="",
                max_length=12,
            ),
        ),
        migrations.AddField(
            model_name="alert",
            name="release_asked_by",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
        migrations.AddField(
            model_name="alert",
            name="release_person",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
        migrations.AddField(
            model_name="case",
            name="merged_into",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="merged",
                to="risk.case",
            ),
        ),
        migrations.AddField(
            model_name="case",
            name="release_person",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
        migrations.AlterField(
            model_name="case",
            name="status",
            field=models.CharField(
                choices=[
                    ("open", "Open"),
                    ("in_review", "In review"),
                    ("escalated", "Escalated"),
                    ("confirmed", "Confirmed fraud"),
                    ("false_alarm", "False alarm"),
                    ("merged", "Merged"),
                ],
                default="open",
                max_length=12,
            ),
        ),
        migrations.AlterField(
            model_name="caseevent",
            name="kind",
            field=models.CharField(
                choices=[
                    ("opened", "Opened"),
                    ("alerted", "New alerts"),
                    ("assigned", "Assigned"),
                    ("moved", "Moved"),
                    ("noted", "Note"),
                    ("release_asked", "Release asked for"),
                    ("release_refused", "Release refused"),
                    ("alert_decided", "Alert decided"),
                    ("alert_release_asked", "Release of an alert asked for"),
                    ("alert_release_refused", "Release of an alert refused"),
                    ("merged", "Merged"),
                ],
                max_length=30,
            ),
        ),
        migrations.AddIndex(
            model_name="case",
            index=models.Index(
                condition=models.Q(("merged_into__isnull", False)),
                fields=["tenant", "subject_key", "merged_into"],
                name="case_merged",
            ),
        ),
        migrations.AlterField(
            model_name="alert", name="created_at", field=models.DateTimeField(default=django.utils.timezone.now)
        ),
        tie("risk_case", "merged_into_id", "risk_case"),
        # What an alert says of its transaction stays as it was.
        migrations.RunSQL(
            f"GRANT UPDATE {CHANGED} ON risk_alert TO {RUNTIME}",
            f"REVOKE UPDATE {CHANGED} ON risk_alert FROM {RUNTIME}",
        ),
    ]
