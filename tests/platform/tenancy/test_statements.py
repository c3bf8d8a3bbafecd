"""Prepared statements: kept by the server, and still of the tenant in scope alone."""

from django.db import connection

from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.services import create_api_key
from tenancy.statements import prepared_cursor

NAMES = "SELECT name FROM tenancy_apikey WHERE prefix <> %s ORDER BY name"


def names(tenant: Tenant) -> list[str]:
    with tenant_scope(tenant.id), prepared_cursor() as cursor:
        cursor.execute(NAMES, ["none"])
        return [name for (name,) in cursor.fetchall()]


def test_a_statement_that_is_prepared_for_one_tenant_shows_another_its_own_rows(
    tenant: Tenant, other_tenant: Tenant
) -> None:
    for each, name in ((tenant, "ours"), (other_tenant, "theirs")):
        with tenant_scope(each.id):
            create_api_key(name=name, scopes=[])
    # More often than the server plans anew before it keeps one plan for all values.
    for _ in range(8):
        assert names(tenant) == ["ours"]
        assert names(other_tenant) == ["theirs"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT name FROM tenancy_%'")
        assert cursor.fetchone()[0] == 1
