"""Who works on a chunk: claimed under a row lock, held by a lease, and lost when another takes over.

A chunk's decisions, its sums and the name of its part are written in one transaction that asks once more who holds it,
so a chunk counts once however often it is worked on. A chunk takes seconds, so its lease is not renewed.
"""

from datetime import timedelta
from uuid import UUID, uuid4

import structlog
from celery import signature
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from apps.recommendation.batches import files as batch_files
from apps.recommendation.batches.lists import Made, make_lists
from apps.recommendation.batches.services import NOBODY, announce, ask_of
from apps.recommendation.lists.paging import request_of
from apps.recommendation.models import Batch, BatchChunk, BatchStatus, ChunkStatus
from apps.recommendation.scenarios import APPLICATION
from decisions.services import record_batch
from tenancy.tasks import enqueue, task_scope

log = structlog.get_logger(__name__)

MOST_ATTEMPTS = 3
SILENT = f"the worker ended without a word {MOST_ATTEMPTS} times, most likely for want of memory"


class ChunkLost(RuntimeError):
    """The batch was cancelled, or the chunk given to another worker."""


def make_chunk(batch_id: UUID) -> None:
    """Make the lists of the next chunk of a batch, and send for the one after it."""
    with task_scope():
        chunk = claim(batch_id)
    if chunk is None:
        return
    try:
        _make(chunk)
    except ChunkLost as error:
        batch_files.remove_part(chunk)
        log.warning("chunk_left", chunk=str(chunk.id), reason=str(error))
        return
    except (OperationalError, InterfaceError):
        # The database is away: the lease runs out, and another attempt follows.
        log.exception("chunk_interrupted", chunk=str(chunk.id))
        return
    except Exception as error:
        log.exception("chunk_failed", chunk=str(chunk.id))
        _give_up(chunk, str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}")
    with task_scope():
        announce(batch_id, 1)


def claim(batch_id: UUID) -> BatchChunk | None:
    """Take a chunk that nobody has; None when none is left."""
    chunk = (
        BatchChunk.objects.select_for_update(skip_locked=True)
        .filter(batch_id=batch_id, status=ChunkStatus.QUEUED)
        .order_by("number")
        .first()
    )
    if chunk is None:
        return None
    chunk.status, chunk.attempt, chunk.lease_owner = ChunkStatus.RUNNING, chunk.attempt + 1, uuid4()
    chunk.lease_expires_at = timezone.now() + timedelta(seconds=settings.BATCH_LEASE)
    chunk.save(update_fields=["status", "attempt", "lease_owner", "lease_expires_at"])
    return chunk


def _make(chunk: BatchChunk) -> None:
    with task_scope():
        batch = Batch.objects.defer("subject_keys").get(id=chunk.batch_id)
        made = make_lists(batch, [bytes(key) for key in chunk.subject_keys])
        batch_files.write_part(chunk, made.rows)
        _record(batch, chunk, made)


def _record(batch: Batch, chunk: BatchChunk, made: Made) -> None:
    _update_held(
        chunk,
        status=ChunkStatus.SUCCEEDED,
        lists=len(made.served),
        rows=made.rows.num_rows,
        empty=made.empty,
        left_out=made.left_out,
        degraded=made.degraded,
        error="",
    )
    record_batch(
        batch=batch.id,
        application=APPLICATION,
        scenario=batch.scenario,
        request=request_of(ask_of(batch, NOBODY)),
        served=made.served,
        latency_ms=made.latency_ms,
    )


def _give_up(chunk: BatchChunk, error: str) -> None:
    """Let another worker try, or nobody any more."""
    status = ChunkStatus.FAILED if chunk.attempt >= MOST_ATTEMPTS else ChunkStatus.QUEUED
    with task_scope():
        try:
            _update_held(chunk, status=status, error=error)
        except ChunkLost as lost:
            log.warning("chunk_left", chunk=str(chunk.id), reason=str(lost))


def _update_held(chunk: BatchChunk, **values: object) -> None:
    held = BatchChunk.objects.filter(id=chunk.id, status=ChunkStatus.RUNNING, lease_owner=chunk.lease_owner)
    if not held.update(lease_owner=None, lease_expires_at=None, **values):
        raise ChunkLost(f"chunk {chunk.number} of batch {chunk.batch_id} was cancelled or is another worker's")


def tend() -> list[UUID]:
    """Take chunks from silent workers, and announce batches again whose messages may be lost. Returns these."""
    now = timezone.now()
    expired = BatchChunk.objects.filter(status=ChunkStatus.RUNNING, lease_expires_at__lt=now)
    lost = set(expired.values_list("batch_id", flat=True))
    expired.filter(attempt__gte=MOST_ATTEMPTS).update(status=ChunkStatus.FAILED, lease_owner=None, error=SILENT)
    expired.update(status=ChunkStatus.QUEUED, lease_owner=None)
    silent_since = now - timedelta(seconds=settings.BATCH_LEASE)
    for batch_id in Batch.objects.filter(status=BatchStatus.QUEUED, announced_at__lt=silent_since).values_list(
        "id", flat=True
    ):
        Batch.objects.filter(id=batch_id).update(announced_at=now)
        enqueue(signature("recommendation.plan_batch", queue="slow"), batch_id=str(batch_id))
    working = BatchChunk.objects.filter(status=ChunkStatus.RUNNING).values("batch_id")
    forgotten = Batch.objects.filter(status=BatchStatus.RUNNING, announced_at__lt=silent_since).exclude(id__in=working)
    lost |= set(forgotten.values_list("id", flat=True))
    for batch_id in lost:
        announce(batch_id, settings.BATCH_WORKERS)
    return sorted(lost)
