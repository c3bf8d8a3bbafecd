"""What the decisions do periodically."""

from celery import shared_task

from decisions import counting
from tenancy.tasks import enqueue_for_each_tenant, tenant_task


@shared_task(name="decisions.refresh_kpi", queue="default")
def refresh_kpi() -> None:
    enqueue_for_each_tenant(refresh_kpi_of_tenant)


@tenant_task(name="decisions.refresh_kpi_of_tenant", expires=60.0)
def refresh_kpi_of_tenant() -> None:
    counting.refresh_kpi()
