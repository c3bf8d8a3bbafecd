import django.db.models.deletion
import django.utils.timezone
import uuid_utils.compat
from django.db import migrations, models

import tenancy.scope
from tenancy.operations import CreatePartitionedModel, protect


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("tenancy", "0002_row_level_security"),
    ]

    operations = [
        CreatePartitionedModel(
            partition_by="decided_at",
            name="Decision",
            fields=[
                (
                    "decision_id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("decided_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("application", models.CharField(max_length=30)),
                ("scenario", models.CharField(max_length=50)),
                ("subject_key", models.BinaryField(null=True)),
                ("session_key", models.TextField(null=True)),
                ("model_version", models.UUIDField(null=True)),
                ("policy", models.TextField()),
                ("variant", models.TextField(null=True)),
                ("degraded", models.TextField(null=True)),
                ("request", models.JSONField(default=dict)),
                ("items", models.JSONField(default=list)),
                ("latency_ms", models.FloatField()),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
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
                "ordering": ["-decision_id"],
                "indexes": [models.Index(fields=["tenant", "subject_key", "-decided_at"], name="decision_subject")],
            },
        ),
        migrations.CreateModel(
            name="Scenario",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("key", models.SlugField(db_index=False, help_text="What clients name in their calls.")),
                ("name", models.CharField(max_length=200)),
                ("application", models.SlugField(db_index=False, max_length=30)),
                ("kind", models.SlugField(db_index=False, max_length=30)),
                (
                    "model",
                    models.SlugField(
                        blank=True,
                        db_index=False,
                        help_text="Line of models that answers, such as next-item; empty where none does.",
                    ),
                ),
                ("settings", models.JSONField(blank=True, default=dict)),
                ("is_active", models.BooleanField(default=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
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
                "ordering": ["application", "key"],
                "constraints": [models.UniqueConstraint(fields=("tenant", "key"), name="scenario_key")],
            },
        ),
        protect("decisions_decision", primary_key=None, privileges="SELECT, INSERT"),
        protect("decisions_scenario"),
    ]
