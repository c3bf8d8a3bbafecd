"""Settings have scopes of their own. Keys that could change them keep what they can."""

from django.db import migrations

SPLIT_OFF = {
    "risk:write": "risk-settings:write",
    "conversations:write": "service-settings:write",
    "ads:write": "ads-settings:write",
}
# Row-level security is forced for the owner too, so each tenant's keys are changed in its scope. Lifting it instead
# would lock a table that every request reads.
IN_EACH_TENANT = """
    DO $$ DECLARE tenant integer; BEGIN
        FOR tenant IN SELECT id FROM tenancy_tenant LOOP
            PERFORM set_config('app.tenant', tenant::text, true);
            {update};
        END LOOP;
        PERFORM set_config('app.tenant', '', true);
    END $$;
"""


def _add(old: str, new: str) -> migrations.RunSQL:
    add = (
        f"UPDATE tenancy_apikey SET scopes = array_append(scopes, '{new}') "
        f"WHERE tenant_id = tenant AND '{old}' = ANY (scopes) AND NOT '{new}' = ANY (scopes)"
    )
    remove = (
        f"UPDATE tenancy_apikey SET scopes = array_remove(scopes, '{new}') "
        f"WHERE tenant_id = tenant AND '{new}' = ANY (scopes)"
    )
    return migrations.RunSQL(IN_EACH_TENANT.format(update=add), IN_EACH_TENANT.format(update=remove))


class Migration(migrations.Migration):
    dependencies = [
        ("tenancy", "0007_invitations"),
    ]

    operations = [_add(old, new) for old, new in SPLIT_OFF.items()]
