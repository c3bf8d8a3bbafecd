from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("ads", "0002_delivery_facts")]

    operations = [
        AddIndexConcurrently(
            "delivery",
            models.Index(
                fields=["tenant", "delivery_id"], name="delivery_to_log", condition=models.Q(("to_log__gt", 0))
            ),
        ),
    ]
