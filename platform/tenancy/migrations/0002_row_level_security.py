"""Row-level security of the access tables, rights of the runtime roles, and the partition function."""

from django.conf import settings
from django.db import migrations

from tenancy.operations import IN_SCOPE, IS_ADMIN, IS_MEMBER, MAKE_PARTITIONS, OPERATOR, protect, share

CONSOLE_TABLES = [
    "auth_user",
    "auth_group",
    "auth_permission",
    "auth_user_groups",
    "auth_user_user_permissions",
    "auth_group_permissions",
    "django_content_type",
    "django_admin_log",
    "django_session",
    "axes_accessattempt",
    "axes_accessattemptexpiration",
    "axes_accesslog",
    "axes_accessfailurelog",
]

# Ids and slugs of active tenants, nothing else: what periodic tasks and commands need before a scope can open.
# The owner's own policy on tenancy_tenant serves this function alone; no runtime process connects as the owner.
ACTIVE_TENANTS = migrations.RunSQL(
    f"""
    CREATE POLICY directory ON tenancy_tenant FOR SELECT TO {settings.DATABASE_ROLES["owner"]} USING (true);
    CREATE FUNCTION tenancy_active_tenants() RETURNS TABLE (tenant_id integer, slug text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS
    $$ SELECT t.id, t.slug::text FROM tenancy_tenant t WHERE t.is_active ORDER BY t.id $$;
    """,
    """
    DROP FUNCTION tenancy_active_tenants();
    DROP POLICY directory ON tenancy_tenant;
    """,
)

# The operator's role in the tenant in scope. It reads memberships as the owner, whose policy shows those of that
# tenant, so the console's own policies can ask for it without asking themselves.
OPERATOR_ROLE = migrations.RunSQL(
    f"""
    CREATE FUNCTION tenancy_operator_role() RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS
    $$ SELECT m.role::text FROM tenancy_membership m WHERE m.tenant_id = {IN_SCOPE} AND m.user_id = {OPERATOR} $$;
    """,
    "DROP FUNCTION tenancy_operator_role();",
)

IN_TENANT = f"tenant_id = (SELECT {IN_SCOPE})"
OWN_TENANTS = (
    "EXISTS (SELECT 1 FROM tenancy_membership m "
    f"WHERE m.tenant_id = tenancy_tenant.id AND m.user_id = (SELECT {OPERATOR}))"
)
ROLES = settings.DATABASE_ROLES


class Migration(migrations.Migration):
    dependencies = [
        ("tenancy", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("admin", "0003_logentry_add_action_flag_choices"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("sessions", "0001_initial"),
        ("axes", "0010_accessattemptexpiration"),
    ]

    operations = [
        migrations.RunSQL(
            f"GRANT USAGE ON SCHEMA public TO {ROLES['app']}, {ROLES['console']}",
            f"REVOKE USAGE ON SCHEMA public FROM {ROLES['app']}, {ROLES['console']}",
        ),
        OPERATOR_ROLE,
        protect(
            "tenancy_membership",
            privileges="SELECT",
            console_privileges="SELECT, INSERT, UPDATE, DELETE",
            console_condition=f"{IN_TENANT} AND {IS_ADMIN}",
            console_reads=f"user_id = (SELECT {OPERATOR}) OR ({IN_TENANT} AND {IS_MEMBER})",
        ),
        protect(
            "tenancy_tenant",
            tenant_column="id",
            primary_key=None,
            privileges="SELECT",
            console_privileges="SELECT, UPDATE",
            console_condition=f"id = (SELECT {IN_SCOPE}) AND {IS_ADMIN}",
            console_reads=OWN_TENANTS,
        ),
        protect(
            "tenancy_apikey",
            console_condition=f"{IN_TENANT} AND {IS_ADMIN}",
            console_reads=f"{IN_TENANT} AND {IS_MEMBER}",
        ),
        protect("tenancy_tenantsecret", privileges="SELECT"),
        ACTIVE_TENANTS,
        MAKE_PARTITIONS,
        *[share(table, app="") for table in CONSOLE_TABLES],
        share("django_migrations", console="SELECT"),
    ]
