"""Vectors of chunks: written by a task after the change, and swept for now and then; counts of terms likewise."""

import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import structlog
from celery import signature
from django.db import connection
from django.db.models import Q

from apps.service.knowledge.indexing import readable_languages
from apps.service.knowledge.models import Chunk
from apps.service.knowledge.remembered import forget_chunks
from apps.service.knowledge.term_index import LEAST_COUNTED
from behavior.positions import move, take
from catalog.vectors import as_text
from serving.text_vectors import encoder_setting, usable_encoder
from tenancy.scope import current_tenant_id
from tenancy.tasks import enqueue, task_scope

log = structlog.get_logger(__name__)

TASK = "service.encode_knowledge_of_tenant"
# Chunks encoded in one transaction, and seconds after which a task gives way to others.
SLICE = 32
TURN_SECONDS = 20.0
TERM_READER = "knowledge terms"

# Rows that another worker is encoding are passed over.
WAITING = """
    SELECT chunk.id, concat_ws(E'\\n', source.title, nullif(chunk.headings, ''), chunk.text)
    FROM service_chunk AS chunk
    JOIN service_source AS source ON source.tenant_id = chunk.tenant_id AND source.id = chunk.source_id
    WHERE chunk.tenant_id = %s AND chunk.encoder = '' AND chunk.language = ANY(%s)
    LIMIT %s FOR UPDATE OF chunk SKIP LOCKED"""
WRITE_VECTORS = """
    UPDATE service_chunk AS chunk SET embedding = nullif(row.embedding, '')::vector, encoder = %s
    FROM unnest(%s::uuid[], %s::text[]) AS row(id, embedding) WHERE chunk.tenant_id = %s AND chunk.id = row.id"""
COUNT_TERMS = """
    WITH counted AS MATERIALIZED (
        SELECT word AS term, ndoc AS chunks
        FROM ts_stat(format('SELECT document FROM service_chunk WHERE tenant_id = %%s', %(tenant)s::integer))
        WHERE ndoc >= %(least)s
        UNION ALL SELECT '', count(*) FROM service_chunk WHERE tenant_id = %(tenant)s
    ),
    gone AS (
        DELETE FROM service_termcount AS known
        WHERE tenant_id = %(tenant)s AND NOT EXISTS (SELECT FROM counted WHERE counted.term = known.term)
    )
    INSERT INTO service_termcount AS known (tenant_id, term, chunks)
    SELECT %(tenant)s, term, chunks FROM counted
    ON CONFLICT (tenant_id, term) DO UPDATE SET chunks = excluded.chunks WHERE known.chunks <> excluded.chunks"""


def request_encoding() -> None:
    """Have the task sent once the transaction has committed."""
    enqueue(signature(TASK, queue="encode"))


def encode_waiting() -> int:
    """Encode chunks of the task's tenant for some seconds, and return how many these were."""
    with task_scope():
        _forget_others()
        if not _waiting(1):
            return 0
    try:
        encoder = usable_encoder()
    except ValueError as error:
        log.warning("knowledge_not_encoded", reason=str(error))
        return 0
    ends = time.monotonic() + TURN_SECONDS
    encoded = 0
    while time.monotonic() < ends:
        with task_scope():
            chunks = _waiting(SLICE)
            if chunks:
                store_vectors([id for id, _ in chunks], encoder.encode([text for _, text in chunks]))
        encoded += len(chunks)
        if len(chunks) < SLICE:
            break
    return encoded


def some_wait() -> bool:
    return Chunk.objects.filter(encoder="", language__in=readable_languages()).exists()


def has_vectors() -> bool:
    return Chunk.objects.filter(encoder__gt="").exists()


def count_terms() -> None:
    """Count the terms anew where chunks have come since the last count; for searches a count of yesterday does."""
    place = take(TERM_READER)
    if place is None:
        return
    newest = Chunk.objects.order_by("-created_at").values_list("created_at", flat=True).first()
    if newest is None or newest <= place.position:
        return
    with connection.cursor() as cursor:
        cursor.execute(COUNT_TERMS, {"tenant": current_tenant_id(), "least": LEAST_COUNTED})
    move(place, newest)


def _waiting(limit: int) -> list[tuple[UUID, str]]:
    with connection.cursor() as cursor:
        cursor.execute(WAITING, [current_tenant_id(), readable_languages(), limit])
        return cursor.fetchall()


def store_vectors(ids: Sequence[UUID], vectors: Any) -> None:
    embeddings = [as_text(vector) if vector.any() else "" for vector in vectors]
    with connection.cursor() as cursor:
        cursor.execute(WRITE_VECTORS, [encoder_setting(), list(ids), embeddings, current_tenant_id()])
    forget_chunks()


def _forget_others() -> None:
    """Vectors of another encoder do not compare, and those of languages that it is not to read say nothing."""
    encoder = encoder_setting()
    others = Q(encoder__gt="", encoder__lt=encoder) | Q(encoder__gt=encoder)
    unread = Q(encoder__gt="") & ~Q(language__in=readable_languages())
    Chunk.objects.filter(others | unread).update(encoder="", embedding=None)
