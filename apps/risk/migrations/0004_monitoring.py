"""Scores of challengers; and an index by which assessments of a time are found with what became of them."""

import django.db.models.deletion
import django.utils.timezone
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

import tenancy.scope
from tenancy.operations import protect


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("tenancy", "0002_row_level_security"),
        ("decisions", "0002_kpi"),
        ("risk", "0003_rules"),
    ]

    operations = [
        migrations.CreateModel(
            name="Monitoring",
            fields=[],
            options={
                "verbose_name": "monitoring",
                "verbose_name_plural": "monitoring",
                "proxy": True,
                "indexes": [],
                "constraints": [],
            },
            bases=("decisions.scenario",),
        ),
        migrations.CreateModel(
            name="ShadowScore",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "version",
                        "decision_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("version", models.UUIDField(help_text="id of the model version that was asked")),
                ("decision_id", models.UUIDField()),
                ("score", models.FloatField()),
                ("asked_at", models.DateTimeField(default=django.utils.timezone.now)),
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
        ),
        protect("risk_shadowscore", primary_key=None, privileges="SELECT, INSERT, DELETE", console_privileges="SELECT"),
        AddIndexConcurrently(
            "transaction",
            models.Index(
                fields=["tenant", "decision_id"],
                include=["occurred_at", "amount", "currency", "fraud_known_at", "cleared_at"],
                name="transaction_assessed",
                condition=models.Q(decision_id__isnull=False),
            ),
        ),
    ]
