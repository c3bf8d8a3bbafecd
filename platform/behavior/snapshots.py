"""The log as columns for training: read with COPY, kept between snapshots, cleaned, and written for the engine.

A snapshot reads only what came since the one before: the rows that it copied lie in Arrow files beside the snapshots,
one for each stretch of time of receipt. Cleaning starts from all of them each time, so that a snapshot built in many
steps equals one built at once. So does the joining of keys that are one person.
"""

import shutil
import tempfile
import time
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather
from django.db import connection
from numpy.typing import NDArray
from uuid_utils.compat import uuid7

from behavior.cleaning import Events, Finding, Names, clean
from behavior.clock import EPOCH, to_micros
from behavior.copied import read_copied
from behavior.models import CleaningDrop, CleaningReport, Consent, Snapshot
from behavior.persons import join_persons, read_links
from behavior.storing import settle_log
from tenancy.models import Tenant
from tenancy.scope import current_tenant_id

SHOWN_DROPS = 1000
# A run that is resumed needs its own; several runs of one tenant may wait at a time.
KEPT_SNAPSHOTS = 5
COPIED = {
    "received": pa.int64(),  # microseconds
    "event_id": pa.string(),  # 32 hexadecimal digits
    "subject": pa.dictionary(pa.int32(), pa.string()),
    "item": pa.dictionary(pa.int32(), pa.string()),
    "type": pa.dictionary(pa.int32(), pa.string()),
    "time": pa.int64(),  # microseconds
    "value": pa.float64(),
}
COPY_EVENTS = """
    COPY (
        SELECT (extract(epoch FROM received_at) * 1000000)::bigint, encode(uuid_send(event_id), 'hex'),
            encode(subject_key, 'hex'), item_id, type, (extract(epoch FROM occurred_at) * 1000000)::bigint, value
        FROM behavior_event
        WHERE tenant_id = %s AND received_at >= %s AND received_at < %s AND consent & %s <> 0
    ) TO STDOUT (FORMAT csv)"""


COUNT_WITHOUT_CONSENT = """
    SELECT count(*) FROM behavior_event
    WHERE tenant_id = %s AND received_at >= %s AND received_at < %s AND consent & %s = 0"""


class WriteColumns(Protocol):
    """Writes the engine's column folder; `ml.data.columns.write_columns` is one."""

    def __call__(
        self,
        path: Path,
        *,
        subject: NDArray[np.int64],
        item: NDArray[np.int32],
        type: NDArray[np.int16],
        time: NDArray[np.float64],
        value: NDArray[np.float32],
        items: list[str],
        types: list[str],
    ) -> Any: ...


def take_snapshot(*, write: WriteColumns, folder: Path, known_items: Collection[str] | None = None) -> Snapshot:
    """Write everything that the tenant's subjects let us train on, received to this moment, below `folder`.

    `folder` is the tenant's own. `known_items` are the catalogue's ids, to count events of others. Called in the
    tenant's scope; ingest goes on meanwhile.
    """
    started = time.perf_counter()
    parts = folder / _log_name()
    parts.mkdir(parents=True, exist_ok=True)
    watermark = settle_log()
    _copy_new(parts, watermark)
    copied, without_consent = _read_parts(parts, watermark)
    subjects, items, types = (_dictionary(copied[name]) for name in ("subject", "item", "type"))
    events = _events(copied)
    persons, subjects = join_persons(events.subject, subjects, copied["time"].to_numpy(), read_links())
    events, findings = clean(replace(events, subject=persons), Names(items.to_pylist(), types.to_pylist(), known_items))
    snapshot = Snapshot(
        id=uuid7(), watermark=watermark, events_read=len(copied), events=len(events), without_consent=without_consent
    )
    path = folder / str(snapshot.id)
    subject_codes, subject_names = _compact(events.subject, subjects)
    item_codes, item_names = _compact(events.item, items)
    type_codes, type_names = _compact(events.type, types)
    write(
        path,
        subject=subject_codes,
        item=(item_codes + 1).astype(np.int32),
        type=type_codes.astype(np.int16),
        time=events.time,
        value=events.value,
        items=item_names,
        types=type_names,
    )
    snapshot.path, snapshot.subjects, snapshot.items = str(path), len(subject_names), len(item_names)
    snapshot.seconds = time.perf_counter() - started
    snapshot.save(force_insert=True)
    _report(snapshot, findings)
    return snapshot


def remove_old_snapshots() -> None:
    """Delete the column folders of all but the newest snapshots of the tenant in scope; their rows and reports stay."""
    for path in Snapshot.objects.order_by("-watermark").values_list("path", flat=True)[KEPT_SNAPSHOTS:]:
        shutil.rmtree(path, ignore_errors=True)


