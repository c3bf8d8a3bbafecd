"""Files of batches: BATCHES/<tenant>/<batch>/. Workers write a part for each chunk; the end makes one file of them."""

import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as parquet
from django.conf import settings
from django.db import transaction
from django.http import FileResponse

from apps.recommendation.batches.lists import COLUMNS
from apps.recommendation.models import Batch, BatchChunk, BatchFormat, BatchStatus
from tenancy.scope import current_tenant_id

CONTENT_TYPES = {BatchFormat.PARQUET: "application/vnd.apache.parquet", BatchFormat.CSV: "text/csv; charset=utf-8"}


NO_FILE = {
    BatchStatus.QUEUED: "the batch has not begun; follow it until its status is succeeded",
    BatchStatus.RUNNING: "the batch is under way; follow it until its status is succeeded",
    BatchStatus.CANCELLED: "the batch was cancelled and has no file; start it again",
}


def folder_of(batch_id: UUID) -> Path:
    return Path(settings.BATCHES) / str(current_tenant_id()) / str(batch_id)


def file_of(batch: Batch) -> Path:
    return folder_of(batch.id) / f"recommendations.{batch.format}"


def part_of(chunk: BatchChunk) -> Path:
    """Each attempt has a part of its own, so a worker that was thought dead writes nowhere that counts."""
    return folder_of(chunk.batch_id) / "parts" / f"{chunk.number}-{chunk.attempt}.parquet"


def write_part(chunk: BatchChunk, rows: pa.Table) -> None:
    path = part_of(chunk)
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(rows, path)


def merge_parts(batch: Batch, parts: Iterable[Path]) -> int:
    """Write the batch's file, part after part, and return its size in bytes. Cut off, it leaves no file."""
    path = file_of(batch)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp")
    with _writer(batch, unfinished) as writer:
        for part in parts:
            writer.write_table(parquet.read_table(part))
    unfinished.rename(path)
    return path.stat().st_size


def _writer(batch: Batch, path: Path) -> parquet.ParquetWriter | pyarrow.csv.CSVWriter:
    if batch.format == BatchFormat.CSV:
        return pyarrow.csv.CSVWriter(path, COLUMNS)
    return parquet.ParquetWriter(path, COLUMNS)


class NoFile(ValueError):
    """The batch has no file; says why, and the cure."""


def open_file(batch: Batch) -> FileResponse:
    """The file of a batch of the tenant in scope, as a stream. Raises NoFile."""
    if batch.file_bytes is None:
        raise NoFile(NO_FILE.get(BatchStatus(batch.status), "the file was deleted; start the batch again"))
    try:
        file = file_of(batch).open("rb")
    except FileNotFoundError:
        raise NoFile("the file is no longer there; start the batch again") from None
    name = f"{batch.scenario}-{batch.created_at:%Y%m%d-%H%M}.{batch.format}"
    content_type = CONTENT_TYPES[BatchFormat(batch.format)]
    return FileResponse(file, as_attachment=True, filename=name, content_type=content_type)


def remove_part(chunk: BatchChunk) -> None:
    """Of a chunk that was lost; with the folders, where it was the last thing in them."""
    part_of(chunk).unlink(missing_ok=True)
    with suppress(OSError):
        part_of(chunk).parent.rmdir()
        folder_of(chunk.batch_id).rmdir()


def remove_parts(batch_id: UUID) -> None:
    """Once the transaction has committed."""
    _remove_after_commit(folder_of(batch_id) / "parts")


def remove_files(batch_id: UUID) -> None:
    """Once the transaction has committed."""
    _remove_after_commit(folder_of(batch_id))


def _remove_after_commit(folder: Path) -> None:
    transaction.on_commit(lambda: shutil.rmtree(folder, ignore_errors=True))
