"""What the log does periodically."""

from datetime import timedelta

from celery import shared_task
from django.db import connection
from django.utils import timezone

from behavior import popularity
from behavior.models import EventReceipt
from behavior.services import expire_quarantine
from tenancy.tasks import enqueue_for_each_tenant, in_turn, tenant_task

RECEIPTS_KEPT = timedelta(days=35)
MONTHS_AHEAD = 3


@shared_task(name="behavior.make_partitions_ahead", queue="default")
def make_partitions_ahead() -> None:
    """Of the log, the decisions and whatever else is partitioned by month."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT make_partitions_ahead(%s)", [MONTHS_AHEAD])


@shared_task(name="behavior.expire_receipts", queue="default")
def expire_receipts() -> None:
    enqueue_for_each_tenant(expire_receipts_of_tenant)


@tenant_task(name="behavior.expire_receipts_of_tenant")
def expire_receipts_of_tenant() -> None:
    EventReceipt.objects.filter(received_at__lt=timezone.now() - RECEIPTS_KEPT).delete()


@shared_task(name="behavior.expire_quarantine", queue="default")
def expire_quarantine_of_all() -> None:
    enqueue_for_each_tenant(expire_quarantine_of_tenant)


@tenant_task(name="behavior.expire_quarantine_of_tenant", scoped=False)
def expire_quarantine_of_tenant() -> None:
    in_turn(expire_quarantine)


@shared_task(name="behavior.refresh_item_popularity", queue="default")
def refresh_item_popularity() -> None:
    enqueue_for_each_tenant(refresh_item_popularity_of_tenant)


@tenant_task(name="behavior.refresh_item_popularity_of_tenant", expires=300.0)
def refresh_item_popularity_of_tenant() -> None:
    popularity.refresh_item_popularity()
