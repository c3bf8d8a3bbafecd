"""One subject for each person in a snapshot, by the ledger of identities as it stands now.

The copied log keeps the keys under which events came, so a snapshot after an unmerge has the two apart again, and
nothing needs to be copied anew.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.csv
from django.db import connection
from numpy.typing import NDArray

from tenancy.scope import current_tenant_id

COPY_LINKS = """
    COPY (
        SELECT kind, encode(from_key, 'hex'), encode(to_key, 'hex'), (extract(epoch FROM since) * 1000000)::bigint
        FROM behavior_identitylink WHERE tenant_id = %s AND undone_at IS NULL ORDER BY since, id
    ) TO STDOUT (FORMAT csv)"""
LINKS = {"kind": pa.string(), "from": pa.string(), "to": pa.string(), "since": pa.int64()}


@dataclass(frozen=True)
class Links:
    """Ties between subject keys, in order of time; columns of equal length (links,). Times in microseconds."""

    is_merge: NDArray[np.bool_]
    from_keys: pa.Array
    to_keys: pa.Array
    since: NDArray[np.int64]


def read_links() -> Links:
    """All ties of the tenant in scope that are not undone."""
    buffer = pa.BufferOutputStream()
    with (
        connection.cursor() as cursor,
        connection.wrap_database_errors,
        cursor.copy(COPY_LINKS, [current_tenant_id()]) as copy,
    ):
        for block in copy:
            buffer.write(block)
    content = buffer.getvalue()
    if content.size == 0:
        table = pa.table({name: pa.array([], kind) for name, kind in LINKS.items()})
    else:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(content),
            pyarrow.csv.ReadOptions(column_names=list(LINKS)),
            convert_options=pyarrow.csv.ConvertOptions(column_types=LINKS),
        )
    kind, from_keys, to_keys, since = (column.combine_chunks() for column in table.columns)
    return Links(np.asarray(kind.to_pylist(), dtype=object) == "merge", from_keys, to_keys, since.to_numpy())


def join_persons(
    subject: NDArray[np.int64], names: pa.Array, time: NDArray[np.int64], links: Links
) -> tuple[NDArray[np.int64], pa.Array]:
    """(code of each event's person, names of the codes); a person is named by its least user key.

    `subject` holds codes of `names` and `time` microseconds, both (events,). A visitor's event goes to the user who
    logged in next on that device, and after the last login to that last user; merged users are one.
    """
    if len(links.since) == 0:
        return subject, names
    dictionary = pa.chunked_array([names, links.from_keys, links.to_keys]).dictionary_encode().unify_dictionaries()
    all_names = dictionary.chunk(0).dictionary
    codes = np.concatenate([chunk.indices.to_numpy() for chunk in dictionary.chunks]).astype(np.int64)
    of_names, from_codes, to_codes = np.split(codes, [len(names), len(names) + len(links.since)])
    logins = ~links.is_merge
    owner = _owners(of_names[subject], time, from_codes[logins], to_codes[logins], links.since[logins])
    person = _persons(all_names, from_codes[links.is_merge], to_codes[links.is_merge])
    return person[owner], all_names


def _owners(
    subject: NDArray[np.int64],
    time: NDArray[np.int64],
    device: NDArray[np.int64],
    user: NDArray[np.int64],
    since: NDArray[np.int64],
) -> NDArray[np.int64]:
    """The user of each event that a device sent, and its subject elsewhere; logins (logins,) in order of time."""
    owner = subject.copy()
    rows = np.flatnonzero(np.isin(subject, device))
    if len(rows) == 0:
        return owner
    # Each device's events and logins in one row of time; an event at the very moment of a login comes before it.
    devices = np.concatenate([subject[rows], device])
    is_login = np.arange(len(devices)) >= len(rows)
    order = np.lexsort((is_login, np.concatenate([time[rows], since]), devices))
    place = np.arange(len(order))
    is_login, devices = is_login[order], devices[order]
    following = np.minimum.accumulate(np.where(is_login, place, len(order) - 1)[::-1])[::-1]
    before = np.maximum.accumulate(np.where(is_login, place, 0))
    has_following = is_login[following] & (devices[following] == devices)
    login = order[np.where(has_following, following, before)] - len(rows)
    events = ~is_login
    owner[rows[order[events]]] = user[login[events]]
    return owner


def _persons(names: pa.Array, from_codes: NDArray[np.int64], to_codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Code of each name's person: union-find over the merges, which are few."""
    person = np.arange(len(names))
    parents: dict[int, int] = {}

    def root(code: int) -> int:
        while (parent := parents.get(code, code)) != code:
            code = parent
        return code

    for from_code, to_code in zip(from_codes.tolist(), to_codes.tolist(), strict=True):
        first, second = sorted((root(from_code), root(to_code)), key=lambda code: names[code].as_py())
        parents[second] = first
    for code in parents:
        person[code] = root(code)
    return person
