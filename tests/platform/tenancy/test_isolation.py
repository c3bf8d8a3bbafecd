"""The database itself keeps tenants apart. Its catalogue is walked, so a new table without `protect()` fails here."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.conf import settings
from django.db import models
from psycopg.rows import dict_row

from catalog.services import upsert_items
from tenancy.models import Tenant
from tenancy.scope import tenant_scope

RUNTIME_ROLES = [settings.DATABASE_ROLES["app"], settings.DATABASE_ROLES["console"]]
# Block ranges of time hold no keys, the console finds the tenants of an operator before it has one in scope, and a
# graph of vectors takes one column.
INDEXES_ACROSS_TENANTS = {
    "event_received",
    "receipt_received",
    "tenancy_membership_user_id_69c4e8b6",
    "item_vector_neighbours",
    "chunk_neighbours",
}
DEFINER_FUNCTIONS = {
    "make_partitions",
    "make_partitions_ahead",
    "tenancy_active_tenants",
    "tenancy_operator_role",
    "tenancy_accept_membership",
    "catalog_match_words",
    "catalog_similar_words",
    "service_match_words",
    "service_find_messages",
}

TENANT_RELATIONS = """
    SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind, c.relrowsecurity AS protected,
        c.relforcerowsecurity AS forced, pg_get_userbyid(c.relowner) AS owner,
        ARRAY(SELECT r FROM unnest(%(roles)s::text[]) AS r WHERE has_schema_privilege(r, n.oid, 'USAGE') AND (
            has_any_column_privilege(r, c.oid, 'SELECT, INSERT, UPDATE, REFERENCES')
            OR has_table_privilege(r, c.oid, 'DELETE, TRUNCATE, TRIGGER'))) AS reached_by,
        ARRAY(SELECT r FROM unnest(%(roles)s::text[]) AS r
            WHERE has_table_privilege(r, c.oid, 'TRUNCATE, REFERENCES, TRIGGER')) AS beyond_rows
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
        AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
        AND (c.relname = 'tenancy_tenant' OR EXISTS (
            SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped))
    ORDER BY n.nspname, c.relname
"""
POLICIES = """
    SELECT polname AS name, ARRAY(SELECT rolname::text FROM pg_roles WHERE oid = ANY(polroles)) AS roles,
        0 = ANY(polroles) AS is_public, polpermissive AS permissive, polcmd = 'r' AS reads_only,
        coalesce(pg_get_expr(polqual, polrelid), '') AS reads,
        coalesce(pg_get_expr(polwithcheck, polrelid), '') AS writes
    FROM pg_policy WHERE polrelid = %s
"""


@pytest.fixture
def owner() -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """The owner's connection; whatever a test does with it is rolled back."""
    with psycopg.connect(settings.DATABASE_URLS["owner"], row_factory=dict_row) as server:
        yield server
        server.rollback()


def tenant_relations(server: psycopg.Connection[dict[str, Any]]) -> list[dict[str, Any]]:
    return server.execute(TENANT_RELATIONS, {"roles": RUNTIME_ROLES}).fetchall()


def gaps(server: psycopg.Connection[dict[str, Any]]) -> list[str]:
    """Every way by which a runtime role could reach rows of a tenant that row-level security does not guard."""
    found = []
    for relation in tenant_relations(server):
        name = f"{relation['schema']}.{relation['name']}"
        if relation["owner"] in RUNTIME_ROLES:
            found.append(f"{name} is owned by {relation['owner']}")
        if relation["beyond_rows"]:
            found.append(f"{name}: {relation['beyond_rows']} may truncate, reference or add triggers")
        if not relation["reached_by"]:
            continue
        if relation["kind"] not in "rp":
            found.append(f"{name} is a view, and reads with its owner's rights")
        if not (relation["protected"] and relation["forced"]):
            found.append(f"{name} has no forced row-level security")
        found += [f"{name}: {gap}" for gap in policy_gaps(server, relation)]
    return found


def policy_gaps(server: psycopg.Connection[dict[str, Any]], relation: dict[str, Any]) -> Iterator[str]:
    # A restrictive policy opens no row; it takes away from what others open.
    policies = [policy for policy in server.execute(POLICIES, [relation["oid"]]) if policy["permissive"]]
    for role in relation["reached_by"]:
        of_role = [policy for policy in policies if role in policy["roles"]]
        if not of_role:
            yield f"no policy for {role}"
        for policy in of_role:
            conditions = [policy["reads"]] if policy["reads_only"] else [policy["reads"], policy["writes"]]
            if not all(map(names_tenant, conditions)):
                yield f"policy {policy['name']} does not ask for the tenant in scope"
    if any(policy["is_public"] for policy in policies):
        yield "has a policy for everybody"


def names_tenant(condition: str) -> bool:
    return "app.tenant" in condition or "app.operator" in condition


def test_no_tenant_owned_relation_has_a_gap(owner: psycopg.Connection[dict[str, Any]]) -> None:
    names = {relation["name"] for relation in tenant_relations(owner)}

    assert {"behavior_event", "catalog_item", "tenancy_apikey", "tenancy_tenant"} <= names
    assert gaps(owner) == []


def test_a_table_without_protect_is_a_gap(owner: psycopg.Connection[dict[str, Any]]) -> None:
    owner.execute("CREATE TABLE forgotten (tenant_id integer, secret text)")
    owner.execute(f"GRANT SELECT ON forgotten TO {RUNTIME_ROLES[0]}")

    assert "public.forgotten has no forced row-level security" in gaps(owner)


