import django.db.models.deletion
import uuid_utils.compat
from django.db import migrations, models

import tenancy.scope
from behavior.operations import tie_to_vault
from tenancy.operations import protect, tie


class Migration(migrations.Migration):
    dependencies = [
        ("ads", "0005_audiences"),
        ("tenancy", "0004_key_creators"),
    ]

    operations = [
        migrations.AddField(
            model_name="advertiser",
            name="own_networks",
            field=models.JSONField(blank=True, db_default=[], default=list),
        ),
        migrations.CreateModel(
            name="OwnSubject",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("subject_key", models.BinaryField()),
                (
                    "advertiser",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="own_subjects",
                        to="ads.advertiser",
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
                "indexes": [models.Index(fields=["tenant", "advertiser"], name="own_subject_advertiser")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "subject_key", "advertiser"), name="own_subject_once", nulls_distinct=False
                    )
                ],
            },
        ),
        protect("ads_ownsubject", privileges="SELECT, INSERT, DELETE"),
        tie("ads_ownsubject", "advertiser_id", "ads_advertiser"),
        tie_to_vault("ads_ownsubject"),
    ]
