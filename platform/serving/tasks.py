"""Celery tasks: training, its rescue, and the inference worker's drain."""

from typing import Any
from uuid import UUID

import structlog
from celery import shared_task
from celery.signals import worker_init, worker_ready, worker_shutting_down

from catalog.vector_index import has_vectors
from serving import engine, inference, new_items, text_vectors
from serving.artifacts import resolve_artifact
from serving.inbox import DRAIN_TASK
from serving.leases import let_go, release_expired
from serving.selectors import deployments
from serving.sweeping import sweep
from serving.training import train
from tenancy.scope import current_tenant_id, tenant_scope
from tenancy.selectors import active_tenant_ids
from tenancy.tasks import enqueue_for_each_tenant, tenant_task

log = structlog.get_logger(__name__)

DAY = 24 * 3600.0


@tenant_task(name="serving.train", queue="train", scoped=False, acks_late=False)
def train_model(run_id: str) -> None:
    """Acknowledged at once: the lease on the row, not the message, says who works on the run."""
    train(UUID(run_id))


@shared_task(name="serving.requeue_expired_runs", queue="default")
def requeue_expired_runs() -> None:
    enqueue_for_each_tenant(requeue_expired_runs_of_tenant)


@tenant_task(name="serving.requeue_expired_runs_of_tenant", queue="default", expires=60.0)
def requeue_expired_runs_of_tenant() -> None:
    for run_id in release_expired():
        log.warning("run_requeued", run=str(run_id))


@shared_task(name=DRAIN_TASK, queue="infer")
def infer_batch() -> None:
    inference.drain()


@tenant_task(name="serving.load_version", queue="infer")
def load_version(artifact: str) -> None:
    new_items.load(current_tenant_id(), resolve_artifact(current_tenant_id(), artifact))


@shared_task(name="serving.encode_item_texts", queue="default")
def encode_item_texts() -> None:
    enqueue_for_each_tenant(encode_item_texts_of_tenant)


@tenant_task(
    name="serving.encode_item_texts_of_tenant", queue="encode", scoped=False, sweeps=True, expires=text_vectors.MAY_WAIT
)
def encode_item_texts_of_tenant() -> None:
    if text_vectors.some_wait():
        text_vectors.encode_waiting()


@shared_task(name="serving.sweep_versions", queue="slow")
def sweep_versions() -> None:
    enqueue_for_each_tenant(sweep_versions_of_tenant)


@tenant_task(name="serving.sweep_versions_of_tenant", queue="slow", scoped=False, expires=DAY)
def sweep_versions_of_tenant() -> None:
    sweep()


@worker_init.connect
def load_engine(sender: Any, **_: Any) -> None:
    """What trains loads the engine before there is work, and what forks from it finds it loaded."""
    if "train" in sender.app.amqp.queues.consume_from:
        engine.load()


@worker_ready.connect
def load_live_versions(sender: Any, **_: Any) -> None:
    """A worker of the infer queue loads what is live before the first question comes."""
    if "infer" not in sender.app.amqp.queues.consume_from:
        return
    engine.predictors()
    searches_by_meaning = False
    for tenant_id in active_tenant_ids():
        with tenant_scope(tenant_id):
            searches_by_meaning = searches_by_meaning or has_vectors()
            artifacts = [deployment.live_version.artifact for deployment in deployments()]
        for artifact in artifacts:
            try:
                new_items.load(tenant_id, resolve_artifact(tenant_id, artifact))
            except Exception:
                log.exception("live_version_not_loaded", tenant=tenant_id, artifact=artifact)
    if searches_by_meaning:
        text_vectors.load_encoder()


@worker_shutting_down.connect
def hand_back_runs(**_: Any) -> None:
    let_go()
