"""Import one file: read ahead in a thread, store chunk by chunk, each in one transaction together with its progress."""

import gc
import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from django.utils import timezone

from behavior.clock import keep_times
from behavior.importing.errors import ImportRefused
from behavior.importing.mapping import ColumnMapping
from behavior.importing.readers import Chunk, Reader
from behavior.judging import Judged, Reason, judge_columns, require_fields
from behavior.models import Import, TimeQuality
from behavior.quarantine import MAX_RAW, Kept, quarantine_events, raw_text
from behavior.services import CONFLICT, TOO_LARGE
from behavior.storing import Prepared, compare_staged, open_log, prepare, stage, store_prepared
from behavior.subjects import Keyring, Sealed, seal
from tenancy.scope import set_local, tenant_scope
from tenancy.secrets import subject_secret

Ahead = TypeVar("Ahead")
SHOWN_BAD_ROWS = 10
SWITCH_SECONDS = 0.0005
COUNTS = ("rows", "ok", "duplicate", "quarantined", "rejected", "clamped")


@dataclass
class ImportReport:
    """What became of the rows of a file: rows = ok + duplicate + quarantined + rejected. `clamped` is a part of ok."""

    rows: int = 0
    ok: int = 0
    duplicate: int = 0
    quarantined: int = 0
    rejected: int = 0
    clamped: int = 0
    resumed_at: int = 0
    bad_rows: list[dict[str, Any]] = field(default_factory=list)  # the first ones: row (from 1) and its reasons

    def add(self, judged: "JudgedChunk", duplicates: int, conflicts: int) -> None:
        bad = len(judged.kept) + len(judged.rejected)
        self.rows += judged.chunk.rows
        self.ok += judged.chunk.rows - bad - duplicates - conflicts
        self.duplicate += duplicates
        self.quarantined += len(judged.kept) + conflicts
        self.rejected += len(judged.rejected)
        self.clamped += judged.clamped

    def show(self, rows: Sequence[tuple[int, list[Reason]]]) -> None:
        for row, reasons in rows[: SHOWN_BAD_ROWS - len(self.bad_rows)]:
            self.bad_rows.append({"row": row, "reasons": reasons})


@dataclass
class JudgedChunk:
    """A chunk ready for the database, with its bad rows sorted into kept and rejected."""

    chunk: Chunk
    cells: dict[str, Sequence[Any]]
    message_ids: Sequence[str | None]
    prepared: Prepared
    kept: list[Kept]
    rejected: list[tuple[int, list[Reason]]]
    clamped: int


@dataclass(frozen=True)
class Source:
    """A file with the mapping by which it is read."""

    path: Path
    digest: str
    reader: Reader
    mapping: ColumnMapping

    @property
    def name(self) -> str:
        return f"import:{self.path.name}"[:100]


def open_source(path: Path, reader: Reader, mapping: ColumnMapping) -> Source:
    with path.open("rb") as file:
        return Source(path, hashlib.file_digest(file, "sha256").hexdigest(), reader, mapping)


def import_file(
    *, tenant_id: int, source: Source, chunk_rows: int, on_progress: Callable[[int, int], None]
) -> ImportReport:
    """Import what is not imported yet; called outside a scope, since each chunk commits on its own.

    `on_progress` gets (rows, bytes of the file) done. An import that was cut off goes on behind its last committed
    chunk. One that is complete stores nothing: its report counts what it stored as duplicates.
    Raises ImportRefused.
    """
    with tenant_scope(tenant_id):
        row, _ = Import.objects.get_or_create(
            file_digest=source.digest,
            mapping_digest=source.mapping.digest,
            defaults={"file_name": source.path.name, "mapping": asdict(source.mapping)},
        )
        keyring = Keyring(subject_secret())
        now = timezone.now()
    if row.status == Import.Status.COMPLETED:
        return _already_done(row)
    report = ImportReport(**{name: getattr(row, name) for name in COUNTS}, resumed_at=row.rows)
    for judged, sealed in _ahead(_sealed(_judged_chunks(source, chunk_rows, row.rows, now, keyring), tenant_id)):
        before = report.rows
        with tenant_scope(tenant_id):
            # A crash may cost the last chunks, but then their progress too, so the next run brings them again. The
            # commit that completes the import waits for the disk, and with it for all before.
            set_local("synchronous_commit", "off")
            _store_chunk(judged, sealed, source, report)
            changed = Import.objects.filter(id=row.id, rows=before, status=Import.Status.RUNNING).update(
                **{name: getattr(report, name) for name in COUNTS}
            )
            if not changed:
                raise ImportRefused(f"{source.path}: another process is importing this file; let it finish")
        on_progress(report.rows, judged.chunk.position)
    with tenant_scope(tenant_id):
        Import.objects.filter(id=row.id).update(status=Import.Status.COMPLETED, finished_at=timezone.now())
    return report


def _already_done(row: Import) -> ImportReport:
    return ImportReport(
        rows=row.rows,
        duplicate=row.ok + row.duplicate,
        quarantined=row.quarantined,
        rejected=row.rejected,
        resumed_at=row.rows,
    )


