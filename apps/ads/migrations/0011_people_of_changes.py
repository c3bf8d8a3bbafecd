from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ads", "0010_conversion_event")]

    operations = [
        migrations.AddField(
            model_name="adchange",
            name="person",
            field=models.CharField(
                blank=True, db_default="", default="", help_text="The member behind an API key.", max_length=200
            ),
        ),
    ]
