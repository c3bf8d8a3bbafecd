"""Stored transactions as columns: read with one COPY, and their facts worked out as an assessment works them out."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
from django.db import connection
from numpy.typing import NDArray

from apps.risk import engine
from apps.risk.assessments.selectors import BY_MODEL_OF_FRAUDS
from apps.risk.rules.fields import TRANSACTION
from apps.risk.rules.language.columns import FactColumns
from apps.risk.rules.language.syntax import Node, Type, lists, names
from apps.risk.rules.language.vectorised import Booleans, Texts
from behavior.copied import copied_as
from tenancy.scope import current_tenant_id

LOOK_BACK = timedelta(seconds=engine.HISTORY_SECONDS)
MOST_TRANSACTIONS = 3_000_000
ROWS_AT_ONCE = 50_000
PARTIES = {"customer": "subject", "counterparty": "counterparty", "device": "device", "card": "card"}
KEYS = ("subject", "card", "device", "address")
TEXTS = tuple(name for name, (kind, _) in TRANSACTION.items() if kind == Type.TEXT)
# A key is HMAC-SHA256, so its first 63 bits tell parties apart as well.
KEY_NUMBER = "(('x' || left(encode({0}_key, 'hex'), 16))::bit(64)::bigint & 9223372036854775807) AS {0}_number"
COLUMNS = f"""
    transaction_id, extract(epoch FROM occurred_at)::float8 AS time, amount,
    {", ".join(KEY_NUMBER.format(name) for name in ("subject", "device", "card"))},
    hashtextextended(counterparty, 0) & 9223372036854775807 AS counterparty_number,
    coalesce(extract(epoch FROM fraud_known_at)::float8, 'Infinity') AS fraud_known_at,
    coalesce(extract(epoch FROM cleared_at)::float8, 'Infinity') AS cleared_at,
    currency, coalesce(given_amount, amount) AS given_amount, type, counterparty, country, latitude, longitude,
    {", ".join(f"CASE WHEN {name}_key IS NOT NULL THEN 'known' END AS {name}" for name in KEYS)}"""
SCORE = f"""(
    SELECT (decision.items -> 0 ->> 'score')::float8 FROM decisions_decision AS decision
    WHERE decision.tenant_id = %(tenant)s AND decision.decision_id = transaction.decision_id AND {BY_MODEL_OF_FRAUDS}
) AS score"""
MEMBER = """EXISTS (
    SELECT FROM risk_entitylist AS list JOIN risk_listentry AS entry
        ON entry.tenant_id = %(tenant)s AND entry.list_id = list.id AND entry.value = {value}
            AND (entry.expires_at IS NULL OR entry.expires_at > now())
    WHERE list.tenant_id = %(tenant)s AND list.name = %(list_{number})s AND list.field = '{field}'
) AS member_{number}"""
WINDOW = "tenant_id = %(tenant)s AND occurred_at >= %(first)s AND occurred_at < %(until)s"
DICTIONARY = pa.dictionary(pa.int32(), pa.string())
READ_TYPES = {
    "transaction_id": pa.string(),
    **{name: pa.int64() for name in ("subject_number", "device_number", "card_number", "counterparty_number")},
    **dict.fromkeys(("time", "amount", "given_amount", "fraud_known_at", "cleared_at"), pa.float64()),
    **dict.fromkeys(("latitude", "longitude"), pa.float64()),
    **dict.fromkeys((*TEXTS, *KEYS), DICTIONARY),
    "score": pa.float64(),
    "properties": pa.string(),
}


class TooManyTransactions(ValueError):
    """The window holds more than can be read at once."""


@dataclass(frozen=True)
class History:
    """`tested` are positions of the transactions to judge; those before them are their parties' past."""

    log: engine.TransactionColumns
    table: pa.Table
    tested: NDArray[np.int64]
    members: Mapping[tuple[str, str], str]
    needs_features: bool

    def chunks(self) -> Iterator[NDArray[np.int64]]:
        for begin in range(0, len(self.tested), ROWS_AT_ONCE):
            yield self.tested[begin : begin + ROWS_AT_ONCE]

    def facts(self, rows: NDArray[np.int64]) -> FactColumns:
        """The facts of the transactions at these positions, which rise, as their assessment would have seen them.

        Lists are asked as they are now, since nothing says what they held then.
        """
        part = self.table.take(pa.array(rows))
        properties = part["properties"].to_pylist() if "properties" in part.column_names else [None] * len(rows)
        membership = {key: part[column].to_numpy() == "t" for key, column in self.members.items()}
        return FactColumns(
            size=len(rows),
            numbers=self._numbers(part, rows),
            texts={name: _texts(part[name]) for name in (*TEXTS, *KEYS)},
            properties=[None if each is None else json.loads(each) for each in properties],
            membership=lambda name, field: membership.get((name, field), np.zeros(len(rows), dtype=bool)),
        )

    def _numbers(self, part: pa.Table, rows: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        numbers: dict[str, NDArray[np.float64]] = {}
        if self.needs_features and len(rows):
            begin = int(np.searchsorted(self.log.time, self.log.time[rows[0]] - LOOK_BACK.total_seconds()))
            past = _part_of(self.log, begin, int(rows[-1]) + 1)
            features = engine.velocity_features(past, rows - begin).astype(np.float64)
            numbers = dict(zip(engine.FEATURES, features.T, strict=True))
        own = [name for name in ("amount", "latitude", "longitude", "score") if name in part.column_names]
        return numbers | {name: part[name].to_numpy() for name in own}


def read_history(nodes: Sequence[Node], since: datetime, until: datetime) -> History:
    """What the expressions need to be asked of the transactions from `since` until `until` (excluded).

    Raises TooManyTransactions.
    """
    read = {name for node in nodes for name in names(node)}
    asked_lists = sorted({pair for node in nodes for pair in lists(node).items()})
    needs_features = bool(read & set(engine.FEATURES) - {"amount"})
    selected = [COLUMNS]
    if "score" in read:
        selected.append(SCORE)
    if any(name.startswith("properties.") for name in read):
        selected.append("CASE WHEN occurred_at >= %(since)s THEN properties::text END AS properties")
    for number, (_, field) in enumerate(asked_lists):
        value = f"encode({field}_key, 'hex')" if field in KEYS else field
        selected.append(MEMBER.format(value=value, number=number, field=field))
    values: dict[str, Any] = {f"list_{number}": name for number, (name, _) in enumerate(asked_lists)}
    values |= {
        "tenant": current_tenant_id(),
        "since": since,
        "until": until,
        "first": since - LOOK_BACK if needs_features else since,
    }
    table = _copy(", ".join(selected), values)
    log = _log(table)
    return History(
        log=log,
        table=table,
        tested=np.arange(int(np.searchsorted(log.time, since.timestamp())), len(log)),
        members={pair: f"member_{number}" for number, pair in enumerate(asked_lists)},
        needs_features=needs_features,
    )


def _copy(selected: str, values: Mapping[str, Any]) -> pa.Table:
    copy_rows = f"""COPY (
        SELECT {selected} FROM risk_transaction AS transaction WHERE {WINDOW} ORDER BY occurred_at, transaction_id
    ) TO STDOUT (FORMAT csv, HEADER)"""
    file = io.BytesIO()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM risk_transaction WHERE {WINDOW}", values)
        if (count := cursor.fetchone()[0]) > MOST_TRANSACTIONS:
            raise TooManyTransactions(
                f"there are {count} transactions in these days and the {LOOK_BACK.days} before; at most "
                f"{MOST_TRANSACTIONS} are read, so choose fewer days"
            )
        with connection.wrap_database_errors, cursor.copy(copy_rows, values) as copy:
            for block in copy:
                file.write(block)
    file.seek(0)
    return pyarrow.csv.read_csv(
        file,
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=copied_as(READ_TYPES),
    )


def _log(table: pa.Table) -> engine.TransactionColumns:
    columns = {name: table[name].to_numpy() for name in ("time", "amount", "fraud_known_at", "cleared_at")}
    return engine.TransactionColumns.of(
        types=["any"],
        **columns,
        **{party: _codes(table[f"{field}_number"]) for party, field in PARTIES.items()},
    )


def _codes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Codes from 0 for each different number, -1 where there is none."""
    missing = column.is_null().to_numpy()
    _, codes = np.unique(column.fill_null(-1).to_numpy(), return_inverse=True)
    return np.where(missing, -1, codes).astype(np.int64)


def _part_of(log: engine.TransactionColumns, begin: int, end: int) -> engine.TransactionColumns:
    columns = ("time", "amount", "customer", "counterparty", "device", "card", "type", "fraud_known_at", "cleared_at")
    return engine.TransactionColumns.of(types=log.types, **{name: getattr(log, name)[begin:end] for name in columns})


def _texts(column: pa.ChunkedArray) -> Texts:
    coded = column.combine_chunks()
    coded = coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
    return Texts(coded.indices.fill_null(-1).to_numpy().astype(np.int64), coded.dictionary.to_pylist())


def is_fraud(log: engine.TransactionColumns, now: datetime) -> Booleans:
    """Which transactions are known to be fraud by now."""
    return log.known_fraud(now.timestamp())
