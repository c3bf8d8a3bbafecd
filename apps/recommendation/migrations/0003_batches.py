import django.contrib.postgres.fields
import django.db.models.deletion
import django.utils.timezone
import uuid_utils.compat
from django.db import migrations, models

import tenancy.scope
from tenancy.operations import protect, tie


class Migration(migrations.Migration):
    dependencies = [
        ("recommendation", "0002_purchase_habits"),
        ("decisions", "0001_initial"),
        ("tenancy", "0002_row_level_security"),
    ]

    operations = [
        migrations.CreateModel(
            name="ScenarioData",
            fields=[],
            options={
                "verbose_name": "scenario's data",
                "verbose_name_plural": "data sufficiency",
                "proxy": True,
                "indexes": [],
                "constraints": [],
            },
            bases=("decisions.scenario",),
        ),
        migrations.CreateModel(
            name="Batch",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("scenario", models.SlugField(db_index=False)),
                ("count", models.PositiveSmallIntegerField(default=12, help_text="Items in each list, 1 to 100.")),
                ("filter", models.JSONField(blank=True, null=True)),
                ("params", models.JSONField(blank=True, default=dict)),
                (
                    "format",
                    models.CharField(
                        choices=[("parquet", "Parquet"), ("csv", "CSV")], default="parquet", max_length=10
                    ),
                ),
                (
                    "subject_keys",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BinaryField(), blank=True, editable=False, null=True, size=None
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("queued", "Queued"),
                            ("running", "Running"),
                            ("succeeded", "Succeeded"),
                            ("failed", "Failed"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="queued",
                        max_length=10,
                    ),
                ),
                ("total", models.PositiveIntegerField(default=0)),
                ("lists", models.PositiveIntegerField(default=0)),
                ("rows", models.PositiveBigIntegerField(default=0)),
                ("empty", models.PositiveIntegerField(default=0)),
                ("left_out", models.PositiveIntegerField(default=0)),
                ("degraded", models.PositiveIntegerField(default=0)),
                ("failed", models.PositiveIntegerField(default=0)),
                ("errors", models.JSONField(blank=True, default=list)),
                ("file_bytes", models.PositiveBigIntegerField(blank=True, null=True)),
                ("requested_by", models.CharField(blank=True, max_length=200)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("announced_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
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
                "verbose_name_plural": "batches",
                "ordering": ["-created_at"],
            },
        ),
        migrations.CreateModel(
            name="BatchChunk",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                ("subject_keys", django.contrib.postgres.fields.ArrayField(base_field=models.BinaryField(), size=None)),
                ("subjects", models.PositiveIntegerField()),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("queued", "Queued"),
                            ("running", "Running"),
                            ("succeeded", "Succeeded"),
                            ("failed", "Failed"),
                        ],
                        default="queued",
                        max_length=10,
                    ),
                ),
                ("attempt", models.PositiveSmallIntegerField(default=0)),
                ("lease_owner", models.UUIDField(null=True)),
                ("lease_expires_at", models.DateTimeField(null=True)),
                ("lists", models.PositiveIntegerField(default=0)),
                ("rows", models.PositiveIntegerField(default=0)),
                ("empty", models.PositiveIntegerField(default=0)),
                ("left_out", models.PositiveIntegerField(default=0)),
                ("degraded", models.PositiveIntegerField(default=0)),
                ("error", models.TextField(blank=True)),
                (
                    "batch",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="chunks",
                        to="recommendation.batch",
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
                "ordering": ["number"],
            },
        ),
        migrations.AddIndex(
            model_name="batch",
            index=models.Index(fields=["tenant", "-created_at"], name="batch_created"),
        ),
        migrations.AddConstraint(
            model_name="batch",
            constraint=models.UniqueConstraint(
                condition=models.Q(("status__in", ("queued", "running"))),
                fields=("tenant", "scenario"),
                name="batch_one_active",
            ),
        ),
        migrations.AddIndex(
            model_name="batchchunk",
            index=models.Index(fields=["tenant", "batch", "status", "number"], name="batch_chunk_next"),
        ),
        migrations.AddConstraint(
            model_name="batchchunk",
            constraint=models.UniqueConstraint(fields=("tenant", "batch", "number"), name="batch_chunk_number"),
        ),
        protect("recommendation_batch", privileges="SELECT, INSERT, UPDATE"),
        # The console follows and cancels; only workers make lists.
        protect("recommendation_batchchunk", console_privileges="SELECT, DELETE"),
        tie("recommendation_batchchunk", "batch_id", "recommendation_batch"),
    ]
