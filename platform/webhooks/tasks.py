"""Sends what waits, and lets go of what was sent long ago."""

from celery import shared_task

from tenancy.tasks import enqueue, enqueue_for_each_tenant, task_scope, tenant_task
from webhooks.sending import expire_deliveries, send_waiting


@shared_task(name="webhooks.send", queue="default")
def send_webhooks() -> None:
    enqueue_for_each_tenant(send_webhooks_of_tenant)


@tenant_task(name="webhooks.send_of_tenant", queue="webhooks", scoped=False, expires=60.0)
def send_webhooks_of_tenant() -> None:
    if send_waiting():
        with task_scope():
            enqueue(send_webhooks_of_tenant)


@shared_task(name="webhooks.expire_deliveries", queue="default")
def expire_webhook_deliveries() -> None:
    enqueue_for_each_tenant(expire_webhook_deliveries_of_tenant)


@tenant_task(name="webhooks.expire_deliveries_of_tenant", queue="default")
def expire_webhook_deliveries_of_tenant() -> None:
    expire_deliveries()
