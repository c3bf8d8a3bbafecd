"""Migration operations: row-level security, partitioned tables, foreign keys that cannot cross tenants, functions that
search."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

IN_SCOPE = "nullif(current_setting('app.tenant', true), '')::integer"
OPERATOR = "nullif(current_setting('app.operator', true), '')::integer"
# The function is made by tenancy's second migration, before any table is protected.
IS_MEMBER = "(SELECT tenancy_operator_role()) IS NOT NULL"
IS_ADMIN = "(SELECT tenancy_operator_role()) = 'admin'"
# Privileges of the runtime roles on a tenant-owned table; an append-only table passes "SELECT, INSERT".
READ_WRITE = "SELECT, INSERT, UPDATE, DELETE"
PARTITION_SCHEMA = "parts"
# For functions that search. Objects of the caller's temporary schema must not be found in place of ours, so it is named
# last. A plan is made for each call: what is a good one depends on the tenant's size.
AS_CALLER = "LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp SET plan_cache_mode = force_custom_plan"
AS_OWNER = f"{AS_CALLER} SECURITY DEFINER"
# A function that runs as the owner asks for the tenant in scope itself, and in the console for the operator's
# membership as well.
OWN_ROWS = (
    f"tenant_id = {IN_SCOPE} AND (session_user <> '{settings.DATABASE_ROLES['console']}' "
    "OR public.tenancy_operator_role() IS NOT NULL)"
)


def protect(
    table: str,
    *,
    tenant_column: str = "tenant_id",
    primary_key: tuple[str, ...] | None = ("tenant_id", "id"),
    privileges: str = READ_WRITE,
    console_privileges: str | None = None,
    console_condition: str | None = None,
    console_reads: str | None = None,
) -> migrations.RunSQL:
    """Put a table behind forced row-level security. Every tenant-owned table needs one.

    The application and the owner see rows of `app.tenant`; the console sees them only when its operator
    (`app.operator`) is a member of that tenant. `primary_key` replaces Django's single-column key by a tenant-first
    one; None leaves it. `console_condition` replaces the console's policy; `console_reads` lets it read more rows.
    """
    roles = settings.DATABASE_ROLES
    in_scope = f"{tenant_column} = (SELECT {IN_SCOPE})"
    console = console_condition or f"{in_scope} AND {IS_MEMBER}"
    forward = [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY tenant_rows ON {table} TO {roles['app']}, {roles['owner']} "
        f"USING ({in_scope}) WITH CHECK ({in_scope})",
        f"CREATE POLICY operator_rows ON {table} TO {roles['console']} USING ({console}) WITH CHECK ({console})",
        f"GRANT {privileges} ON {table} TO {roles['app']}",
        f"GRANT {console_privileges or privileges} ON {table} TO {roles['console']}",
    ]
    backward = [
        f"REVOKE ALL ON {table} FROM {roles['app']}, {roles['console']}",
        f"DROP POLICY operator_rows ON {table}",
        f"DROP POLICY tenant_rows ON {table}",
        f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
    ]
    if console_reads:
        forward.append(
            f"CREATE POLICY operator_reads ON {table} FOR SELECT TO {roles['console']} USING ({console_reads})"
        )
        backward.insert(0, f"DROP POLICY operator_reads ON {table}")
    if primary_key:
        forward += _new_primary_key(table, primary_key)
        backward += _new_primary_key(table, primary_key[-1:])
    return migrations.RunSQL(tuple(forward), tuple(backward))


def _new_primary_key(table: str, columns: tuple[str, ...]) -> tuple[str, ...]:
    return (
        f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey",
        f"ALTER TABLE {table} ADD CONSTRAINT {table}_pkey PRIMARY KEY ({', '.join(columns)})",
    )


def tie(table: str, column: str, target: str, *, on_delete: str = "NO ACTION") -> migrations.RunSQL:
    """Foreign key (tenant_id, column) -> target (tenant_id, id): a row can only point inside its own tenant.

    Plain foreign keys are checked without row-level security, so they would accept another tenant's row.
    """
    name = f"{table}_{column}_tie"
    return migrations.RunSQL(
        f"ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY (tenant_id, {column}) "
        f"REFERENCES {target} (tenant_id, id) ON DELETE {on_delete} DEFERRABLE INITIALLY DEFERRED",
        f"ALTER TABLE {table} DROP CONSTRAINT {name}",
    )


def let_functions_search(table: str) -> migrations.RunSQL:
    """Let functions that run as the owner read the table's indexes of texts.

    Under a tenant's policy PostgreSQL takes no index for the match of texts, as its operators are not leak-proof. The
    owner, as whom the functions run and no runtime process connects, reads the index without one.
    """
    return migrations.RunSQL(
        f"CREATE POLICY searched_rows ON {table} FOR SELECT TO {settings.DATABASE_ROLES['owner']} USING (true)",
        f"DROP POLICY searched_rows ON {table}",
    )


def make_function(signature: str, definition: str) -> migrations.RunSQL:
    """Make a function that the runtime roles may call, and nobody else."""
    roles = settings.DATABASE_ROLES
    return migrations.RunSQL(
        (
            definition,
            f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC",
            f"GRANT EXECUTE ON FUNCTION {signature} TO {roles['app']}, {roles['console']}",
        ),
        f"DROP FUNCTION {signature}",
    )


def share(table: str, *, app: str = "SELECT", console: str = READ_WRITE) -> migrations.RunSQL:
    """Grant privileges on a table that belongs to no tenant."""
    roles = settings.DATABASE_ROLES
    forward = [f"GRANT {console} ON {table} TO {roles['console']}"]
    if app:
        forward.append(f"GRANT {app} ON {table} TO {roles['app']}")
    return migrations.RunSQL(tuple(forward), f"REVOKE ALL ON {table} FROM {roles['app']}, {roles['console']}")


class CreatePartitionedModel(migrations.CreateModel):
    """CreateModel whose table is range-partitioned by month on a timestamp of the server.

    The primary key becomes (tenant_id, <Django's key>, <partition column>), since a unique key of a partitioned table
    must contain the partition column. Partitions live in a schema that no runtime role may use, because row-level
    security on the parent does not cover a direct read of a partition. `make_partitions` creates them ahead.
    """

    def __init__(self, *args: Any, partition_by: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.partition_by = partition_by

    def deconstruct(self) -> tuple[str, Sequence[Any], dict[str, Any]]:
        name, args, kwargs = super().deconstruct()
        return name, args, kwargs | {"partition_by": self.partition_by}

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        model = to_state.apps.get_model(app_label, self.name)
        key = model._meta.pk.column
        plain = schema_editor.sql_create_table
        schema_editor.sql_create_table = f"{plain} PARTITION BY RANGE ({self.partition_by})"
        # Django writes PRIMARY KEY inline behind the column; on a partitioned table only the composite key is legal.
        model._meta.pk.primary_key = False
        try:
            super().database_forwards(app_label, schema_editor, from_state, to_state)
        finally:
            model._meta.pk.primary_key = True
            schema_editor.sql_create_table = plain
        table = model._meta.db_table
        schema_editor.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT {table}_pkey PRIMARY KEY (tenant_id, {key}, {self.partition_by})"
        )
        schema_editor.execute("SELECT make_partitions(%s, 3)", [table])


MAKE_PARTITIONS = migrations.RunSQL(
    f"""
    CREATE SCHEMA IF NOT EXISTS {PARTITION_SCHEMA};
    CREATE FUNCTION make_partitions(parent text, months_ahead integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    DECLARE
        first date := date_trunc('month', now() AT TIME ZONE 'UTC')::date;
        start date;
        made integer := 0;
        partition text;
    BEGIN
        PERFORM 1 FROM pg_partitioned_table p WHERE p.partrelid = to_regclass(quote_ident(parent));
        IF NOT FOUND THEN
            RAISE EXCEPTION '% is not a partitioned table', parent;
        END IF;
        FOR month IN 0..least(greatest(months_ahead, 0), 24) LOOP
            start := first + make_interval(months => month);
            partition := parent || '_' || to_char(start, 'YYYYMM');
            IF to_regclass('{PARTITION_SCHEMA}.' || quote_ident(partition)) IS NULL THEN
                EXECUTE format(
                    'CREATE TABLE {PARTITION_SCHEMA}.%I PARTITION OF public.%I FOR VALUES FROM (%L) TO (%L)',
                    partition, parent,
                    start::timestamp AT TIME ZONE 'UTC',
                    (start + interval '1 month')::timestamp AT TIME ZONE 'UTC');
                made := made + 1;
            END IF;
        END LOOP;
        RETURN made;
    END $$;
    """,
    f"DROP FUNCTION make_partitions(text, integer); DROP SCHEMA {PARTITION_SCHEMA};",
)
