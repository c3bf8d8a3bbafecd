"""All transactions of a tenant as columns for training, with what is known of each by now."""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from django.db import connection
from numpy.typing import NDArray
from uuid_utils.compat import uuid7

from apps.risk import engine
from behavior.copied import read_copied
from behavior.models import Consent
from tenancy.scope import current_tenant_id

NAMES = pa.dictionary(pa.int32(), pa.string())
COPIED = {
    "time": pa.int64(),  # microseconds, as the labels' times
    "amount": pa.float64(),
    "customer": NAMES,
    "counterparty": NAMES,
    "device": NAMES,
    "card": NAMES,
    "type": NAMES,
    "fraud_known_at": pa.int64(),
    "cleared_at": pa.int64(),
}
PARTIES = ("customer", "counterparty", "device", "card")
# In order of time, so that neighbours on disk are neighbours in time.
COPY = """
    COPY (
        SELECT (extract(epoch FROM occurred_at) * 1000000)::bigint, amount, encode(subject_key, 'hex'), counterparty,
            encode(device_key, 'hex'), encode(card_key, 'hex'), type,
            (extract(epoch FROM fraud_known_at) * 1000000)::bigint, (extract(epoch FROM cleared_at) * 1000000)::bigint
        FROM risk_transaction
        WHERE tenant_id = %(tenant)s AND event_id NOT IN (
            SELECT event_id FROM behavior_event WHERE tenant_id = %(tenant)s AND consent & %(training)s = 0)
        ORDER BY occurred_at, transaction_id
    ) TO STDOUT (FORMAT csv)"""


def take_snapshot(config: dict[str, Any], folder: Path) -> Path:
    """Write the transactions that may be trained on below `folder`, which is the tenant's own, and return where."""
    path = folder / f"transactions-{uuid7()}"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        # Django turns psycopg's errors into its own only inside its methods, and COPY runs outside them.
        with connection.cursor() as cursor, connection.wrap_database_errors:
            values: dict[str, Any] = {"tenant": current_tenant_id(), "training": int(Consent.TRAINING)}
            with cursor.copy(COPY, values) as copy:
                for block in copy:
                    file.write(block)
        table = read_copied(file, COPIED).unify_dictionaries()
    types = _names(table["type"])
    columns: dict[str, NDArray[Any]] = {name: _codes(table[name]) for name in PARTIES}
    columns |= {name: _seconds(table[name]) for name in ("time", "fraud_known_at", "cleared_at")}
    columns |= {"amount": table["amount"].to_numpy(), "type": _codes(table["type"])}
    engine.write_snapshot(path, types=types, columns=columns, labelled_at=time.time())
    return path


def _names(column: pa.ChunkedArray) -> list[str]:
    names: list[str] = column.chunk(0).dictionary.to_pylist() if column.num_chunks else []
    return names


def _codes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Codes from 0, -1 where there is none."""
    indices = pa.chunked_array([chunk.indices for chunk in column.chunks], pa.int32())
    codes: NDArray[np.int64] = pc.fill_null(indices, -1).to_numpy().astype(np.int64)
    return codes


def _seconds(micros: pa.ChunkedArray) -> NDArray[np.float64]:
    """Unix seconds, inf where there is none."""
    seconds: NDArray[np.float64] = micros.to_numpy().astype(np.float64) / 1e6
    return np.where(np.isnan(seconds), np.inf, seconds)
