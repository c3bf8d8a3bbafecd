"""`tenant_scope` is the only door: what it opens, and that it closes."""

import time

import psycopg
import pytest
from django.conf import settings
from django.db import DataError, OperationalError, connection

from behavior.tasks import expire_receipts_of_tenant
from catalog.models import Item
from catalog.services import upsert_items
from config.celery import app as celery_app
from tenancy.models import Tenant
from tenancy.scope import CrossTenantScope, NoTenantScope, current_tenant_id, scope_opened_by, tenant_scope
from tenancy.tasks import SENT_HEADER, TENANT_HEADER, enqueue, task_scope, tenant_task
from tests.messages import take_messages


@tenant_task(name="tests.titles_of_items")
def titles_of_items() -> list[str]:
    return list(Item.objects.values_list("title", flat=True))


@tenant_task(name="tests.scopes_of_its_own", scoped=False)
def scopes_of_its_own() -> list[str]:
    assert Item.objects.count() == 0
    with task_scope():
        return list(Item.objects.values_list("title", flat=True))


@tenant_task(name="tests.takes_what_waits", queue="slow", sweeps=True)
def takes_what_waits() -> str:
    return "took it"


def fail_in_scope(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        upsert_items([{"id": "hat"}])
        raise LookupError


def tenant_in_database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(current_setting('app.tenant', true), '')")
        return str(cursor.fetchone()[0])


def test_outside_a_scope_there_is_no_tenant() -> None:
    with pytest.raises(NoTenantScope, match="tenant_scope"):
        current_tenant_id()
    with pytest.raises(NoTenantScope):
        Item(item_id="hat")


def test_a_scope_ends_with_its_block(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        assert current_tenant_id() == tenant.id
        assert tenant_in_database() == str(tenant.id)

    assert tenant_in_database() == ""
    with pytest.raises(NoTenantScope):
        current_tenant_id()


def test_an_error_ends_the_scope_and_takes_its_writes_back(tenant: Tenant) -> None:
    with pytest.raises(LookupError):
        fail_in_scope(tenant)

    assert tenant_in_database() == ""
    with pytest.raises(NoTenantScope):
        current_tenant_id()
    with tenant_scope(tenant.id):
        assert not Item.objects.exists()


def test_a_scope_inside_its_own_joins_it(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        with tenant_scope(tenant.id):
            upsert_items([{"id": "hat"}])
        assert current_tenant_id() == tenant.id
        assert Item.objects.count() == 1


def test_a_scope_inside_another_tenants_is_refused(tenant: Tenant, other_tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        with pytest.raises(CrossTenantScope), tenant_scope(other_tenant.id):
            pass
        assert current_tenant_id() == tenant.id


def test_a_task_without_a_tenant_is_refused() -> None:
    with pytest.raises(NoTenantScope, match="expire_receipts_of_tenant was sent without a tenant"):
        expire_receipts_of_tenant.apply(throw=True)


def test_a_task_runs_for_the_tenant_of_its_message(tenant: Tenant, other_tenant: Tenant) -> None:
    for each, title in ((tenant, "ours"), (other_tenant, "theirs")):
        with tenant_scope(each.id):
            upsert_items([{"id": "hat", "title": title}])

    for task in (titles_of_items, scopes_of_its_own):
        assert task.apply(headers={TENANT_HEADER: other_tenant.id}, throw=True).get() == ["theirs"]
        with pytest.raises(NoTenantScope):
            current_tenant_id()


def test_a_task_of_another_tenant_cannot_run_inside_a_scope(tenant: Tenant, other_tenant: Tenant) -> None:
    with tenant_scope(tenant.id), pytest.raises(CrossTenantScope):
        titles_of_items.apply(headers={TENANT_HEADER: other_tenant.id}, throw=True)


def test_a_broker_that_is_away_costs_a_write_nothing(tenant: Tenant) -> None:
    with celery_app.connection_for_write("redis://127.0.0.1:1/0") as nowhere, tenant_scope(tenant.id):
        upsert_items([{"id": "hat", "title": "ours"}])
        enqueue(titles_of_items.signature(connection=nowhere))
    with tenant_scope(tenant.id):
        assert Item.objects.count() == 1


def test_what_was_sent_before_a_sweep_began_is_passed_over(tenant: Tenant, other_tenant: Tenant) -> None:
    def begin(tenant: Tenant, sent_at: float) -> str | None:
        return takes_what_waits.apply(headers={TENANT_HEADER: tenant.id, SENT_HEADER: sent_at}, throw=True).get()

    early = time.time()
    assert begin(tenant, early) == "took it"
    assert begin(tenant, early) is None
    assert begin(other_tenant, early) == "took it", "each tenant has its turn"
    assert begin(tenant, time.time()) == "took it", "what is sent from then on may announce more"


def test_a_sweep_says_when_it_was_sent(tenant: Tenant) -> None:
    before = time.time()
    with tenant_scope(tenant.id):
        enqueue(takes_what_waits)
    (sent,) = take_messages("slow", tenant)
    assert sent.task == "tests.takes_what_waits"
    assert before <= sent.headers[SENT_HEADER] <= time.time()


def test_task_scope_is_for_tasks() -> None:
    with pytest.raises(NoTenantScope, match="body of a tenant task"):
        task_scope()


def backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def lose_connection() -> None:
    with psycopg.connect(settings.DATABASE_URLS["app"]) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [backend()])
    time.sleep(0.1)


def test_a_connection_that_was_lost_while_it_lay_idle_is_replaced(tenant: Tenant) -> None:
    before = backend()
    lose_connection()

    with tenant_scope(tenant.id):
        upsert_items([{"id": "hat"}])
    with tenant_scope(tenant.id):
        assert Item.objects.count() == 1
    assert backend() != before


def lose_connection_in_scope(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        upsert_items([{"id": "hat"}])
        lose_connection()
        upsert_items([{"id": "scarf"}])


def test_a_connection_that_is_lost_inside_a_scope_takes_its_writes_along(tenant: Tenant) -> None:
    with pytest.raises(OperationalError):
        lose_connection_in_scope(tenant)

    with tenant_scope(tenant.id):
        assert not Item.objects.exists()


def test_a_scope_that_cannot_be_opened_leaves_the_connection_usable(tenant: Tenant) -> None:
    with pytest.raises(DataError), scope_opened_by("SELECT 1 / 0", tenant.id):
        pass

    with pytest.raises(NoTenantScope):
        current_tenant_id()
    with tenant_scope(tenant.id):
        assert tenant_in_database() == str(tenant.id)
