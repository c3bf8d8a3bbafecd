"""Writes of sources. Each one leaves a version, and is found by full text when its transaction ends."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from apps.service.knowledge.cleaning import added, clean_characters
from apps.service.knowledge.encoding import request_encoding
from apps.service.knowledge.html_text import text_of_markdown
from apps.service.knowledge.indexing import index_sources
from apps.service.knowledge.models import LONGEST_BODY, Source, SourceAudience, SourceKind, SourceStatus, SourceVersion
from apps.service.knowledge.remembered import forget_chunks
from apps.service.knowledge.slots import slot_problems

# What an editor writes; a version holds these and the status.
FIELDS = ("title", "body", "language", "audience", "segments", "tags", "valid_from", "valid_until")
TIMES = ("valid_from", "valid_until")
MOST_SOURCES = 200_000
MOST_NAMES = 20
Action = SourceVersion.Action


class VersionConflict(Exception):
    """Somebody else has changed the source since it was read."""


@dataclass(frozen=True)
class Written:
    source: Source
    action: Action


@transaction.atomic
def create_source(*, kind: str, actor: str, publish: bool = False, **fields: Any) -> Source:
    """A draft, or at once a published one. Raises ValidationError that names each field at fault."""
    if Source.objects.count() >= MOST_SOURCES:
        raise ValidationError({"title": f"there are {MOST_SOURCES:,} sources already, and no more are taken"})
    source = new_source(kind=kind, actor=actor, publish=publish, **fields)
    if source.external_id and Source.objects.filter(kind=kind, external_id=source.external_id).exists():
        raise ValidationError({"external_id": f"'{source.external_id}' is the id of another {kind}; change that one"})
    store_sources([Written(source, Action.CREATED)], actor=actor)
    return source


@transaction.atomic
def change_source(
    *, source_id: UUID, kind: str, actor: str, changes: Mapping[str, Any], version: int | None = None
) -> Source:
    """Change the named fields; a published source is found by its new text at once.

    `version` is the one that the writer has seen. Raises Source.DoesNotExist, VersionConflict, ValidationError.
    """
    source = locked_source(source_id, kind, version)
    if apply_changes(source, changes):
        store_sources([Written(source, Action.CHANGED)], actor=actor)
    return source


@transaction.atomic
def set_status(*, source_id: UUID, kind: str, status: str, actor: str, version: int | None = None) -> Source:
    """Publish or retire. Raises Source.DoesNotExist, VersionConflict, and ValidationError where it cannot be
    published."""
    source = locked_source(source_id, kind, version)
    if source.status == status:
        return source
    if status == SourceStatus.PUBLISHED:
        check(source)
    source.status = status
    action = Action.PUBLISHED if status == SourceStatus.PUBLISHED else Action.RETIRED
    store_sources([Written(source, action)], actor=actor)
    return source


@transaction.atomic
def restore_source(*, source_id: UUID, kind: str, to: int, actor: str, version: int | None = None) -> Source:
    """Give the source the contents of an earlier version. It keeps its status; a retired one becomes a draft.

    Raises Source.DoesNotExist, SourceVersion.DoesNotExist, VersionConflict, ValidationError.
    """
    source = locked_source(source_id, kind, version)
    contents = SourceVersion.objects.get(source=source, version=to).contents
    changes = {name: _read_time(contents[name]) if name in TIMES else contents[name] for name in FIELDS}
    was_retired = source.status == SourceStatus.RETIRED
    if was_retired:
        source.status = SourceStatus.DRAFT
    if apply_changes(source, changes) or was_retired:
        store_sources([Written(source, Action.RESTORED)], actor=actor)
    return source


def new_source(*, kind: str, actor: str, publish: bool = False, external_id: str = "", **fields: Any) -> Source:
    """A source that is not stored yet. Raises ValidationError."""
    status = SourceStatus.PUBLISHED if publish else SourceStatus.DRAFT
    source = Source(kind=kind, external_id=external_id, status=status, created_by=actor, updated_by=actor)
    apply_changes(source, fields)
    return source


def apply_changes(source: Source, changes: Mapping[str, Any]) -> bool:
    """Put fields into a source, cleaned and checked; whether that changed it. Raises ValidationError."""
    before = contents_of(source)
    counts = [source.stripped] if not {"title", "body"} & changes.keys() else []
    for name, value in changes.items():
        if name in ("title", "body"):
            value, stripped = _cleaned(name, value)
            counts.append(stripped)
        elif name in ("segments", "tags"):
            value = list(dict.fromkeys(clean_characters(each).text.strip() for each in value))
        setattr(source, name, value)
    source.stripped = added(*counts)
    check(source)
    source.content_hash = _hash(source.kind, source.title, source.body)
    return contents_of(source) != before


def check(source: Source) -> None:
    """Raises ValidationError that names each field at fault."""
    problems: dict[str, list[str]] = {}
    try:
        source.clean_fields(exclude={"content_hash", "stripped", "tenant", "created_by", "updated_by"})
    except ValidationError as error:
        problems = dict(error.message_dict)
    if len(source.body) > LONGEST_BODY:
        problems["body"] = [f"has {len(source.body):,} characters; at most {LONGEST_BODY:,} are taken, divide it"]
    if source.audience == SourceAudience.SEGMENT and not source.segments:
        problems.setdefault("segments", []).append("name one segment, at least, for this audience")
    if source.audience != SourceAudience.SEGMENT and source.segments:
        problems.setdefault("segments", []).append("are for the audience 'segment' alone")
    for name in ("segments", "tags"):
        if len(getattr(source, name)) > MOST_NAMES or "" in getattr(source, name):
            problems.setdefault(name, []).append(f"must be at most {MOST_NAMES} names, none of them empty")
    if source.valid_from and source.valid_until and source.valid_until <= source.valid_from:
        problems.setdefault("valid_until", []).append("must come after valid_from")
    if source.kind != SourceKind.ARTICLE:
        problems.setdefault("body", []).extend(slot_problems(source.body))
    if problems := {name: told for name, told in problems.items() if told}:
        raise ValidationError(problems)


def content_hash(kind: str, title: str, body: str) -> bytes:
    """As a source has it that is written with these."""
    return _hash(kind, _cleaned("title", title)[0], _cleaned("body", body)[0])


def contents_of(source: Source) -> dict[str, Any]:
    """What a version keeps, as JSON."""
    contents = {name: getattr(source, name) for name in FIELDS}
    contents |= {name: contents[name].isoformat() if contents[name] else None for name in TIMES}
    return contents | {"status": str(source.status)}


def locked_source(source_id: UUID, kind: str, version: int | None) -> Source:
    """The source, nobody else's to write until the transaction ends. Raises Source.DoesNotExist, VersionConflict."""
    source = Source.objects.select_for_update().get(id=source_id, kind=kind)
    if version is not None and source.version != version:
        raise VersionConflict(
            f"it has version {source.version} by now, not {version}; read it again and repeat the change"
        )
    return source