def _store_chunk(judged: JudgedChunk, sealed: Sealed, source: Source, report: ImportReport) -> None:
    received_at = open_log()
    stored = store_prepared(
        judged.prepared, received_at=received_at, source=source.name, expect_new=True, sealed=sealed
    )
    conflicts = []
    for number in sorted(stored.conflicts):
        row = number - judged.chunk.first_row
        message_id = judged.message_ids[row]
        raw = raw_text(_raw_event(source, judged.chunk, judged.cells, row, message_id))
        conflicts.append(Kept(raw, message_id, [CONFLICT], number + 1))
    kept = sorted(judged.kept + conflicts, key=lambda event: event.row_number or 0)
    quarantine_events(kept, source=source.name, received_at=received_at, historical=True)
    report.add(judged, len(stored.duplicates), len(conflicts))
    report.show([(event.row_number or 0, event.reasons) for event in kept] + judged.rejected)


def check_file(
    *, tenant_id: int, source: Source, chunk_rows: int, on_progress: Callable[[int, int], None]
) -> ImportReport:
    """A dry run: the report that an import would give, without writing anything."""
    report = ImportReport()
    with tenant_scope(tenant_id):
        keyring = Keyring(subject_secret())
        for judged in _ahead(_judged_chunks(source, chunk_rows, 0, timezone.now(), keyring)):
            stage(judged.prepared, behind_staged=report.rows > 0)
            report.add(judged, 0, 0)
            report.show([(event.row_number or 0, event.reasons) for event in judged.kept] + judged.rejected)
            on_progress(report.rows, judged.chunk.position)
        if report.rows:
            duplicates, conflicts = compare_staged()
            report.ok -= duplicates + conflicts
            report.duplicate, report.quarantined = duplicates, report.quarantined + conflicts
    return report


def _judged_chunks(source: Source, rows: int, skip: int, now: datetime, keyring: Keyring) -> Iterator[JudgedChunk]:
    wanted = list(dict.fromkeys(source.mapping.columns.values()))
    for chunk in source.reader.chunks(wanted, rows, skip):
        yield _judge_chunk(source, chunk, now, keyring)


def _sealed(chunks: Iterator[JudgedChunk], tenant_id: int) -> Iterator[tuple[JudgedChunk, Sealed]]:
    passed_over: set[str] = set()
    for chunk in chunks:
        yield chunk, seal(chunk.prepared.identities, tenant_id, passed_over)


def _judge_chunk(source: Source, chunk: Chunk, now: datetime, keyring: Keyring) -> JudgedChunk:
    cells = source.mapping.cells(chunk)
    judged = judge_columns(cells, chunk.rows)
    require_fields(judged)
    keep_times(judged, received_at=now)
    for row, (_, why) in chunk.malformed.items():
        judged.reasons[row] = [{"field": "row", "code": "malformed", "message": why}]
    _name_by_place(source, chunk, judged)
    kept: list[Kept] = []
    rejected: list[tuple[int, list[Reason]]] = []
    for row, reasons in sorted(judged.reasons.items()):
        number = chunk.first_row + row + 1
        message_id = judged.columns["message_id"][row]
        raw = raw_text(_raw_event(source, chunk, cells, row, message_id))
        if len(raw) > MAX_RAW:
            rejected.append((number, [*reasons, TOO_LARGE]))
        else:
            kept.append(Kept(raw, message_id, reasons, number))
    prepared = prepare(judged, timezone.now(), keyring, chunk.first_row)
    return JudgedChunk(chunk, cells, judged.columns["message_id"], prepared, kept, rejected, _count_clamped(judged))


def _name_by_place(source: Source, chunk: Chunk, judged: Judged) -> None:
    """A row without a message id of its own is known by its place in this very file."""
    prefix = source.digest[:16]
    given = judged.columns["message_id"]
    first = chunk.first_row + 1
    if not any(given):
        judged.columns["message_id"] = [f"{prefix}:{place:010}" for place in range(first, first + chunk.rows)]
        return
    for row, message_id in enumerate(given):
        if message_id is None and not judged.is_blamed(row, "message_id"):
            given[row] = f"{prefix}:{first + row:010}"


def _raw_event(
    source: Source, chunk: Chunk, cells: dict[str, Sequence[Any]], row: int, message_id: str | None
) -> dict[str, Any]:
    """A row as the quarantine keeps it."""
    if row in chunk.malformed:
        return {"message_id": message_id, "text": chunk.malformed[row][0]}
    return {"message_id": message_id} | source.mapping.event(cells, row)


def _count_clamped(judged: Judged) -> int:
    qualities = judged.columns["time_quality"]
    clamped = qualities.count(TimeQuality.CLAMPED.value)
    return clamped - sum(qualities[row] == TimeQuality.CLAMPED.value for row in judged.reasons)


@contextmanager
def _interpreter_for_reading_ahead() -> Iterator[None]:
    """Reading makes millions of small lists and no cycles, and looking for cycles takes longer than reading. The thread
    that talks to the database wakes often for a moment and must not wait 5 ms each time until the reader gives way."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        sys.setswitchinterval(interval)


def _ahead(chunks: Iterator[Ahead]) -> Iterator[Ahead]:
    """The same chunks, each made in a thread while the database stores the one before."""
    with _interpreter_for_reading_ahead(), ThreadPoolExecutor(1) as thread:
        following = thread.submit(next, chunks, None)
        while (chunk := following.result()) is not None:
            following = thread.submit(next, chunks, None)
            yield chunk
