"""Batches from request to file: asked for, cut into chunks, watched, merged, thrown away.

Messages may come twice or never; the rows decide. `announce` sends as many messages as chunks may be under way, and
each worker that has finished a chunk sends the next one, so a large batch never fills the queue before others' work.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from celery import signature
from django.conf import settings
from django.contrib.postgres.aggregates import ArrayAgg
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models import Q, QuerySet, Sum
from django.utils import timezone

from apps.recommendation.batches import files as batch_files
from apps.recommendation.lists.asking import Ask
from apps.recommendation.models import (
    ACTIVE_BATCHES,
    UNFINISHED_CHUNKS,
    Batch,
    BatchChunk,
    BatchFormat,
    BatchStatus,
    ChunkStatus,
)
from apps.recommendation.services import judge, obtain_scenario
from behavior.models import Consent
from behavior.subjects import Subject
from catalog.filters import FilterError
from catalog.saved_filters import read_filter
from tenancy.scope import current_tenant_id
from tenancy.tasks import enqueue

MOST_ITEMS = 100
MOST_SUBJECTS = 10_000
SHOWN_ERRORS = 5
SUMS = ("lists", "rows", "empty", "left_out", "degraded")
COUNTED = (*SUMS, "failed")

# Each person whose newest event lets us personalise, by index probes for each, however long the log is. A person is
# named by the least of its user ids in the vault, and by the visitor's id where no user is known.
CUT = """
    INSERT INTO recommendation_batchchunk (id, tenant_id, batch_id, number, subject_keys, subjects, status, attempt,
        lists, rows, empty, left_out, degraded, error)
    SELECT gen_random_uuid(), %(tenant)s, %(batch)s, number, array_agg(key ORDER BY key), count(*), 'queued', 0,
        0, 0, 0, 0, 0, ''
    FROM (
        SELECT named.key, (row_number() OVER (ORDER BY named.key) - 1) / %(size)s AS number
        FROM (
            SELECT DISTINCT coalesce(owner.key, identity.subject_key) AS key
            FROM behavior_subjectidentity identity
                LEFT JOIN LATERAL (
                    SELECT to_key FROM behavior_identitylink link
                    WHERE link.tenant_id = %(tenant)s AND link.from_key = identity.subject_key
                        AND link.kind = 'login' AND link.undone_at IS NULL
                    ORDER BY since DESC, id DESC LIMIT 1
                ) last_login ON identity.kind = 'anonymous_id'
                LEFT JOIN LATERAL (
                    SELECT person.key
                    FROM behavior_person(
                            %(tenant)s, ARRAY[coalesce(last_login.to_key, identity.subject_key)]) AS person
                        JOIN behavior_subjectidentity known ON known.tenant_id = %(tenant)s
                            AND known.subject_key = person.key AND known.kind = 'user_id'
                    ORDER BY person.key LIMIT 1
                ) owner ON true
            WHERE identity.tenant_id = %(tenant)s
                AND (%(chosen)s::bytea[] IS NULL OR identity.subject_key = ANY(%(chosen)s::bytea[]))
        ) named CROSS JOIN LATERAL (
            SELECT last.consent FROM behavior_person(%(tenant)s, ARRAY[named.key]) AS person CROSS JOIN LATERAL (
                SELECT consent, occurred_at FROM behavior_event event
                WHERE event.tenant_id = %(tenant)s AND event.subject_key = person.key
                    AND occurred_at > person.after AND occurred_at <= person.until
                ORDER BY occurred_at DESC LIMIT 1
            ) last ORDER BY last.occurred_at DESC LIMIT 1
        ) newest
        WHERE newest.consent & %(consent)s <> 0
    ) numbered
    GROUP BY number"""


NOBODY = Subject(b"", None, None)


class BatchUnderWay(ValidationError):
    """The scenario has a batch under way already."""


def request_batch(
    *,
    scenario: str,
    count: int = 12,
    filter: dict[str, Any] | None = None,
    params: dict[str, Any] | None = None,
    format: str = BatchFormat.PARQUET,
    subjects: Sequence[Subject] | None = None,
    requested_by: str = "",
) -> Batch:
    """Queue lists for `subjects`, or for everybody, for the tenant in scope.

    Raises UnknownScenario; ValidationError, keyed by field, for a filter or params that cannot be used; BatchUnderWay.
    """
    batch = Batch(
        scenario=scenario,
        count=count,
        filter=filter,
        params=params or {},
        format=format,
        subject_keys=None if subjects is None else sorted({subject.key for subject in subjects}),
        requested_by=requested_by,
    )
    judge(obtain_scenario(scenario), ask_of(batch, NOBODY))
    if filter:
        try:
            read_filter(filter)
        except FilterError as error:
            raise ValidationError({"filter": str(error)}) from error
    try:
        with transaction.atomic():
            batch.save(force_insert=True)
    except IntegrityError as error:
        raise BatchUnderWay(
            {"scenario": f"'{scenario}' has a batch under way already; wait for its end, or cancel it"}
        ) from error
    enqueue(signature("recommendation.plan_batch", queue="slow"), batch_id=str(batch.id))
    return batch


def ask_of(batch: Batch, subject: Subject) -> Ask:
    """The request that each list of the batch answers."""
    return Ask(batch.scenario, subject, count=batch.count, filter=batch.filter, params=batch.params)


def plan(batch_id: UUID) -> None:
    """Cut a queued batch into chunks and set workers to them; nothing happens when it is not queued any more."""
    now = timezone.now()
    planned = Batch.objects.filter(id=batch_id, status=BatchStatus.QUEUED).update(
        status=BatchStatus.RUNNING, started_at=now
    )
    if not planned:
        return
    chosen = Batch.objects.values_list("subject_keys", flat=True).get(id=batch_id)
    values: dict[str, Any] = {
        "tenant": current_tenant_id(),
        "batch": batch_id,
        "size": settings.BATCH_CHUNK,
        "consent": Consent.PERSONALISATION,
        "chosen": None if chosen is None else [bytes(key) for key in chosen],
    }
    with connection.cursor() as cursor:
        cursor.execute(CUT, values)
    total = BatchChunk.objects.filter(batch_id=batch_id).aggregate(total=Sum("subjects"))["total"] or 0
    left_out = 0 if chosen is None else len(chosen) - total
    Batch.objects.filter(id=batch_id).update(total=total, left_out=left_out, subject_keys=None)
    announce(batch_id, settings.BATCH_WORKERS)


def announce(batch_id: UUID, workers: int) -> None:
    """Have up to so many workers take a chunk of a running batch, or one merge the parts when all are made."""
    waiting = BatchChunk.objects.filter(batch_id=batch_id, status=ChunkStatus.QUEUED)[:workers].count()
    for _ in range(waiting):
        enqueue(signature("recommendation.make_chunk", queue="slow"), batch_id=str(batch_id))
    if waiting:
        Batch.objects.filter(id=batch_id).update(announced_at=timezone.now())
    elif not BatchChunk.objects.filter(batch_id=batch_id, status=ChunkStatus.RUNNING).exists():
        enqueue(signature("recommendation.finish_batch", queue="slow"), batch_id=str(batch_id))


def finish(batch_id: UUID) -> None:
    """Merge the parts of a batch whose chunks have all ended. Its row is locked meanwhile, so this happens once."""
    batch = Batch.objects.select_for_update().filter(id=batch_id, status=BatchStatus.RUNNING).first()
    if batch is None or batch.chunks.filter(status__in=UNFINISHED_CHUNKS).exists():
        return
    made = list(batch.chunks.defer("subject_keys").filter(status=ChunkStatus.SUCCEEDED))
    lost = batch.chunks.filter(status=ChunkStatus.FAILED)
    sums = batch.chunks.aggregate(**{name: Sum(name, default=0) for name in SUMS})
    batch.left_out += sums.pop("left_out")
    for name, value in sums.items():
        setattr(batch, name, value)
    batch.failed = lost.aggregate(failed=Sum("subjects", default=0))["failed"]
    batch.errors = list(lost.values_list("error", flat=True).distinct()[:SHOWN_ERRORS])
    batch.status = BatchStatus.FAILED if batch.failed else BatchStatus.SUCCEEDED
    if made or not batch.failed:
        batch.file_bytes = batch_files.merge_parts(batch, [batch_files.part_of(chunk) for chunk in made])
    batch.finished_at = timezone.now()
    batch.save()
    batch.chunks.all().delete()
    batch_files.remove_parts(batch_id)


def fail(batch_id: UUID, error: str) -> None:
    """End a batch whose parts could not be merged."""
    failed = Batch.objects.filter(id=batch_id, status=BatchStatus.RUNNING).update(
        status=BatchStatus.FAILED, errors=[error], finished_at=timezone.now()
    )
    if failed:
        _clear(batch_id)


def discard(batch_id: UUID) -> Batch:
    """Cancel a batch that is under way; of one that has ended, throw the file away. Safe to repeat.

    A worker in the middle of a chunk finds that it holds it no longer, and records nothing.
    """
    batch = Batch.objects.select_for_update().get(id=batch_id)
    if batch.status in ACTIVE_BATCHES:
        batch.status, batch.finished_at = BatchStatus.CANCELLED, timezone.now()
    batch.file_bytes = None
    batch.subject_keys = None
    batch.save()
    _clear(batch_id)
    return batch


def _clear(batch_id: UUID) -> None:
    BatchChunk.objects.filter(batch_id=batch_id).delete()
    batch_files.remove_files(batch_id)


def expire() -> int:
    """Delete the files of batches that ended BATCH_KEPT_DAYS ago, and return how many."""
    oldest = timezone.now() - timedelta(days=settings.BATCH_KEPT_DAYS)
    expired = list(Batch.objects.filter(file_bytes__isnull=False, finished_at__lt=oldest).values_list("id", flat=True))
    for batch_id in expired:
        discard(batch_id)
    return len(expired)


def batches() -> QuerySet[Batch]:
    """Newest first."""
    return Batch.objects.defer("subject_keys").order_by("-created_at")


@dataclass(frozen=True)
class Progress:
    """How far a batch is. `done` counts its subjects; `per_second` is the mean since it began."""

    total: int
    done: int
    lists: int
    rows: int
    empty: int
    left_out: int
    degraded: int
    failed: int
    errors: list[str]
    per_second: float | None
    estimated_end: datetime | None

    @property
    def percent(self) -> float:
        return 100 * self.done / self.total if self.total else 0.0


def progress_of(listed: Sequence[Batch]) -> dict[UUID, Progress]:
    """Progress of each batch; one query, however many there are."""
    running = [batch.id for batch in listed if batch.status == BatchStatus.RUNNING]
    ended, failed = Q(status=ChunkStatus.SUCCEEDED), Q(status=ChunkStatus.FAILED)
    sums: dict[UUID, dict[str, Any]] = {}
    if running:
        rows: Iterable[Mapping[str, Any]] = (
            BatchChunk.objects.filter(batch_id__in=running)
            .order_by()
            .values("batch_id")
            .annotate(
                done=Sum("subjects", filter=ended | failed, default=0),
                failed=Sum("subjects", filter=failed, default=0),
                errors=ArrayAgg("error", filter=~Q(error=""), distinct=True, default=[]),
                **{name: Sum(name, default=0) for name in SUMS},
            )
        )
        sums = {row["batch_id"]: {name: row[name] for name in ("done", "errors", *COUNTED)} for row in rows}
    return {batch.id: _progress(batch, sums.get(batch.id)) for batch in listed}


def _progress(batch: Batch, sums: dict[str, Any] | None) -> Progress:
    found = {name: getattr(batch, name) for name in COUNTED}
    done = batch.total if batch.status in (BatchStatus.SUCCEEDED, BatchStatus.FAILED) else 0
    errors = list(batch.errors)
    if sums:
        done, errors = sums.pop("done"), sums.pop("errors")[:SHOWN_ERRORS]
        found = sums | {"left_out": batch.left_out + sums["left_out"]}
    per_second, estimated_end = None, None
    if batch.started_at and done:
        ends = batch.finished_at or timezone.now()
        per_second = done / max((ends - batch.started_at).total_seconds(), 1e-3)
        if batch.status == BatchStatus.RUNNING:
            estimated_end = timezone.now() + timedelta(seconds=(batch.total - done) / per_second)
    return Progress(
        total=batch.total,
        done=done,
        errors=errors,
        per_second=per_second,
        estimated_end=estimated_end,
        **found,
    )
