"""What every person did lately, as columns: for work over all subjects of a tenant, where no snapshot will do because
it must be known whose events they are."""

import tempfile
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from django.db import connection
from numpy.typing import NDArray

from behavior.copied import read_copied
from behavior.models import ALL_CONSENT
from behavior.persons import Links, join_persons, read_links
from tenancy.scope import current_tenant_id

COPIED = {
    "subject": pa.dictionary(pa.int32(), pa.string()),
    "item": pa.dictionary(pa.int32(), pa.string()),
    "type": pa.dictionary(pa.int32(), pa.string()),
    "time": pa.int64(),  # microseconds
    "value": pa.float64(),
    "consent": pa.int16(),
    "written_here": pa.int8(),
}
# Sources of events that applications write: nobody was asked for consent there, so they take none back and give none.
APPLICATIONS = ["ads", "service"]
# An assessment counts as full consent where its call says nothing of it, so that it can only take it back.
ASSESSMENTS = "risk"
COPY_EVENTS = """
    COPY (
        SELECT encode(subject_key, 'hex'), item_id, type, (extract(epoch FROM occurred_at) * 1000000)::bigint, value,
            consent, (source = ANY(%s) OR source = %s AND consent = %s)::int
        FROM behavior_event WHERE tenant_id = %s AND received_at >= %s
    ) TO STDOUT (FORMAT csv)"""


@dataclass(frozen=True)
class Histories:
    """Events of all persons who agreed to everything in their newest event that counts for it, in order of
    (person, time); person p owns the rows offsets[p] to offsets[p + 1], and only events with full consent are among
    them.

    keys: hexadecimal, the key by which each person is known. item is -1 where an event has no item, else an index into
    `items`; type is an index into `types`; time in Unix seconds; value is NaN where absent. without_consent counts
    the persons who were left out.
    """

    keys: list[str]
    offsets: NDArray[np.int64]
    item: NDArray[np.int64]
    type: NDArray[np.int64]
    time: NDArray[np.float64]
    value: NDArray[np.float32]
    items: list[str]
    types: list[str]
    without_consent: int
    links: Links

    def persons_of(self, keys: list[str], moment: NDArray[np.int64]) -> NDArray[np.int64]:
        """The person (n,) of each key at a moment (n,) in microseconds; -1 for one that is not here."""
        if not keys:
            return np.zeros(0, dtype=np.int64)
        codes, names = join_persons(np.arange(len(keys)), pa.array(keys), moment, self.links)
        known = {key: person for person, key in enumerate(self.keys)}
        return np.array([known.get(name, -1) for name in names.take(pa.array(codes)).to_pylist()], dtype=np.int64)


def read_histories(since: datetime) -> Histories:
    """What the tenant in scope received since then."""
    table, links = _copy(since), read_links()
    subject, subjects = _codes(table["subject"])
    item, items = _codes(table["item"])
    type_, types = _codes(table["type"])
    time = table["time"].to_numpy()
    person, names = join_persons(subject, subjects, time, links)
    order = np.lexsort((time, person))
    person, consent = person[order], table["consent"].to_numpy()[order]
    last = _last_said(person, table["written_here"].to_numpy()[order])
    refused = person[last][consent[last] & ALL_CONSENT != ALL_CONSENT]
    kept = (consent & ALL_CONSENT == ALL_CONSENT) & ~np.isin(person, refused)
    rows, people = order[kept], person[kept]
    present, counts = np.unique(people, return_counts=True)
    return Histories(
        keys=names.take(pa.array(present)).to_pylist(),
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        item=item[rows],
        type=type_[rows],
        time=time[rows] / 1e6,
        value=pc.fill_null(table["value"], np.nan).to_numpy()[rows].astype(np.float32),
        items=items.to_pylist(),
        types=types.to_pylist(),
        without_consent=len(refused),
        links=links,
    )


def _last_said(person: NDArray[np.int64], written_here: NDArray[np.int8]) -> NDArray[np.int64]:
    """The last row of each person that counts for consent, or its last one where none does; rows are (person, time)."""
    if not len(person):
        return np.zeros(0, dtype=np.int64)
    starts = np.flatnonzero(np.append(True, person[1:] != person[:-1]))
    said = np.maximum.reduceat(np.where(written_here, -1, np.arange(len(person))), starts)
    return np.where(said < 0, np.append(starts[1:], len(person)) - 1, said)


def _copy(since: datetime) -> pa.Table:
    values = [APPLICATIONS, ASSESSMENTS, ALL_CONSENT, current_tenant_id(), since]
    with tempfile.TemporaryFile() as file, connection.cursor() as cursor:
        with connection.wrap_database_errors, cursor.copy(COPY_EVENTS, values) as copy:
            for block in copy:
                file.write(block)
        return read_copied(file, COPIED).unify_dictionaries()


def _codes(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], pa.Array]:
    """(codes of the rows, -1 for null; names of the codes)."""
    if not column.num_chunks:
        return np.zeros(0, dtype=np.int64), pa.array([], pa.string())
    indices = pa.chunked_array([chunk.indices for chunk in column.chunks])
    return pc.fill_null(indices, -1).to_numpy().astype(np.int64), column.chunk(0).dictionary
