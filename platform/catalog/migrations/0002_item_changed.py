from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # Concurrently: items go on being written while the index is built.
    atomic = False

    dependencies = [
        ("catalog", "0001_initial"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="item",
            index=models.Index("tenant", "updated_at", name="item_changed"),
        ),
    ]
