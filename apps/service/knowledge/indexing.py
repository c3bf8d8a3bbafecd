"""Chunks of published sources: written with the source, in its transaction, so that full text finds each change at
once; their vectors follow in a task."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from django.conf import settings
from django.db import connection
from uuid_utils.compat import uuid7

from apps.service.engine import Chunk as CutChunk
from apps.service.engine import chunk_text
from apps.service.knowledge.models import Chunk, Source, SourceAudience, SourceLanguage, SourceStatus
from catalog.text_analysis import analyse, is_mostly_cjk, pairs_as_vector
from tenancy.scope import current_tenant_id

PUBLIC, AGENTS = "public", "agents"
PARTS = ("title", "headings", "text")
# Written at a time, so that one statement stays within some megabytes.
PAGE = 500
WRITE_CHUNKS = """
    INSERT INTO service_chunk (id, tenant_id, source_id, place, headings, text, kind, language, readers, valid_from,
        valid_until, document, encoder, created_at)
    SELECT id, %s, source_id, place, headings, text, kind, language, readers, valid_from, valid_until,
        setweight(to_tsvector('english', title_words) || title_pairs::tsvector, 'A')
        || setweight(to_tsvector('english', headings_words) || headings_pairs::tsvector, 'B')
        || setweight(to_tsvector('english', text_words) || text_pairs::tsvector, 'D'),
        '', now()
    FROM jsonb_to_recordset(%s::jsonb) AS row (
        id uuid, source_id uuid, place integer, headings text, text text, kind text, language text, readers text[],
        valid_from timestamptz, valid_until timestamptz, title_words text, title_pairs text, headings_words text,
        headings_pairs text, text_words text, text_pairs text)
"""


def index_sources(sources: Sequence[Source]) -> None:
    """Have the sources found as they are now: those that are published by all of their text, others not at all."""
    Chunk.objects.filter(source__in=[source.id for source in sources]).delete()
    rows = [row for source in sources if source.status == SourceStatus.PUBLISHED for row in _rows(source)]
    with connection.cursor() as cursor:
        for begin in range(0, len(rows), PAGE):
            cursor.execute(WRITE_CHUNKS, [current_tenant_id(), json.dumps(rows[begin : begin + PAGE])])


def readers_of(audience: str, segments: Iterable[str]) -> list[str]:
    """Names under which a source's readers ask."""
    if audience == SourceAudience.SEGMENT:
        return [segment_reader(segment) for segment in segments]
    return [AGENTS if audience == SourceAudience.AGENTS else PUBLIC]


def segment_reader(segment: str) -> str:
    return f"segment:{segment}"


def cut(source: Source) -> list[CutChunk]:
    """The chunks by which a source is found; one with nothing but a title has one."""
    return chunk_text(source.body) or [CutChunk(0, 0, source.title, ())]


def language_of(text: str, declared: str) -> str:
    """Chinese where most of a text is, whatever was said of it: no encoder of English may read it."""
    return SourceLanguage.CHINESE if is_mostly_cjk(text) else declared


def readable_languages() -> list[str]:
    """Languages that the text encoder was made for; chunks and queries in others have no vector."""
    return [language for language in SourceLanguage.values if language in settings.TEXT_ENCODER_LANGUAGES]


def _rows(source: Source) -> list[dict[str, Any]]:
    common = {
        "source_id": str(source.id),
        "kind": source.kind,
        "readers": readers_of(source.audience, source.segments),
        "valid_from": source.valid_from.isoformat() if source.valid_from else None,
        "valid_until": source.valid_until.isoformat() if source.valid_until else None,
    }
    rows = []
    for place, chunk in enumerate(cut(source)):
        headings = " > ".join(chunk.headings)
        row: dict[str, Any] = {"id": str(uuid7()), "place": place, "headings": headings, "text": chunk.text}
        row["language"] = language_of(chunk.text, source.language)
        for part, text in zip(PARTS, (source.title, headings, chunk.text), strict=True):
            analysed = analyse(text)
            row[f"{part}_words"] = " ".join(analysed.words)
            row[f"{part}_pairs"] = pairs_as_vector(analysed.runs)
        rows.append(common | row)
    return rows
