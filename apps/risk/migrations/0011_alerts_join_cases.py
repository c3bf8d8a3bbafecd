"""What comes of a case that an alert joins: a release that was asked for must be asked for anew, since nobody has seen
this alert then. Cases are joined in the order in which everybody locks several, by their subjects."""

from importlib import import_module

from django.db import migrations

BEFORE = import_module("apps.risk.migrations.0010_raise_alerts").RAISE.replace("CREATE", "CREATE OR REPLACE", 1)
# The statement sees the case as it was before.
ASKED = """coalesce((
                        SELECT 'the release that ' || release_asked_by || ' asked for must be asked for anew'
                        FROM risk_case AS seen
                        WHERE tenant_id = tenant AND seen.id = held.id AND release_asked_by <> ''), '')"""
JOINS = "bool_or(under_way OR case_key <> subject_key)"
CHANGES = {
    "known.version + 1": "known.version + 1, release_asked_by = '', release_person = ''",
    "'assessment', '', told, ''": f"'assessment', '', told, {ASKED}",
    f"{JOINS}, min(place)": f"{JOINS}, CASE WHEN {JOINS} THEN case_key END, min(place)",
}
AFTER = BEFORE
for was, becomes in CHANGES.items():
    AFTER = AFTER.replace(was, becomes)


class Migration(migrations.Migration):
    dependencies = [("risk", "0010_raise_alerts")]

    operations = [migrations.RunSQL(AFTER, BEFORE)]
