from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # Concurrently: counts go on being written while the index is built.
    atomic = False

    dependencies = [
        ("behavior", "0003_identity"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="itempopularity",
            index=models.Index(
                fields=["tenant", "item_id", "hour"], include=["type", "count"], name="item_popularity_item"
            ),
        ),
    ]
