"""What counts and is not billed has one name, and no live flight leaves out an archived audience: it would be shown to
exactly these people, since they were deleted. Archiving is refused since while a flight names it."""

from django.db import migrations

# Row-level security holds for the owner too, so tenant by tenant.
IN_EACH_TENANT = """
    DO $$ DECLARE tenant integer; BEGIN
        FOR tenant IN SELECT id FROM tenancy_tenant LOOP
            PERFORM set_config('app.tenant', tenant::text, true);
            {statement};
        END LOOP;
        PERFORM set_config('app.tenant', '', true);
    END $$"""
RENAME = "UPDATE ads_filteredevent SET reason = '{new}' WHERE tenant_id = tenant AND reason = '{old}'"
PAUSE = """
    WITH paused AS (
        UPDATE ads_flight AS flight SET status = 'paused', version = version + 1, updated_at = now(),
            updated_by = 'the upgrade, as an audience that it leaves out is archived'
        WHERE tenant_id = tenant AND status = 'live' AND EXISTS (
            SELECT FROM ads_audience AS audience WHERE audience.tenant_id = tenant AND audience.archived_at IS NOT NULL
                AND flight.targeting #> '{exclude,audiences}' ? audience.key)
        RETURNING id, version, updated_by
    )
    INSERT INTO ads_adchange (tenant_id, id, kind, object_id, version, action, actor, before, after, created_at)
    SELECT tenant, gen_random_uuid(), 'flight', id, version, 'paused', updated_by,
        '{"status": "live"}', '{"status": "paused"}', now() FROM paused"""


def in_each_tenant(statement: str) -> str:
    return IN_EACH_TENANT.replace("{statement}", statement)


class Migration(migrations.Migration):
    dependencies = [("ads", "0016_counted_goals")]

    operations = [
        migrations.RunSQL(
            in_each_tenant(RENAME.format(old="budget", new="unpaid")),
            in_each_tenant(RENAME.format(old="unpaid", new="budget")),
        ),
        migrations.RunSQL(in_each_tenant(PAUSE), migrations.RunSQL.noop),
    ]
