from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ads", "0013_forget_counts")]

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
                ],
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="adchange",
            name="kind",
            field=models.CharField(
                choices=[
                    ("advertiser", "Advertiser"),
                    ("campaign", "Campaign"),
                    ("flight", "Flight"),
                    ("creative", "Creative"),
                    ("placement", "Placement"),
                    ("experiment", "Experiment"),
                    ("audience", "Audience"),
                    ("business", "Business"),
                ],
                max_length=10,
            ),
        ),
    ]
