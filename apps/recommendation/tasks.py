"""What recommendation does periodically, and batches."""

from uuid import UUID

import structlog
from celery import shared_task
from django.db import InterfaceError, OperationalError

from apps.recommendation.batches import chunks as batch_chunks
from apps.recommendation.batches import services as batches
from apps.recommendation.lists import habits
from tenancy.tasks import enqueue_for_each_tenant, task_scope, tenant_task

log = structlog.get_logger(__name__)


@shared_task(name="recommendation.refresh_purchase_habits", queue="default")
def refresh_purchase_habits() -> None:
    enqueue_for_each_tenant(refresh_purchase_habits_of_tenant)


@tenant_task(name="recommendation.refresh_purchase_habits_of_tenant", queue="slow", expires=900.0)
def refresh_purchase_habits_of_tenant() -> None:
    habits.refresh_purchase_habits()


@tenant_task(name="recommendation.plan_batch", queue="slow")
def plan_batch(batch_id: str) -> None:
    batches.plan(UUID(batch_id))


@tenant_task(name="recommendation.make_chunk", queue="slow", scoped=False)
def make_chunk(batch_id: str) -> None:
    """Acknowledged at once: the lease on the chunk's row, not the message, says who works on it."""
    batch_chunks.make_chunk(UUID(batch_id))


@tenant_task(name="recommendation.finish_batch", queue="slow", scoped=False)
def finish_batch(batch_id: str) -> None:
    try:
        with task_scope():
            batches.finish(UUID(batch_id))
    except (OperationalError, InterfaceError):
        log.exception("batch_not_finished", batch=batch_id)
    except Exception as error:
        log.exception("batch_failed", batch=batch_id)
        with task_scope():
            batches.fail(UUID(batch_id), f"the file could not be written: {type(error).__name__}: {error}")


@shared_task(name="recommendation.tend_batches", queue="default")
def tend_batches() -> None:
    enqueue_for_each_tenant(tend_batches_of_tenant)


@tenant_task(name="recommendation.tend_batches_of_tenant", expires=60.0)
def tend_batches_of_tenant() -> None:
    for batch_id in batch_chunks.tend():
        log.warning("batch_announced_again", batch=str(batch_id))


@shared_task(name="recommendation.expire_batches", queue="default")
def expire_batches() -> None:
    enqueue_for_each_tenant(expire_batches_of_tenant)


@tenant_task(name="recommendation.expire_batches_of_tenant")
def expire_batches_of_tenant() -> None:
    if expired := batches.expire():
        log.info("batches_expired", batches=expired)
