from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("ads", "0007_placed_before")]

    operations = [
        AddIndexConcurrently(
            "delivery",
            models.Index(
                fields=["tenant", "flight_id"],
                name="delivery_unpaid",
                condition=models.Q(("bid_kind", "cpa"), ("converted_at__isnull", False), ("status", "open")),
            ),
        ),
    ]
