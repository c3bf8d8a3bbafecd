"""Bringing in files: each row is judged by itself and answered for, and an import can be repeated without harm."""

from collections import Counter
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction

from apps.service.knowledge.cleaning import added
from apps.service.knowledge.files import Row, read_file
from apps.service.knowledge.models import KnowledgeImport, Source, SourceKind, SourceStatus, SourceVersion
from apps.service.knowledge.selectors import existing_by_external_id
from apps.service.knowledge.services import Written, apply_changes, content_hash, new_source, store_sources
from behavior.judging import MOST_NAMED

MOST_FILES, MOST_ROWS, MOST_CHARACTERS = 200, 5_000, 6_000_000
Action = SourceVersion.Action


class ImportTooLarge(Exception):
    """More files, rows or text than one import takes; nothing was stored."""


@transaction.atomic
def import_files(
    *, files: Sequence[tuple[str, str]], actor: str, kind: str, publish: bool = False, **defaults: Any
) -> KnowledgeImport:
    """Sources of the (name, content) of files. What is known by its id is changed, what is new is added. `publish` is
    for what is new and for drafts that are known; what is retired stays so.

    `defaults` (language, audience) count where a row says nothing. A row that changes nothing is a duplicate, and so
    is one without an id whose text is there already. Raises ImportTooLarge.
    """
    rows = _rows(files)
    for row in rows:
        row.fields = {"kind": kind, **defaults} | row.fields
    known = _known(rows)
    hashes = _known_hashes(rows, known)
    written: dict[UUID, Written] = {}
    results = []
    seen: dict[tuple[str, str], Row] = {}
    for row in rows:
        result = {"file": row.file, "line": row.line, "reasons": [], "source_id": None, "stripped": row.stripped}
        result["external_id"] = str(row.fields.get("external_id", ""))[:200]
        try:
            source, action = _judge(row, known, hashes, seen, actor=actor, publish=publish)
        except ValidationError as error:
            results.append(result | {"result": "rejected", "reasons": _reasons(error)})
            continue
        result |= {"source_id": str(source.id), "stripped": added(row.stripped, source.stripped)}
        if source.status == SourceStatus.RETIRED:
            result["reasons"] = ["it is retired, so no search finds it; publish it by itself"]
        results.append(result | {"result": "ok" if action else "duplicate"})
        if action:
            written.setdefault(source.id, Written(source, action))
    store_sources(list(written.values()), actor=actor)
    counts = Counter(str(result["result"]) for result in results)
    return KnowledgeImport.objects.create(
        files=[name[:200] for name, _ in files],
        counts={name: counts[name] for name in ("ok", "duplicate", "rejected")},
        results=results,
        actor=actor,
    )


def _rows(files: Sequence[tuple[str, str]]) -> list[Row]:
    if len(files) > MOST_FILES:
        raise ImportTooLarge(f"{len(files):,} files; at most {MOST_FILES} are taken at once, nothing was stored")
    if sum(len(content) for _, content in files) > MOST_CHARACTERS:
        raise ImportTooLarge(f"more than {MOST_CHARACTERS:,} characters; send them in several, nothing was stored")
    rows: list[Row] = []
    for name, content in files:
        for row in read_file(name, content.replace("\0", "")):
            rows.append(row)
            if len(rows) > MOST_ROWS:
                raise ImportTooLarge(f"more than {MOST_ROWS:,} rows; send them in several, nothing was stored")
    return rows


def _judge(
    row: Row,
    known: Mapping[tuple[str, str], Source],
    hashes: dict[bytes, Source],
    seen: dict[tuple[str, str], Row],
    *,
    actor: str,
    publish: bool,
) -> tuple[Source, Action | None]:
    """The row's source and what is to be done with it; None where there is nothing. Raises ValidationError."""
    if row.problems:
        raise ValidationError(row.problems[:MOST_NAMED])
    fields = dict(row.fields)
    kind, external_id = fields.pop("kind"), fields.pop("external_id", "")
    if kind not in SourceKind.values:
        raise ValidationError({"kind": f"must be one of {', '.join(SourceKind.values)}"})
    if external_id:
        if (first := seen.setdefault((kind, external_id), row)) is not row:
            where = f"line {first.line}" if first.file == row.file else f"{first.file[:100]}, line {first.line},"
            raise ValidationError({"id": f"'{external_id[:50]}' is the id of {where} already"})
        if source := known.get((kind, external_id)):
            # A row that is rejected must not show in the source, which another row may publish.
            written = copy(source)
            changed = Action.CHANGED if apply_changes(written, fields) else None
            vars(source).update(vars(written))
            return source, _published(source, publish) or changed
    source = new_source(kind=kind, actor=actor, publish=publish, external_id=external_id, **fields)
    if not external_id and (same := hashes.get(bytes(source.content_hash))):
        return same, _published(same, publish)
    hashes.setdefault(bytes(source.content_hash), source)
    return source, Action.CREATED


def _published(source: Source, publish: bool) -> Action | None:
    if not publish or source.status != SourceStatus.DRAFT:
        return None
    source.status = SourceStatus.PUBLISHED
    return Action.PUBLISHED


def _known(rows: Sequence[Row]) -> dict[tuple[str, str], Source]:
    """Sources that the rows name by their ids, by kind and id."""
    ids: dict[str, list[str]] = {}
    for row in rows:
        if row.fields.get("external_id") and row.fields["kind"] in SourceKind.values:
            ids.setdefault(row.fields["kind"], []).append(row.fields["external_id"])
    return {
        (kind, external_id): source
        for kind, named in ids.items()
        for external_id, source in existing_by_external_id(kind, named).items()
    }


def _known_hashes(rows: Sequence[Row], known: Mapping[tuple[str, str], Source]) -> dict[bytes, Source]:
    """Sources that say what a row without an id says, by the hash of it; not what is retired. Locked until the
    transaction ends, and the same instances as in `known`, so that none is written twice."""
    hashes = [
        content_hash(row.fields["kind"], row.fields.get("title", ""), row.fields.get("body", ""))
        for row in rows
        if not row.fields.get("external_id")
    ]
    named = {source.id: source for source in known.values()}
    found = Source.objects.select_for_update().filter(content_hash__in=hashes).exclude(status=SourceStatus.RETIRED)
    return {bytes(source.content_hash): named.get(source.id, source) for source in found.order_by("id")}


def _reasons(error: ValidationError) -> list[str]:
    if hasattr(error, "error_dict"):
        return [f"{name}: {told}" for name, messages in error.message_dict.items() for told in messages]
    return list(error.messages)