def _log_name() -> str:
    """Differs when the database is another one, so that files of a former one are never taken for this log's."""
    created_at = Tenant.objects.values_list("created_at", flat=True).get(id=current_tenant_id())
    return f"log-{current_tenant_id()}-{to_micros(created_at)}"


def _part_bounds(part: Path) -> tuple[int, int]:
    start, _, end = part.stem.partition("-")
    return int(start), int(end)


def _chain(parts: Path, end: int) -> list[Path]:
    """Parts that follow each other without gap or overlap, whatever else a cut-off or parallel snapshot left."""
    chain: list[Path] = []
    position = 0
    for part in sorted(parts.glob("*.arrow"), key=_part_bounds):
        first, last = _part_bounds(part)
        if first == position and last <= end:
            chain.append(part)
            position = last
    return chain


def _copy_new(parts: Path, watermark: datetime) -> None:
    """One more part: the rows received since the last one."""
    end = to_micros(watermark)
    start = max((_part_bounds(part)[1] for part in _chain(parts, end)), default=0)
    since = EPOCH + timedelta(microseconds=start)
    asked: list[str | int | datetime] = [current_tenant_id(), since, watermark, Consent.TRAINING]
    with tempfile.TemporaryFile(dir=parts) as file, connection.cursor() as cursor:
        with connection.wrap_database_errors, cursor.copy(COPY_EVENTS, asked) as copy:
            for block in copy:
                file.write(block)
        cursor.execute(COUNT_WITHOUT_CONSENT, asked)
        without_consent = cursor.fetchone()[0]
        if file.tell() == 0 and without_consent == 0:
            return
        table = read_copied(file, COPIED)
    table = table.sort_by([("received", "ascending"), ("event_id", "ascending")]).drop_columns(["received"])
    table = table.replace_schema_metadata({"without_consent": str(without_consent)})
    unfinished = parts / f"{uuid7()}.tmp"
    pyarrow.feather.write_feather(table, unfinished)
    unfinished.rename(parts / f"{start}-{end}.arrow")


def _read_parts(parts: Path, watermark: datetime) -> tuple[pa.Table, int]:
    """(all rows copied so far in order of receipt, number of events left out for want of consent)."""
    tables = [pyarrow.feather.read_table(part) for part in _chain(parts, to_micros(watermark))]
    without_consent = sum(int(table.schema.metadata[b"without_consent"]) for table in tables)
    empty = pa.table({name: pa.array([], kind) for name, kind in COPIED.items() if name != "received"})
    tables = [table.replace_schema_metadata(None) for table in tables] or [empty]
    return pa.concat_tables(tables).unify_dictionaries(), without_consent


def _dictionary(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0).dictionary


def _events(copied: pa.Table) -> Events:
    def codes(name: str) -> NDArray[np.int64]:
        indices = pa.chunked_array([chunk.indices for chunk in copied[name].chunks])
        return pc.fill_null(indices, -1).to_numpy().astype(np.int64)

    ids = bytes.fromhex("".join(copied["event_id"].to_pylist()))
    return Events(
        subject=codes("subject"),
        item=codes("item"),
        type=codes("type"),
        time=copied["time"].to_numpy() / 1e6,
        value=pc.fill_null(copied["value"], np.nan).to_numpy().astype(np.float32),
        event_id=np.frombuffer(ids, dtype=np.uint8).reshape(-1, 16),
    )


def _compact(codes: NDArray[np.int64], names: pa.Array) -> tuple[NDArray[np.int64], list[str]]:
    """Codes 0.. of the names in use, in the order of the names; -1 stays. So codes do not depend on how rows came."""
    used = np.unique(codes[codes >= 0])
    order = pc.sort_indices(names.take(pa.array(used))).to_numpy()
    new_code = np.full(len(names) + 1, -1, dtype=np.int64)
    new_code[used[order]] = np.arange(len(used))
    return new_code[codes], names.take(pa.array(used[order])).to_pylist()


def _report(snapshot: Snapshot, findings: list[Finding]) -> None:
    reports = CleaningReport.objects.bulk_create(
        CleaningReport(snapshot=snapshot, rule=finding.rule, effect=finding.effect, count=finding.count)
        for finding in findings
    )
    CleaningDrop.objects.bulk_create(
        CleaningDrop(report=report, event_id=UUID(bytes=event_id.tobytes()))
        for report, finding in zip(reports, findings, strict=True)
        for event_id in finding.event_ids[:SHOWN_DROPS]
    )
