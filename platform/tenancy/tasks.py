"""Celery tasks that carry their tenant in the message headers."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any

from celery import Task, shared_task
from django.db import transaction

from tenancy.scope import NoTenantScope, current_tenant_id, tenant_scope
from tenancy.selectors import active_tenant_ids

TENANT_HEADER = "tenant_id"
SENT_HEADER = "sent_at"
TURN_SECONDS = 10.0
_task_tenant: ContextVar[int | None] = ContextVar("task_tenant", default=None)
# When this process last began a sweep, by its name and tenant; Unix seconds.
_swept_at: dict[tuple[str, int], float] = {}


class TenantTask(Task):
    """A task that runs for one tenant. `scoped` tasks run inside its scope; long ones open `task_scope()` when needed,
    so that no transaction stays open for hours. One that `sweeps` takes whatever waits: a message that was sent before
    the last one began announces nothing new and is passed over, so that such messages may wait for long and many of one
    tenant are one turn."""

    scoped = True
    sweeps = False

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        headers = options.pop("headers", None) or {}
        headers.setdefault(TENANT_HEADER, _task_tenant.get() or _scope_or_none())
        return super().apply_async(args, kwargs, headers=headers, **options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        tenant_id = self._header(TENANT_HEADER)
        if tenant_id is None:
            raise NoTenantScope(f"{self.name} was sent without a tenant")
        if self.sweeps:
            now = time.time()
            if (self._header(SENT_HEADER) or now) < _swept_at.get((self.name, tenant_id), 0.0):
                return None
            _swept_at[self.name, tenant_id] = now
        token = _task_tenant.set(tenant_id)
        try:
            if not self.scoped:
                return super().__call__(*args, **kwargs)
            with tenant_scope(tenant_id):
                return super().__call__(*args, **kwargs)
        finally:
            _task_tenant.reset(token)

    def _header(self, name: str) -> Any:
        return self.request.get(name) or (self.request.headers or {}).get(name)


def tenant_task(
    *, name: str, queue: str = "default", scoped: bool = True, sweeps: bool = False, **options: Any
) -> Callable[..., Any]:
    """Decorator: a Celery task on `queue` that runs for the tenant in whose scope it was enqueued."""
    return shared_task(base=TenantTask, name=name, queue=queue, scoped=scoped, sweeps=sweeps, **options)


def task_scope() -> AbstractContextManager[None]:
    """A scope of the running task's tenant. Raises NoTenantScope outside a tenant task."""
    tenant_id = _task_tenant.get()
    if tenant_id is None:
        raise NoTenantScope("task_scope() is for the body of a tenant task")
    return tenant_scope(tenant_id)


def in_turn(take_slice: Callable[[], int]) -> None:
    """For the body of a task without a scope: slice after slice, each in a transaction of its own, until one is empty
    or TURN_SECONDS are over; then other tenants have their turn, and the next repetition goes on."""
    ends = time.monotonic() + TURN_SECONDS
    is_left = True
    while is_left and time.monotonic() < ends:
        with task_scope():
            is_left = take_slice() > 0


def enqueue(task: Any, **kwargs: Any) -> None:
    """Send a task for the tenant in scope once the transaction has committed; a rolled-back one sends nothing.

    A broker that is away costs the write nothing: a sweep finds what waits.
    """
    tenant_id = current_tenant_id()
    transaction.on_commit(
        lambda: task.apply_async(kwargs=kwargs, headers=_headers(tenant_id), retry=False), robust=True
    )


def enqueue_for_each_tenant(task: Any, **kwargs: Any) -> None:
    """Send a tenant task once for every active tenant."""
    for tenant_id in active_tenant_ids():
        task.apply_async(kwargs=kwargs, headers=_headers(tenant_id))


def _headers(tenant_id: int) -> dict[str, Any]:
    return {TENANT_HEADER: tenant_id, SENT_HEADER: time.time()}


def _scope_or_none() -> int | None:
    try:
        return current_tenant_id()
    except NoTenantScope:
        return None
