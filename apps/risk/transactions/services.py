"""Writes of transactions: those that are assessed, with their events in the behaviour log and their decisions."""

import json
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from django.db import connection
from uuid_utils.compat import uuid7

from apps.risk.transactions.amounts import as_given
from apps.risk.transactions.reading import MESSAGE_PREFIX, NewTransaction
from apps.risk.transactions.selectors import as_bytea
from behavior.clock import to_micros
from behavior.direct import JudgedEvent, store_logins_of, storing_parts, values_to_store
from decisions.models import Decision
from decisions.services import INSERT_MANY, rows_to_store
from tenancy.scope import current_tenant_id
from tenancy.statements import prepared_cursor

# Tells the projection that these are stored already.
SOURCE = "risk"
# What an import may leave to the call that assesses it.
FILLED = ("counterparty", "device_key", "card_key", "address_key", "country", "latitude", "longitude")
AS_ROW = """transaction_id text, event_id uuid, decision_id uuid, occurred_at timestamptz, subject_key bytea, type text,
    amount double precision, currency text, given_amount double precision, counterparty text, device_key bytea,
    card_key bytea, address_key bytea, country text, latitude double precision, longitude double precision,
    properties jsonb"""
# One message to the database: each costs an answer more than what most of them say. In order of id, so that two writers
# of the same transactions wait for each other instead of deadlocking; who comes second stores nothing.
STORE = f"""
    WITH kept AS MATERIALIZED (
        INSERT INTO risk_transaction (tenant_id, transaction_id, event_id, decision_id, occurred_at, received_at,
            subject_key, type, amount, currency, given_amount, counterparty, device_key, card_key, address_key, country,
            latitude, longitude, properties)
        SELECT %(tenant)s, transaction_id, event_id, decision_id, occurred_at, now(), subject_key, type, amount,
            currency, given_amount, counterparty, device_key, card_key, address_key, country, latitude, longitude,
            properties
        FROM jsonb_to_recordset(%(transactions)s::jsonb) AS new({AS_ROW})
        ORDER BY transaction_id
        ON CONFLICT (tenant_id, transaction_id) DO NOTHING RETURNING transaction_id, event_id, decision_id
    ), {storing_parts("event_id IN (SELECT event_id FROM kept)")},
    answered AS ({INSERT_MANY} WHERE decision_id IN (SELECT decision_id FROM kept))
    SELECT transaction_id, stored.event_id IS NOT NULL FROM kept LEFT JOIN stored USING (event_id)"""
CLAIM = f"""
    WITH locked AS MATERIALIZED (
        SELECT transaction_id FROM risk_transaction WHERE tenant_id = %(tenant)s AND transaction_id = ANY(%(ids)s)
        ORDER BY transaction_id FOR UPDATE
    )
    UPDATE risk_transaction AS known SET decision_id = new.decision_id,
        {", ".join(f"{name} = coalesce(known.{name}, new.{name})" for name in FILLED)},
        properties = coalesce(new.properties || known.properties, known.properties, new.properties)
    FROM locked JOIN jsonb_to_recordset(%(transactions)s::jsonb) AS new({AS_ROW}) USING (transaction_id)
    WHERE known.tenant_id = %(tenant)s AND known.transaction_id = new.transaction_id AND known.decision_id IS NULL
    RETURNING known.transaction_id"""


class MessageIdTaken(ValueError):
    """The log holds other events under the message ids that the events of these transactions would have."""

    def __init__(self, transaction_ids: Collection[str]) -> None:
        named = ", ".join(f"'{MESSAGE_PREFIX}{each}'" for each in sorted(transaction_ids)[:3])
        super().__init__(f"the log holds another event with the message id {named}; give the transaction another id")
        self.transaction_ids = transaction_ids


def store_transactions(transactions: Sequence[NewTransaction], decisions: Sequence[Decision]) -> set[str]:
    """Store transactions, their events and their decisions by one statement in the caller's transaction.

    Returns the ids of those that were new; of the others nothing is stored. Raises MessageIdTaken.
    """
    if not transactions:
        return set()
    event_ids = [uuid7() for _ in transactions]
    rows = [
        {"event_id": str(event_id), **_row(transaction, decision)}
        for transaction, event_id, decision in zip(transactions, event_ids, decisions, strict=True)
    ]
    events = {
        transaction.transaction_id: _event(transaction, event_id)
        for transaction, event_id in zip(transactions, event_ids, strict=True)
    }
    values = {
        **values_to_store(list(events.values()), source=SOURCE),
        "transactions": json.dumps(rows),
        "decisions": rows_to_store(decisions),
    }
    with prepared_cursor() as cursor:
        cursor.execute(STORE, values)
        logged: dict[str, bool] = dict(cursor.fetchall())
    if taken := {transaction_id for transaction_id, is_logged in logged.items() if not is_logged}:
        raise MessageIdTaken(taken)
    store_logins_of([events[transaction_id] for transaction_id in logged], source=SOURCE)
    return set(logged)


def claim_transactions(transactions: Sequence[NewTransaction], decisions: Sequence[Decision]) -> set[str]:
    """Give transactions that were imported their assessment, and what their import left out; returns the ids of those
    that had none before."""
    if not transactions:
        return set()
    rows = [_row(each, decision) for each, decision in zip(transactions, decisions, strict=True)]
    values: dict[str, Any] = {
        "tenant": current_tenant_id(),
        "ids": [each.transaction_id for each in transactions],
        "transactions": json.dumps(rows),
    }
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, values)
        return {transaction_id for (transaction_id,) in cursor.fetchall()}


def _row(transaction: NewTransaction, decision: Decision) -> dict[str, Any]:
    return {
        "transaction_id": transaction.transaction_id,
        "decision_id": str(decision.decision_id),
        "occurred_at": transaction.occurred_at.isoformat(),
        "subject_key": as_bytea(transaction.subject_key),
        "type": transaction.type,
        "amount": transaction.amount,
        "currency": transaction.currency,
        "given_amount": transaction.given_amount,
        "counterparty": transaction.counterparty,
        "device_key": as_bytea(transaction.device_key),
        "card_key": as_bytea(transaction.card_key),
        "address_key": as_bytea(transaction.address_key),
        "country": transaction.country,
        "latitude": transaction.latitude,
        "longitude": transaction.longitude,
        "properties": transaction.properties or None,
    }


def _event(transaction: NewTransaction, event_id: UUID) -> JudgedEvent:
    """Device, card and address stay out of it: the log has no pseudonyms but those of subjects."""
    named = {
        name: value
        for name in ("transaction_id", "country", "latitude", "longitude")
        if (value := getattr(transaction, name)) is not None
    }
    return JudgedEvent(
        event_id=event_id,
        message_id=f"{MESSAGE_PREFIX}{transaction.transaction_id}",
        type=transaction.type,
        subject=transaction.subject,
        occurred_at=to_micros(transaction.occurred_at),
        created_at=None if transaction.given_at is None else to_micros(transaction.given_at),
        time_quality=transaction.time_quality,
        item_id=transaction.counterparty,
        value=as_given(transaction),
        currency=transaction.currency,
        consent=transaction.consent,
        properties={**transaction.properties, **named},
    )
