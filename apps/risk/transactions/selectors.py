"""Reads of transactions: by their ids, and the histories of all who take part in them."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from apps.risk import engine
from tenancy.scope import current_tenant_id
from tenancy.statements import prepared_cursor

STORED = (
    "transaction_id",
    "decision_id",
    "occurred_at",
    "subject_key",
    "type",
    "amount",
    "currency",
    "given_amount",
    "counterparty",
    "device_key",
    "card_key",
    "address_key",
    "country",
    "latitude",
    "longitude",
    "properties",
    "fraud_known_at",
    "cleared_at",
)
Key = bytes | memoryview
PARTIES = ("subject_key", "counterparty", "device_key", "card_key")
READ = (
    "transaction_id, occurred_at, amount, type, subject_key, counterparty, device_key, card_key, fraud_known_at, "
    "cleared_at"
)
REACH = {"seconds": engine.HISTORY_SECONDS, "most": engine.HISTORY_ROWS}
# Strictly before each transaction, so that one which is stored already is not part of its own history.
OF_PARTY = """
    SELECT past.* FROM asked CROSS JOIN LATERAL (
        SELECT {read} FROM risk_transaction AS known
        WHERE tenant_id = %(tenant)s AND known.{party} = asked.{party} AND known.occurred_at < asked.occurred_at
            AND known.occurred_at >= asked.occurred_at - make_interval(secs => {seconds})
        ORDER BY known.occurred_at DESC LIMIT {most}
    ) AS past"""


MOST_CODE = 2**63 - 1


def _code(column: str) -> str:
    """A number of 63 bits that only says who is the same; -1 for nobody."""
    text = column if column == "counterparty" else f"encode({column}, 'hex')"
    return f"coalesce(hashtextextended({text}, 0) & {MOST_CODE}, -1)"


HISTORIES = f"""
    WITH asked AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(%(asked)s::jsonb) AS asked(number integer, transaction_id text,
            occurred_at timestamptz, amount double precision, type text, subject_key bytea, counterparty text,
            device_key bytea, card_key bytea, fraud_known_at timestamptz, cleared_at timestamptz)
    ), found AS ({" UNION ".join(OF_PARTY.format(read=READ, party=party, **REACH) for party in PARTIES)}),
    everything AS (
        SELECT number, {READ} FROM asked
        UNION ALL SELECT -1, {READ} FROM found
            WHERE NOT EXISTS (SELECT FROM asked WHERE asked.transaction_id = found.transaction_id)
    )
    SELECT array_send(array_agg(number)), array_send(array_agg(date_part('epoch', occurred_at))),
        array_send(array_agg(amount)), array_agg(type), array_send(array_agg({_code("subject_key")})),
        array_send(array_agg({_code("counterparty")})), array_send(array_agg({_code("device_key")})),
        array_send(array_agg({_code("card_key")})),
        array_send(array_agg(coalesce(date_part('epoch', fraud_known_at), 'infinity'))),
        array_send(array_agg(coalesce(date_part('epoch', cleared_at), 'infinity'))),
        ARRAY(SELECT number FROM asked WHERE EXISTS (
            SELECT FROM risk_transaction AS later WHERE tenant_id = %(tenant)s
                AND later.subject_key = asked.subject_key AND later.occurred_at > asked.occurred_at)),
        EXISTS (SELECT FROM risk_transaction AS stored JOIN asked USING (transaction_id) WHERE tenant_id = %(tenant)s)
    FROM everything"""


class WithParties(Protocol):
    """A transaction as far as its history depends on it: a new one, or one that is stored."""

    @property
    def transaction_id(self) -> str: ...
    @property
    def occurred_at(self) -> datetime: ...
    @property
    def amount(self) -> float: ...
    @property
    def type(self) -> str: ...
    @property
    def subject_key(self) -> Key: ...
    @property
    def counterparty(self) -> str | None: ...
    @property
    def device_key(self) -> Key | None: ...
    @property
    def card_key(self) -> Key | None: ...


def find_transactions(transaction_ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """The columns of STORED of those that are stored, by id; one query."""
    with prepared_cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join(STORED)} FROM risk_transaction WHERE tenant_id = %s AND transaction_id = ANY(%s)",
            [current_tenant_id(), list(transaction_ids)],
        )
        rows = [dict(zip(STORED, row, strict=True)) for row in cursor.fetchall()]
    for row in rows:
        # A plain cursor gives JSON as its text, and keys as views.
        row["properties"] = json.loads(row["properties"] or "{}")
        row |= {name: bytes(value) for name, value in row.items() if isinstance(value, memoryview)}
    return {row["transaction_id"]: row for row in rows}


def histories(transactions: Sequence[WithParties], known: Mapping[str, Mapping[str, Any]]) -> engine.Histories:
    """All that velocity features of these transactions rest on, by one query.

    Each one's history holds what is stored of its customer, counterparty, device and card strictly before it, at most
    HISTORY_SECONDS back and the newest HISTORY_ROWS each; and the others that were asked for. `known` are those of them
    that are stored already (`find_transactions`), whose labels count too.
    """
    found, _ = _read_histories(transactions, known)
    return found


def histories_of_new(transactions: Sequence[WithParties]) -> engine.Histories | None:
    """`histories` of transactions of which none is stored; None where one is. One query for both."""
    found, are_known = _read_histories(transactions, {})
    return None if are_known else found


def _read_histories(
    transactions: Sequence[WithParties], known: Mapping[str, Mapping[str, Any]]
) -> tuple[engine.Histories, bool]:
    """The histories, and whether any of the transactions is stored."""
    asked = [_asked(number, transaction, known) for number, transaction in enumerate(transactions)]
    with prepared_cursor() as cursor:
        cursor.execute(HISTORIES, {"asked": json.dumps(asked), "tenant": current_tenant_id()})
        row = cursor.fetchone()
    number, time, amount, types, customer, counterparty, device, card, fraud_known_at, cleared_at, late, are_known = row
    numbers = _numbers(number, "i4")
    places = np.flatnonzero(numbers >= 0)
    type_names = list(dict.fromkeys(types))
    type_codes = {name: code for code, name in enumerate(type_names)}
    # Past the check of `TransactionColumns.of`: what is stored has been judged at the door.
    log = engine.TransactionColumns(
        types=type_names,
        time=_numbers(time, "f8"),
        amount=_numbers(amount, "f8"),
        customer=_numbers(customer, "i8"),
        counterparty=_numbers(counterparty, "i8"),
        device=_numbers(device, "i8"),
        card=_numbers(card, "i8"),
        type=np.array([type_codes[name] for name in types], dtype=np.int16),
        fraud_known_at=_numbers(fraud_known_at, "f8"),
        cleared_at=_numbers(cleared_at, "f8"),
    )
    return engine.Histories(log, places[np.argsort(numbers[places])], frozenset(late)), are_known


def _asked(number: int, transaction: WithParties, known: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    labels = known.get(transaction.transaction_id, {})
    return {
        "number": number,
        "transaction_id": transaction.transaction_id,
        "occurred_at": transaction.occurred_at.isoformat(),
        "amount": transaction.amount,
        "type": transaction.type,
        "subject_key": as_bytea(transaction.subject_key),
        "counterparty": transaction.counterparty,
        "device_key": as_bytea(transaction.device_key),
        "card_key": as_bytea(transaction.card_key),
        "fraud_known_at": _iso(labels.get("fraud_known_at")),
        "cleared_at": _iso(labels.get("cleared_at")),
    }


def as_bytea(key: Key | None) -> str | None:
    """Hexadecimal as PostgreSQL reads bytea."""
    return None if key is None else f"\\x{key.hex()}"


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


_SENT = {kind: np.dtype([("length", ">i4"), ("value", f">{kind}")]) for kind in ("i4", "i8", "f8")}


def _numbers(sent: bytes, kind: str) -> NDArray[Any]:
    """An array of numbers without NULL, as PostgreSQL sends it in binary: a head of 20 bytes, then length and value of
    each element, big-endian. Thousands of numbers a request would take long to read from text."""
    return np.frombuffer(sent, dtype=_SENT[kind], offset=20)["value"].astype(kind)
