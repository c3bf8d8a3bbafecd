"""What customers' questions have in common."""

import django.db.models.deletion
import uuid_utils.compat
from django.db import migrations, models

import catalog.vectors
import tenancy.scope
from tenancy.operations import protect


class Migration(migrations.Migration):
    dependencies = [
        ("service", "0005_tone"),
        ("tenancy", "0004_key_creators"),
    ]

    operations = [
        migrations.CreateModel(
            name="UsualQuestion",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("questions", models.PositiveIntegerField()),
                ("terms", models.JSONField()),
                ("encoder", models.CharField(db_collation="C", max_length=16)),
                ("vector", catalog.vectors.VectorField(dimension=384, null=True)),
                ("newest", models.UUIDField()),
                ("learned_at", models.DateTimeField(auto_now=True)),
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
                "constraints": [models.UniqueConstraint(fields=("tenant",), name="usual_question_tenant")],
            },
        ),
        protect("service_usualquestion"),
    ]
