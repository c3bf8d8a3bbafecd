from django.db import migrations

# What every request of a client system begins with, in one statement: the tenant that its key names comes into scope,
# and inside that scope the key is looked up. A forged tenant finds no row.
ENTER_BY_KEY = migrations.RunSQL(
    """
    CREATE FUNCTION tenancy_enter_by_key(tenant integer, key_prefix text) RETURNS json LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_catalog.set_config('app.tenant', tenant::text, true);
        RETURN (
            SELECT pg_catalog.json_build_object(
                'secret_hash', pg_catalog.encode(key.secret_hash, 'hex'), 'id', key.id, 'scopes', key.scopes,
                'last_used_at', key.last_used_at, 'created_by', key.created_by)
            FROM public.tenancy_apikey AS key JOIN public.tenancy_tenant AS tenants ON tenants.id = key.tenant_id
            WHERE key.tenant_id = tenant AND key.prefix = key_prefix AND tenants.is_active
                AND key.revoked_at IS NULL
                AND (key.expires_at IS NULL OR key.expires_at > pg_catalog.clock_timestamp()));
    END $$;
    """,
    "DROP FUNCTION tenancy_enter_by_key(integer, text);",
)


class Migration(migrations.Migration):
    dependencies = [
        ("tenancy", "0004_key_creators"),
    ]

    operations = [ENTER_BY_KEY]
