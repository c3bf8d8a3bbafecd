"""Attempts to reach another tenant's rows, with the role that the application itself uses."""

import threading
from datetime import timedelta

import psycopg
import pytest
from django.conf import settings
from django.db import IntegrityError, connection
from django.utils import timezone

from behavior.models import CleaningReport, Snapshot
from catalog.models import Item
from catalog.services import upsert_items
from tenancy.models import Tenant
from tenancy.scope import tenant_scope

OWNER = settings.DATABASE_ROLES["owner"]
A_PARTITION = "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind = 'r' LIMIT 1"


@pytest.fixture
def hats(tenant: Tenant, other_tenant: Tenant) -> None:
    """Both tenants have an item with the same id."""
    for owner, title in ((tenant, "ours"), (other_tenant, "theirs")):
        with tenant_scope(owner.id):
            upsert_items([{"id": "hat", "title": title}])


def title_of_hat(tenant: Tenant) -> str:
    with tenant_scope(tenant.id):
        return Item.objects.get(item_id="hat").title


@pytest.mark.usefixtures("hats")
def test_raw_sql_finds_and_changes_nothing_of_another_tenant(tenant: Tenant, other_tenant: Tenant) -> None:
    with tenant_scope(tenant.id), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM catalog_item WHERE tenant_id = %s", [other_tenant.id])
        assert cursor.fetchone() == (0,)
        cursor.execute("UPDATE catalog_item SET title = 'taken' WHERE tenant_id = %s", [other_tenant.id])
        assert cursor.rowcount == 0
        cursor.execute("DELETE FROM catalog_item WHERE tenant_id = %s", [other_tenant.id])
        assert cursor.rowcount == 0

    assert title_of_hat(other_tenant) == "theirs"


@pytest.mark.usefixtures("hats")
def test_a_statement_without_condition_stops_at_the_tenant(tenant: Tenant, other_tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        Item.objects.all().delete()

    assert title_of_hat(other_tenant) == "theirs"


@pytest.mark.usefixtures("hats")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE catalog_item SET tenant_id = {other}",
        "SELECT * FROM parts.{partition}",
        "TRUNCATE catalog_item",
        "ALTER TABLE catalog_item DISABLE ROW LEVEL SECURITY",
        "DROP POLICY tenant_rows ON catalog_item",
        "CREATE TABLE mine (tenant_id integer)",
        f"SET ROLE {OWNER}",
        f"SET SESSION AUTHORIZATION {OWNER}",
        "SET row_security = off; SELECT * FROM catalog_item",
    ],
)
def test_raw_sql_that_would_get_around_the_policies_is_refused(
    tenant: Tenant, other_tenant: Tenant, statement: str
) -> None:
    with psycopg.connect(settings.DATABASE_URLS["owner"]) as owner:
        found = owner.execute(A_PARTITION, ["parts"]).fetchone()
    assert found is not None
    with psycopg.connect(settings.DATABASE_URLS["app"]) as server:
        server.execute("SELECT set_config('app.tenant', %s, true)", [str(tenant.id)])

        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            server.execute(statement.format(other=other_tenant.id, partition=found[0]))


def test_a_row_cannot_point_to_a_row_of_another_tenant(tenant: Tenant, other_tenant: Tenant) -> None:
    with tenant_scope(other_tenant.id):
        theirs = Snapshot.objects.create(
            watermark=timezone.now() - timedelta(days=1),
            path="theirs",
            events_read=0,
            events=0,
            subjects=0,
            items=0,
            without_consent=0,
            seconds=0,
        )

    with pytest.raises(IntegrityError, match="tie"), tenant_scope(tenant.id):
        CleaningReport.objects.create(snapshot_id=theirs.id, rule="bots", effect="dropped", count=1)

    with tenant_scope(tenant.id):
        assert not CleaningReport.objects.exists()


@pytest.mark.usefixtures("hats")
def test_two_threads_in_two_scopes_see_their_own_rows(tenant: Tenant, other_tenant: Tenant) -> None:
    both_inside = threading.Barrier(2, timeout=10)
    seen: dict[int, list[str]] = {}

    def look(tenant_id: int) -> None:
        try:
            with tenant_scope(tenant_id):
                both_inside.wait()
                seen[tenant_id] = list(Item.objects.values_list("title", flat=True))
                both_inside.wait()
        finally:
            connection.close()

    threads = [threading.Thread(target=look, args=[each.id]) for each in (tenant, other_tenant)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == {tenant.id: ["ours"], other_tenant.id: ["theirs"]}
