"""Periodic work of the API."""

from celery import shared_task

from api.idempotency import expire_keys
from tenancy.tasks import enqueue_for_each_tenant, tenant_task


@tenant_task(name="api.expire_idempotency_keys_of_tenant")
def expire_idempotency_keys_of_tenant() -> None:
    expire_keys()


@shared_task(name="api.expire_idempotency_keys", queue="default")
def expire_idempotency_keys() -> None:
    enqueue_for_each_tenant(expire_idempotency_keys_of_tenant)
