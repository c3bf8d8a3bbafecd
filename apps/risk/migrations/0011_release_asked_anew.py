"""A release that was asked for before a new alert came must be asked for anew: nobody has seen the alert then."""

from importlib import import_module

from django.db import migrations

BEFORE = import_module("apps.risk.migrations.0010_raise_alerts").RAISE.replace("CREATE", "CREATE OR REPLACE", 1)
JOINED = "version = known.version + 1"
NOTE = "'assessment', '', told, '', moment"
# The statement sees the case as it was before.
ASKED = """coalesce((
                        SELECT 'the release that ' || release_asked_by || ' asked for must be asked for anew'
                        FROM risk_case AS seen
                        WHERE tenant_id = tenant AND seen.id = held.id AND release_asked_by <> ''), '')"""
AFTER = BEFORE.replace(JOINED, f"{JOINED}, release_asked_by = '', release_person = ''").replace(
    NOTE, f"'assessment', '', told, {ASKED}, moment"
)


class Migration(migrations.Migration):
    dependencies = [("risk", "0010_raise_alerts")]

    operations = [migrations.RunSQL(AFTER, BEFORE)]
