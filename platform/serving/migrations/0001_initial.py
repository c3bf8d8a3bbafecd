import django.db.models.deletion
import django.utils.timezone
import uuid_utils.compat
from django.db import migrations, models

import tenancy.scope
from tenancy.operations import protect, tie


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("tenancy", "0002_row_level_security"),
    ]

    operations = [
        migrations.CreateModel(
            name="TrainingRun",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("model", models.SlugField(db_index=False)),
                ("task", models.SlugField(db_index=False, max_length=30)),
                ("config", models.JSONField(blank=True, default=dict)),
                ("auto_promote", models.BooleanField(default=True)),
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
                ("attempt", models.PositiveSmallIntegerField(default=0)),
                ("lease_owner", models.UUIDField(blank=True, null=True)),
                ("lease_expires_at", models.DateTimeField(blank=True, null=True)),
                ("progress", models.JSONField(blank=True, default=dict)),
                ("curve", models.JSONField(blank=True, default=list)),
                ("report", models.JSONField(blank=True, null=True)),
                ("error", models.TextField(blank=True)),
                (
                    "snapshot",
                    models.CharField(
                        blank=True, help_text="Folder of the training data under SNAPSHOTS.", max_length=300
                    ),
                ),
                ("requested_by", models.CharField(blank=True, max_length=200)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("queued_at", models.DateTimeField(default=django.utils.timezone.now)),
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
                "ordering": ["-created_at"],
            },
        ),
        migrations.CreateModel(
            name="ModelVersion",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("model", models.SlugField(db_index=False)),
                ("number", models.PositiveIntegerField()),
                ("task", models.SlugField(db_index=False, max_length=30)),
                (
                    "artifact",
                    models.CharField(help_text="Folder under ARTIFACTS; its first part is the tenant.", max_length=300),
                ),
                ("artifact_sha256", models.CharField(max_length=64)),
                ("metrics", models.JSONField(default=dict)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("candidate", "Candidate"),
                            ("live", "Live"),
                            ("retired", "Retired"),
                            ("refused", "Refused"),
                        ],
                        default="candidate",
                        max_length=10,
                    ),
                ),
                ("reasons", models.JSONField(default=list)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
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
                (
                    "run",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="versions",
                        to="serving.trainingrun",
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at"],
            },
        ),
        migrations.CreateModel(
            name="DeploymentEvent",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("model", models.SlugField(db_index=False)),
                (
                    "action",
                    models.CharField(choices=[("promote", "Promoted"), ("rollback", "Rolled back")], max_length=10),
                ),
                ("actor", models.CharField(max_length=200)),
                ("reasons", models.JSONField(default=list)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
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
                (
                    "from_version",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="serving.modelversion",
                    ),
                ),
                (
                    "to_version",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="serving.modelversion",
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at"],
                "indexes": [models.Index(fields=["tenant", "model", "-created_at"], name="deployment_event_created")],
            },
        ),
        migrations.CreateModel(
            name="Deployment",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("model", models.SlugField(db_index=False)),
                ("promoted_at", models.DateTimeField()),
                ("promoted_by", models.CharField(max_length=200)),
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
                (
                    "live_version",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="serving.modelversion",
                    ),
                ),
                (
                    "previous_version",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="serving.modelversion",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("tenant", "model"), name="deployment_model")],
            },
        ),
        migrations.AddIndex(
            model_name="trainingrun",
            index=models.Index(fields=["tenant", "-created_at"], name="training_run_created"),
        ),
        migrations.AddConstraint(
            model_name="trainingrun",
            constraint=models.UniqueConstraint(
                condition=models.Q(("status__in", ("queued", "running"))),
                fields=("tenant", "model"),
                name="training_run_one_active",
            ),
        ),
        migrations.AddConstraint(
            model_name="modelversion",
            constraint=models.UniqueConstraint(fields=("tenant", "model", "number"), name="model_version_number"),
        ),
        migrations.AddConstraint(
            model_name="modelversion",
            constraint=models.UniqueConstraint(fields=("tenant", "run"), name="model_version_run"),
        ),
        protect("serving_trainingrun"),
        protect("serving_modelversion", privileges="SELECT, INSERT, UPDATE"),
        protect("serving_deployment", privileges="SELECT, INSERT, UPDATE"),
        protect("serving_deploymentevent", privileges="SELECT, INSERT"),
        tie("serving_modelversion", "run_id", "serving_trainingrun"),
        tie("serving_deployment", "live_version_id", "serving_modelversion"),
        tie("serving_deployment", "previous_version_id", "serving_modelversion"),
        tie("serving_deploymentevent", "from_version_id", "serving_modelversion"),
        tie("serving_deploymentevent", "to_version_id", "serving_modelversion"),
    ]
