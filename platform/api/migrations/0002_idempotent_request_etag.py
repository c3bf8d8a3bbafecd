from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("api", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="idempotentrequest",
            name="etag",
            field=models.CharField(db_default="", default="", max_length=100),
        ),
    ]
