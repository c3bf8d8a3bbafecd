import django.core.validators
import django.db.models.deletion
import uuid_utils.compat
from django.db import migrations, models

import tenancy.scope
from behavior.operations import tie_to_vault
from tenancy.operations import protect, tie


class Migration(migrations.Migration):
    dependencies = [
        ("ads", "0004_experiments"),
        ("behavior", "0004_reranking"),
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
                    ("audience", "Audience"),
                ],
                max_length=10,
            ),
        ),
        migrations.CreateModel(
            name="Audience",
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
                ("key", models.SlugField(db_index=False, help_text="What targeting names it by; never changes.")),
                (
                    "seed_kind",
                    models.CharField(
                        choices=[
                            ("event", "Who caused an event, such as the conversion of a flight"),
                            ("list", "A list of subjects"),
                        ],
                        max_length=5,
                    ),
                ),
                ("seed_event", models.CharField(blank=True, max_length=64)),
                ("seed_flight_id", models.UUIDField(blank=True, null=True)),
                (
                    "seed_days",
                    models.PositiveSmallIntegerField(
                        default=90,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(365),
                        ],
                    ),
                ),
                (
                    "share",
                    models.FloatField(
                        default=0.05,
                        validators=[
                            django.core.validators.MinValueValidator(0.001),
                            django.core.validators.MaxValueValidator(0.5),
                        ],
                    ),
                ),
                ("include_seed", models.BooleanField(default=False)),
                (
                    "refresh",
                    models.CharField(
                        choices=[("off", "Only when asked"), ("daily", "Daily"), ("weekly", "Weekly")],
                        default="weekly",
                        max_length=6,
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
                "ordering": ["key"],
                "constraints": [models.UniqueConstraint(fields=("tenant", "key"), name="audience_key")],
            },
        ),
        migrations.CreateModel(
            name="AudienceBuild",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
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
                        ],
                        default="queued",
                        max_length=9,
                    ),
                ),
                ("report", models.JSONField(null=True)),
                ("error", models.TextField(blank=True)),
                ("requested_by", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("started_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "audience",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="builds",
                        to="ads.audience",
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
                "ordering": ["-created_at"],
                "indexes": [
                    models.Index(
                        models.F("tenant"),
                        models.F("audience"),
                        models.OrderBy(models.F("created_at"), descending=True),
                        name="audience_build_newest",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("status__in", ("queued", "running"))),
                        fields=("tenant", "audience"),
                        name="audience_build_one_active",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="AudienceMember",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "subject_key",
                        "audience_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("subject_key", models.BinaryField()),
                ("audience_id", models.UUIDField()),
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
            options={"indexes": [models.Index(fields=["tenant", "audience_id"], name="audience_member_audience")]},
        ),
        migrations.CreateModel(
            name="AudienceSeed",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "audience_id",
                        "subject_key",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("audience_id", models.UUIDField()),
                ("subject_key", models.BinaryField()),
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
            options={"indexes": [models.Index(fields=["tenant", "subject_key"], name="audience_seed_subject")]},
        ),
        protect("ads_audience", privileges="SELECT, INSERT, UPDATE"),
        protect("ads_audiencebuild", privileges="SELECT, INSERT, UPDATE"),
        protect("ads_audiencemember", primary_key=None, console_privileges="SELECT"),
        protect("ads_audienceseed", primary_key=None, console_privileges="SELECT, INSERT, DELETE"),
        tie("ads_audience", "seed_flight_id", "ads_flight"),
        tie("ads_audiencebuild", "audience_id", "ads_audience"),
        tie("ads_audiencemember", "audience_id", "ads_audience"),
        tie("ads_audienceseed", "audience_id", "ads_audience"),
        tie_to_vault("ads_audiencemember"),
        tie_to_vault("ads_audienceseed"),
    ]
