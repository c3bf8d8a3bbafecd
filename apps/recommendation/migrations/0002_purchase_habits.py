import django.db.models.deletion
from django.db import migrations, models

import tenancy.scope
from tenancy.operations import protect


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("tenancy", "0002_row_level_security"),
        ("recommendation", "0001_rules"),
    ]

    operations = [
        migrations.CreateModel(
            name="ItemPair",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "within",
                        "item_id",
                        "other_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "within",
                    models.CharField(
                        choices=[("basket", "one session, or one subject's day"), ("subject", "one subject")],
                        max_length=10,
                    ),
                ),
                ("item_id", models.CharField(db_collation="C", max_length=200)),
                ("other_id", models.CharField(db_collation="C", max_length=200)),
                ("together", models.BigIntegerField()),
                ("confidence", models.FloatField()),
                ("added_value", models.FloatField()),
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
            name="RepurchaseInterval",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id", "of", "name", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("of", models.CharField(choices=[("item", "Item"), ("category", "Category")], max_length=10)),
                ("name", models.CharField(db_collation="C", max_length=200)),
                ("days", models.FloatField()),
                ("gaps", models.BigIntegerField()),
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
        protect("recommendation_itempair", primary_key=None, console_privileges="SELECT"),
        protect("recommendation_repurchaseinterval", primary_key=None, console_privileges="SELECT"),
    ]
