"""What customer service does off the request's path."""

from typing import Any

from celery import shared_task
from celery.signals import worker_ready

from apps.service.knowledge import encoding
from serving.text_vectors import load_encoder
from tenancy.scope import tenant_scope
from tenancy.selectors import active_tenant_ids
from tenancy.tasks import enqueue, enqueue_for_each_tenant, task_scope, tenant_task


@shared_task(name="service.encode_knowledge", queue="default")
def encode_knowledge() -> None:
    """What a lost task, a broker that was away or another encoder has left."""
    enqueue_for_each_tenant(encode_knowledge_of_tenant)


@tenant_task(name=encoding.TASK, queue="default", scoped=False, expires=60.0)
def encode_knowledge_of_tenant() -> None:
    """Not on the queue of the predictions, which would wait for it."""
    if encoding.encode_waiting():
        with task_scope():
            if encoding.some_wait():
                enqueue(encode_knowledge_of_tenant)


@shared_task(name="service.count_knowledge_terms", queue="default")
def count_knowledge_terms() -> None:
    enqueue_for_each_tenant(count_knowledge_terms_of_tenant)


@tenant_task(name="service.count_knowledge_terms_of_tenant", queue="default", expires=60.0)
def count_knowledge_terms_of_tenant() -> None:
    encoding.count_terms()


@worker_ready.connect
def load_encoder_for_searches(sender: Any, **_: Any) -> None:
    """A worker of the infer queue has the encoder in memory before the first search comes."""
    if "infer" not in sender.app.amqp.queues.consume_from:
        return
    for tenant_id in active_tenant_ids():
        with tenant_scope(tenant_id):
            wanted = encoding.has_vectors()
        if wanted:
            load_encoder()
            return