@pytest.mark.parametrize(
    "undo",
    [
        "ALTER TABLE catalog_item NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE catalog_item DISABLE ROW LEVEL SECURITY",
        "DROP POLICY tenant_rows ON catalog_item",
        "DROP POLICY operator_rows ON catalog_item",
        "ALTER POLICY tenant_rows ON catalog_item USING (true)",
        "DROP POLICY tenant_rows ON catalog_item; "
        f"CREATE POLICY fewer ON catalog_item AS RESTRICTIVE TO {RUNTIME_ROLES[0]} USING (NOT hidden)",
        f"GRANT TRUNCATE ON catalog_item TO {RUNTIME_ROLES[0]}",
        f"GRANT USAGE ON SCHEMA parts TO {RUNTIME_ROLES[0]}; "
        f"GRANT SELECT ON ALL TABLES IN SCHEMA parts TO {RUNTIME_ROLES[0]}",
        f"CREATE VIEW peep AS SELECT * FROM catalog_item; GRANT SELECT ON peep TO {RUNTIME_ROLES[0]}",
        "CREATE POLICY all_rows ON catalog_item USING (true)",
    ],
)
def test_each_part_of_the_protection_is_missed_when_it_goes(
    owner: psycopg.Connection[dict[str, Any]], undo: str
) -> None:
    owner.execute(undo)

    assert gaps(owner) != []


def test_every_model_with_a_tenant_is_a_guarded_table(owner: psycopg.Connection[dict[str, Any]]) -> None:
    guarded = {relation["name"] for relation in tenant_relations(owner) if relation["forced"]}

    with_tenant = {
        model._meta.db_table
        for model in apps.get_models(include_auto_created=True)
        if any(field.name == "tenant" for field in model._meta.fields)
    }

    assert with_tenant
    assert with_tenant <= guarded


def test_keys_and_indexes_begin_with_the_tenant(owner: psycopg.Connection[dict[str, Any]]) -> None:
    tables = [relation["oid"] for relation in tenant_relations(owner) if relation["name"] != "tenancy_tenant"]
    indexes = owner.execute(
        """
        SELECT i.indexrelid::regclass::text AS name FROM pg_index i
        JOIN pg_class c ON c.oid = i.indrelid AND c.relnamespace = 'public'::regnamespace
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
        WHERE c.oid = ANY(%s) AND a.attname IS DISTINCT FROM 'tenant_id'
        """,
        [tables],
    ).fetchall()

    assert {index["name"] for index in indexes} == INDEXES_ACROSS_TENANTS


def test_every_key_between_tenant_owned_tables_is_tied_to_the_tenant(
    owner: psycopg.Connection[dict[str, Any]],
) -> None:
    ties = owner.execute(
        """
        SELECT con.conrelid::regclass::text AS source, con.confrelid::regclass::text AS target,
            ARRAY(SELECT attname::text FROM unnest(con.conkey) AS k JOIN pg_attribute a
                ON a.attrelid = con.conrelid AND a.attnum = k) AS columns
        FROM pg_constraint con WHERE con.contype = 'f'
        """
    ).fetchall()
    tied = {
        (tie["source"], column, tie["target"])
        for tie in ties
        if "tenant_id" in tie["columns"]
        for column in tie["columns"]
    }
    keys = {
        (model._meta.db_table, field.column, field.related_model._meta.db_table)
        for model in apps.get_models(include_auto_created=True)
        for field in model._meta.fields
        if isinstance(field, models.ForeignKey) and field.name != "tenant"
        if has_tenant(model) and has_tenant(field.related_model)
    }

    assert keys
    assert keys <= tied


def has_tenant(model: Any) -> bool:
    return any(field.name == "tenant" for field in model._meta.fields)


@pytest.mark.parametrize("role", RUNTIME_ROLES)
def test_a_runtime_role_has_no_power_of_its_own(owner: psycopg.Connection[dict[str, Any]], role: str) -> None:
    rights = owner.execute(
        "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication FROM pg_roles WHERE rolname = %s",
        [role],
    ).fetchone()
    groups = owner.execute(
        "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = %s::regrole", [role]
    ).fetchall()
    owned = owner.execute(
        # Its own temporary tables, such as the one that COPY fills, end with its connection.
        "SELECT relname FROM pg_class WHERE pg_get_userbyid(relowner) = %s AND relpersistence <> 't' "
        "UNION ALL SELECT proname FROM pg_proc WHERE pg_get_userbyid(proowner) = %s "
        "UNION ALL SELECT nspname FROM pg_namespace WHERE pg_get_userbyid(nspowner) = %s",
        [role, role, role],
    ).fetchall()

    assert rights is not None
    assert not any(rights.values())
    assert groups == []
    assert owned == []


def test_only_known_functions_run_with_more_rights_than_their_caller(
    owner: psycopg.Connection[dict[str, Any]],
) -> None:
    functions = owner.execute(
        "SELECT proname, proconfig FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace"
    ).fetchall()

    assert {function["proname"] for function in functions} == DEFINER_FUNCTIONS
    # Unless it is named last, a caller's temporary schema is looked into first.
    assert all(function["proconfig"][0].endswith(", pg_temp") for function in functions), functions


def test_without_a_scope_no_model_gives_a_row(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        upsert_items([{"id": "hat"}])

    for model in apps.get_models(include_auto_created=True):
        if has_tenant(model):
            assert model._base_manager.count() == 0, model
