"""A membership counts once its person has accepted it. Those that exist stay accepted."""

from django.conf import settings
from django.db import migrations, models
from django.utils import timezone

from tenancy.operations import IN_SCOPE, OPERATOR

CONSOLE = settings.DATABASE_ROLES["console"]
OPERATOR_ROLE = """
    CREATE OR REPLACE FUNCTION tenancy_operator_role() RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS
    $$ SELECT m.role::text FROM tenancy_membership m WHERE m.tenant_id = {tenant} AND m.user_id = {operator} {more} $$;
"""

# An admin invites, and only the person accepts: by this function, since the console's role writes no `accepted_at`.
ACCEPT = migrations.RunSQL(
    (
        f"""
        CREATE FUNCTION tenancy_accept_membership(membership uuid) RETURNS boolean
        LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS
        $$ UPDATE tenancy_membership SET accepted_at = now()
           WHERE id = membership AND tenant_id = {IN_SCOPE} AND user_id = {OPERATOR} AND accepted_at IS NULL
           RETURNING true $$
        """,
        "REVOKE ALL ON FUNCTION tenancy_accept_membership(uuid) FROM PUBLIC",
        f"GRANT EXECUTE ON FUNCTION tenancy_accept_membership(uuid) TO {CONSOLE}",
        f"CREATE POLICY invited_rows ON tenancy_membership AS RESTRICTIVE FOR INSERT TO {CONSOLE} "
        "WITH CHECK (accepted_at IS NULL)",
        f"REVOKE UPDATE ON tenancy_membership FROM {CONSOLE}",
        f"GRANT UPDATE (role) ON tenancy_membership TO {CONSOLE}",
    ),
    (
        f"GRANT UPDATE ON tenancy_membership TO {CONSOLE}",
        "DROP POLICY invited_rows ON tenancy_membership",
        "DROP FUNCTION tenancy_accept_membership(uuid)",
    ),
)


class Migration(migrations.Migration):
    dependencies = [
        ("tenancy", "0006_partitions_ahead"),
    ]

    operations = [
        # The default fills the rows that exist without writing them, under row-level security too; new ones have none.
        migrations.AddField(
            model_name="membership",
            name="accepted_at",
            field=models.DateTimeField(null=True, editable=False, default=timezone.now),
        ),
        migrations.AlterField(
            model_name="membership",
            name="accepted_at",
            field=models.DateTimeField(null=True, editable=False),
        ),
        migrations.RunSQL(
            OPERATOR_ROLE.format(tenant=IN_SCOPE, operator=OPERATOR, more="AND m.accepted_at IS NOT NULL"),
            OPERATOR_ROLE.format(tenant=IN_SCOPE, operator=OPERATOR, more=""),
        ),
        ACCEPT,
    ]
