from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("risk", "0008_alert_outcomes"),
    ]

    operations = [
        migrations.AddField(
            model_name="transaction",
            name="given_amount",
            field=models.FloatField(help_text="in `currency`, where `amount` is not", null=True),
        ),
        migrations.AlterField(
            model_name="transaction",
            name="amount",
            field=models.FloatField(help_text="in the desk's currency as far as it had a rate then, not negative"),
        ),
        migrations.AlterField(
            model_name="transaction",
            name="currency",
            field=models.CharField(db_collation="C", help_text="as the client named it", max_length=3),
        ),
    ]
