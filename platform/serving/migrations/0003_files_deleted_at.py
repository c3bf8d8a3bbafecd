from django.db import migrations, models


class Migration(migrations.Migration):
    """Files of versions that nothing asks any more are deleted, and the version says so."""

    dependencies = [("serving", "0002_warm_start")]

    operations = [
        migrations.AddField(
            model_name="modelversion",
            name="files_deleted_at",
            field=models.DateTimeField(null=True, editable=False),
        ),
    ]
