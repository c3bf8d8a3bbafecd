"""The only door to a tenant's rows: a transaction in which the database itself knows the tenant."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any

import structlog
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection, connections, transaction

from tenancy.statements import begin_with, prepared_cursor

_tenant: ContextVar[int | None] = ContextVar("tenant", default=None)


class NoTenantScope(RuntimeError):
    """Tenant-owned data was asked for outside `tenant_scope`."""


class CrossTenantScope(RuntimeError):
    """A scope was opened inside the scope of another tenant."""


def current_tenant_id() -> int:
    """Id of the tenant in scope. Raises NoTenantScope outside one."""
    tenant_id = _tenant.get()
    if tenant_id is None:
        raise NoTenantScope("no tenant in scope: wrap the code in `with tenant_scope(tenant_id):`")
    return tenant_id


@contextmanager
def tenant_scope(tenant_id: int) -> Iterator[None]:
    """One transaction that sees the rows of this tenant alone.

    Row-level security compares every row with `app.tenant`, which SET LOCAL limits to the transaction, so a pooled
    connection carries nothing over. Inside a scope of the same tenant it joins that scope.
    Raises CrossTenantScope inside the scope of another tenant.
    """
    if _tenant.get() == tenant_id:
        yield
        return
    with scope_opened_by(f"SELECT set_config('app.tenant', '{int(tenant_id)}', true)", tenant_id):
        yield


@contextmanager
def scope_opened_by(statement: str, tenant_id: int) -> Iterator[str | None]:
    """`tenant_scope` by another statement that sets `app.tenant`; gives the one value that it answers with."""
    outer = _tenant.get()
    if outer == tenant_id:
        yield begin_with(statement)
        return
    if outer is not None:
        raise CrossTenantScope(f"tenant {tenant_id} asked for inside the scope of tenant {outer}")
    token = _tenant.set(tenant_id)
    logged = structlog.contextvars.bind_contextvars(tenant=tenant_id)
    try:
        block, answer = _begin(statement)
        with block:
            yield answer
            # A surrounding transaction (a test's) outlives this scope, and SET LOCAL would live on with it.
            if connection.savepoint_ids and not connection.needs_rollback:
                set_local("app.tenant", "")
    finally:
        structlog.contextvars.reset_contextvars(**logged)
        _tenant.reset(token)


def _begin(statement: str) -> tuple[ExitStack, str | None]:
    """A transaction that has begun with the statement, and its answer. A connection that was lost while it lay idle is
    replaced, and what tells is the statement itself: asking first would cost each request a message."""
    # Looked up once: each attribute of `django.db.connection` is a look-up of its own.
    database: Any = connections[DEFAULT_DB_ALIAS]
    idle = None if database.in_atomic_block else database.connection
    if idle is None:
        return _begin_once(statement)
    database.health_check_done = True
    try:
        return _begin_once(statement)
    except OperationalError:
        if database.connection is idle:
            raise
        return _begin_once(statement)


def _begin_once(statement: str) -> tuple[ExitStack, str | None]:
    with ExitStack() as block:
        block.enter_context(transaction.atomic())
        answer = begin_with(statement)
        return block.pop_all(), answer


def set_local(name: str, value: str) -> None:
    """SET LOCAL with a bound value; must be called inside a transaction."""
    with prepared_cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, true)", [name, value])
