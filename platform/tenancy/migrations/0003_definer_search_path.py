"""Functions that run as the owner look into a caller's temporary schema last: unless it is named, it comes first, and a
runtime role that made a temporary view there could have its own code run as the owner."""

from django.db import migrations

FUNCTIONS = ("tenancy_active_tenants()", "tenancy_operator_role()", "make_partitions(text, integer)")


class Migration(migrations.Migration):
    dependencies = [
        ("tenancy", "0002_row_level_security"),
    ]

    operations = [
        migrations.RunSQL(
            f"ALTER FUNCTION {function} SET search_path = pg_catalog, public, pg_temp",
            f"ALTER FUNCTION {function} SET search_path = pg_catalog, public",
        )
        for function in FUNCTIONS
    ]
