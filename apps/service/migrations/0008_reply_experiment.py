from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # Concurrently: replies go on being written while the index is built.
    atomic = False

    dependencies = [
        ("service", "0007_experiments"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="reply",
            index=models.Index(
                condition=models.Q(("experiment__isnull", False)),
                fields=["tenant", "experiment"],
                name="reply_experiment",
            ),
        ),
    ]
