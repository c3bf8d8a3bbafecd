"""A person of whom the ledger holds nothing, as most are, is found by one look into it."""

from importlib import import_module

from django.db import migrations

BEFORE = import_module("behavior.migrations.0003_identity").PERSON.replace("CREATE", "CREATE OR REPLACE", 1)
FIRST_READ = "SELECT to_key, since INTO last_user"
WITHOUT_LINKS = """
        IF NOT EXISTS (SELECT FROM behavior_identitylink WHERE tenant_id = tenant AND from_key = ANY (keys))
            AND NOT EXISTS (SELECT FROM behavior_identitylink WHERE tenant_id = tenant AND to_key = ANY (keys))
        THEN
            RETURN QUERY SELECT one, '-infinity'::timestamptz, 'infinity'::timestamptz
                FROM unnest(keys[1:2]) AS one WHERE one IS NOT NULL;
            RETURN;
        END IF;
        """
AFTER = BEFORE.replace(FIRST_READ, WITHOUT_LINKS.lstrip() + FIRST_READ)


class Migration(migrations.Migration):
    dependencies = [("behavior", "0004_reranking")]

    operations = [migrations.RunSQL(AFTER, BEFORE)]
