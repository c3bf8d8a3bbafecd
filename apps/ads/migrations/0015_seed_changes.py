from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ads", "0014_own_people_changes")]

    operations = [
        migrations.AlterField(
            model_name="adchange",
            name="action",
            field=models.CharField(
                choices=[
                    ("created", "Made"),
                    ("changed", "Changed"),
                    ("started", "Put live"),
                    ("paused", "Paused"),
                    ("approved", "Approved"),
                    ("rejected", "Rejected"),
                    ("archived", "Archived"),
                    ("people", "Own people replaced"),
                    ("seed", "Seed replaced"),
                ],
                max_length=10,
            ),
        ),
    ]
