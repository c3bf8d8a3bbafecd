"""What recommendation does periodically."""

from celery import shared_task

from apps.recommendation import habits
from tenancy.tasks import enqueue_for_each_tenant, tenant_task


@shared_task(name="recommendation.refresh_purchase_habits", queue="default")
def refresh_purchase_habits() -> None:
    enqueue_for_each_tenant(refresh_purchase_habits_of_tenant)


@tenant_task(name="recommendation.refresh_purchase_habits_of_tenant")
def refresh_purchase_habits_of_tenant() -> None:
    habits.refresh_purchase_habits()
