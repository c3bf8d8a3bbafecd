from django.db import migrations, models


class Migration(migrations.Migration):
    """What a flight's older ads brought towards its goal is kept; columns with constant defaults rewrite nothing."""

    dependencies = [("ads", "0015_seed_changes")]

    operations = [
        migrations.AddField("flightpacing", "counted_to", models.DateTimeField(null=True)),
        migrations.AddField("flightpacing", "impressions", models.BigIntegerField(default=0, db_default=0)),
        migrations.AddField("flightpacing", "clicks", models.BigIntegerField(default=0, db_default=0)),
    ]
