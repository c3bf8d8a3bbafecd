"""Labels: what became known of transactions, kept for ever, and what follows for the transactions themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

from django.db import connection
from uuid_utils.compat import uuid7

from apps.risk.transactions.models import Label
from tenancy.scope import current_tenant_id

KNOWN_FRAUD = frozenset({Label.Kind.FRAUD, Label.Kind.CHARGEBACK})

# Locked in order of id, so that writers of labels of the same transactions follow each other.
LOCK = """
    SELECT transaction_id, occurred_at FROM risk_transaction
    WHERE tenant_id = %s AND transaction_id = ANY(%s) ORDER BY transaction_id FOR UPDATE"""
INSERT = """
    INSERT INTO risk_label (tenant_id, id, transaction_id, kind, known_at, source, actor, note, created_at)
    SELECT %s, new.id, new.transaction_id, new.kind, new.known_at, %s, %s, new.note, clock_timestamp()
    FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::timestamptz[], %s::text[])
        AS new(id, transaction_id, kind, known_at, note)"""
HISTORY = """
    SELECT transaction_id, kind, known_at FROM risk_label WHERE tenant_id = %s AND transaction_id = ANY(%s)
    ORDER BY transaction_id, known_at, id"""
UPDATE = """
    UPDATE risk_transaction SET fraud_known_at = new.fraud_known_at, cleared_at = new.cleared_at
    FROM unnest(%s::text[], %s::timestamptz[], %s::timestamptz[]) AS new(transaction_id, fraud_known_at, cleared_at)
    WHERE tenant_id = %s AND risk_transaction.transaction_id = new.transaction_id
        AND (risk_transaction.fraud_known_at, risk_transaction.cleared_at)
            IS DISTINCT FROM (new.fraud_known_at, new.cleared_at)"""


@dataclass(frozen=True)
class NewLabel:
    transaction_id: str
    kind: str
    known_at: datetime
    note: str = ""


@dataclass(frozen=True)
class LabelResult:
    """`result` is ok, duplicate (the same was said before) or invalid, with `field` and `message` saying why."""

    transaction_id: str
    result: str
    field: str = ""
    message: str = ""


class Known(NamedTuple):
    """A transaction counts as fraud from `fraud_known_at` until `cleared_at`."""

    fraud_known_at: datetime | None
    cleared_at: datetime | None


def record_labels(*, labels: Sequence[NewLabel], source: str, actor: str = "") -> list[LabelResult]:
    """Store labels and bring their transactions to what is known now; one result for each, in their order.

    Five statements, however many there are. Safe to race and to repeat; labels may come in any order of `known_at`.
    """
    if not labels:
        return []
    tenant_id = current_tenant_id()
    named = sorted({label.transaction_id for label in labels})
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [tenant_id, named])
        occurred_at: dict[str, datetime] = dict(cursor.fetchall())
        cursor.execute(HISTORY, [tenant_id, list(occurred_at)])
        said = set(cursor.fetchall())
        results = [_judge(label, occurred_at, said) for label in labels]
        new = [label for label, result in zip(labels, results, strict=True) if result.result == "ok"]
        if not new:
            return results
        columns: list[list[Any]] = [
            [uuid7() for _ in new],
            [label.transaction_id for label in new],
            [str(label.kind) for label in new],
            [label.known_at for label in new],
            [label.note for label in new],
        ]
        cursor.execute(INSERT, [tenant_id, source, actor, *columns])
        changed = sorted({label.transaction_id for label in new})
        cursor.execute(HISTORY, [tenant_id, changed])
        known = {
            transaction_id: what_is_known([(kind, known_at) for _, kind, known_at in rows])
            for transaction_id, rows in groupby(cursor.fetchall(), lambda row: row[0])
        }
        cursor.execute(
            UPDATE,
            [
                list(known),
                [each.fraud_known_at for each in known.values()],
                [each.cleared_at for each in known.values()],
                tenant_id,
            ],
        )
    return results


def _judge(label: NewLabel, occurred_at: dict[str, datetime], said: set[tuple[str, str, datetime]]) -> LabelResult:
    name = label.transaction_id
    if name not in occurred_at:
        return LabelResult(
            name, "invalid", "transaction_id", "is not known: send the transaction first, or mend the id"
        )
    if label.known_at < occurred_at[name]:
        message = f"lies before the transaction itself ({occurred_at[name].isoformat()})"
        return LabelResult(name, "invalid", "known_at", message)
    statement = (name, str(label.kind), label.known_at)
    if statement in said:
        return LabelResult(name, "duplicate")
    said.add(statement)
    return LabelResult(name, "ok")


def what_is_known(labels: Sequence[tuple[str, datetime]]) -> Known:
    """From all (kind, known_at) of one transaction, oldest first: the newest word counts, from when it was first said.

    Only the last change of mind is kept, since a transaction has one span in which it counts as fraud.
    """
    spans: list[Known] = []
    for kind, known_at in labels:
        last = spans[-1] if spans else None
        if kind in KNOWN_FRAUD:
            if last is None or last.cleared_at is not None:
                spans.append(Known(known_at, None))
        elif last is None:
            spans.append(Known(None, known_at))
        elif last.cleared_at is None:
            spans[-1] = Known(last.fraud_known_at, known_at)
    return spans[-1] if spans else Known(None, None)
