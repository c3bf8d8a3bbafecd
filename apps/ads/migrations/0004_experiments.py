import django.db.models.deletion
import uuid_utils.compat
from django.db import migrations, models

import tenancy.scope
from tenancy.operations import protect, tie


class Migration(migrations.Migration):
    dependencies = [
        ("ads", "0003_delivery_to_log"),
        ("tenancy", "0004_key_creators"),
    ]

    operations = [
        migrations.AlterField(
            model_name="adchange",
            name="kind",
            field=models.CharField(
                choices=[
                    ("advertiser", "Advertiser"),
                    ("campaign", "Campaign"),
                    ("flight", "Flight"),
                    ("creative", "Creative"),
                    ("placement", "Placement"),
                    ("experiment", "Experiment"),
                ],
                max_length=10,
            ),
        ),
        migrations.CreateModel(
            name="Experiment",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=200)),
                ("version", models.PositiveIntegerField(default=0, editable=False)),
                ("created_by", models.CharField(editable=False, max_length=200)),
                ("updated_by", models.CharField(editable=False, max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("archived_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("arms", models.JSONField()),
                (
                    "campaign",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="experiments",
                        to="ads.campaign",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        default=tenancy.scope.current_tenant_id,
                        editable=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
                "indexes": [
                    models.Index(fields=["tenant", "campaign"], name="experiment_campaign"),
                    models.Index(fields=["tenant", "ends_at"], name="experiment_ends"),
                ],
            },
        ),
        protect("ads_experiment", privileges="SELECT, INSERT, UPDATE"),
        tie("ads_experiment", "campaign_id", "ads_campaign"),
    ]
