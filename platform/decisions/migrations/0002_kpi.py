import django.db.models.deletion
import uuid_utils.compat
from django.db import migrations, models

import tenancy.scope
from tenancy.operations import protect

READ = "SELECT"


class Migration(migrations.Migration):
    dependencies = [
        ("decisions", "0001_initial"),
        ("tenancy", "0002_row_level_security"),
    ]

    operations = [
        migrations.CreateModel(
            name="ListCount",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "scenario",
                        "day",
                        "latency_bucket",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("scenario", models.CharField(db_collation="C", max_length=50)),
                ("day", models.DateField()),
                ("latency_bucket", models.SmallIntegerField()),
                ("lists", models.BigIntegerField()),
                ("items", models.BigIntegerField(help_text="items in these lists")),
                ("degraded", models.BigIntegerField(help_text="lists that something stood in for")),
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
        migrations.CreateModel(
            name="ShownItem",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "scenario",
                        "day",
                        "item_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("scenario", models.CharField(db_collation="C", max_length=50)),
                ("day", models.DateField()),
                ("item_id", models.CharField(db_collation="C", max_length=200)),
                ("lists", models.BigIntegerField()),
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
        migrations.CreateModel(
            name="ListOutcome",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id", "decision_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("decision_id", models.UUIDField()),
                ("scenario", models.CharField(db_collation="C", max_length=50)),
                ("decided_at", models.DateTimeField()),
                ("seen", models.SmallIntegerField(help_text="items with an impression")),
                ("clicked", models.SmallIntegerField()),
                ("carted", models.SmallIntegerField()),
                ("bought", models.SmallIntegerField()),
                ("revenue", models.FloatField(help_text="sum of the purchases in `currency`")),
                ("currency", models.CharField(max_length=3, null=True, help_text="of the first purchase")),
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
                "indexes": [models.Index(fields=["tenant", "scenario", "decided_at"], name="list_outcome_scenario")],
            },
        ),
        migrations.CreateModel(
            name="ScenarioChange",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("scenario", models.SlugField(db_index=False, help_text="Key of the scenario.")),
                (
                    "action",
                    models.CharField(
                        choices=[("created", "Made"), ("changed", "Changed"), ("undone", "Undone")], max_length=10
                    ),
                ),
                ("actor", models.CharField(max_length=150)),
                ("before", models.JSONField(null=True)),
                ("after", models.JSONField()),
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
            ],
            options={
                "indexes": [
                    models.Index(
                        models.F("tenant"),
                        models.F("scenario"),
                        models.OrderBy(models.F("created_at"), descending=True),
                        name="scenario_change_newest",
                    )
                ],
            },
        ),
        protect("decisions_listcount", primary_key=None, console_privileges=READ),
        protect("decisions_shownitem", primary_key=None, console_privileges=READ),
        protect("decisions_listoutcome", primary_key=None, console_privileges=READ),
        protect("decisions_scenariochange", privileges="SELECT, INSERT"),
    ]