def store_sources(written: Sequence[Written], *, actor: str) -> None:
    """Store sources with a version of each, and have them found as they are now."""
    now = timezone.now()
    for each in written:
        each.source.version += 1
        each.source.updated_by, each.source.updated_at = actor, now
    new = [each.source for each in written if each.action == Action.CREATED]
    changed = [each.source for each in written if each.action != Action.CREATED]
    columns = [*FIELDS, "status", "version", "content_hash", "stripped", "updated_by", "updated_at"]
    Source.objects.bulk_create(new, batch_size=500)
    Source.objects.bulk_update(changed, columns, batch_size=500)
    SourceVersion.objects.bulk_create(
        [
            SourceVersion(
                source=each.source,
                version=each.source.version,
                action=each.action,
                actor=actor,
                contents=contents_of(each.source),
            )
            for each in written
        ],
        batch_size=500,
    )
    index_sources([each.source for each in written])
    forget_chunks()
    if any(each.source.status == SourceStatus.PUBLISHED for each in written):
        request_encoding()


def _hash(kind: str, title: str, body: str) -> bytes:
    return hashlib.sha256(json.dumps([kind, title, body]).encode()).digest()


def _cleaned(name: str, text: str) -> tuple[str, dict[str, int]]:
    characters = clean_characters(text)
    if name == "title":
        return " ".join(characters.text.split()), characters.stripped
    seen = text_of_markdown(characters.text)
    # Entities of HTML can hide characters too.
    again = clean_characters(seen.text)
    return again.text.strip(), added(characters.stripped, seen.stripped, again.stripped)


def _read_time(text: str | None) -> datetime | None:
    return parse_datetime(text) if text else None
