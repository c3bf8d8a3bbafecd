"""The made payments of a demonstration, as a client would send them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from apps.risk.engine import MadePayments, made_payments

# The newest part of the world is assessed; what lies before it is imported.
DAYS, DAYS_ASSESSED = 75, 14


@dataclass(frozen=True)
class Payments:
    """`imported` are events of the log, with what is known of frauds; `assessed` are bodies of POST risk/assessments,
    oldest first, and `labels` of POST risk/labels for those of them that are known to be fraud by now."""

    imported: list[dict[str, Any]]
    assessed: list[dict[str, Any]]
    labels: list[dict[str, Any]]


def payments_until(end: datetime, *, customers: int) -> Payments:
    """The same until the same moment."""
    world = made_payments(customers=customers, days=DAYS, begins=end - timedelta(days=DAYS))
    cut = end - timedelta(days=DAYS_ASSESSED)
    rows = [(row, datetime.fromtimestamp(world.columns.time[row], UTC)) for row in range(len(world.kind))]
    assessed = [row for row, moment in rows if cut <= moment < end]
    return Payments(
        imported=[_event(world, row) for row, moment in rows if moment < cut],
        assessed=[_body(world, row) for row in assessed],
        labels=list(_labels(world, assessed, end)),
    )


def _body(world: MadePayments, row: int) -> dict[str, Any]:
    columns = world.columns
    things = {"device": int(columns.device[row]), "card": int(columns.card[row])}
    return {
        "transaction_id": f"demo-{row}",
        "subject": {"user_id": f"customer-{columns.customer[row]}"},
        "amount": float(columns.amount[row]),
        "currency": "EUR",
        "type": "payment",
        "counterparty": f"merchant-{columns.counterparty[row]}",
        "occurred_at": _iso(columns.time[row]),
        "properties": {"channel": columns.types[columns.type[row]]},
        **{name: f"{name}-{code}" for name, code in things.items() if code >= 0},
    }


def _event(world: MadePayments, row: int) -> dict[str, Any]:
    said, known_at = _body(world, row), world.columns.fraud_known_at[row]
    things = {name: said[name] for name in ("transaction_id", "device", "card") if name in said}
    is_fraud = world.kind[row] > 0 and known_at < float("inf")
    fraud = {"fraud": True, "fraud_known_at": _iso(known_at)} if is_fraud else {}
    return {
        "message_id": said["transaction_id"],
        "type": "payment",
        "subject": said["subject"],
        "value": said["amount"],
        "currency": "EUR",
        "created_at": said["occurred_at"],
        "item_id": said["counterparty"],
        "properties": said["properties"] | things | fraud,
    }


def _labels(world: MadePayments, rows: list[int], end: datetime) -> Iterator[dict[str, Any]]:
    for row in rows:
        known_at = world.columns.fraud_known_at[row]
        if world.kind[row] > 0 and known_at < end.timestamp():
            yield {"transaction_id": f"demo-{row}", "kind": "fraud", "known_at": _iso(known_at)}


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(float(seconds), UTC).isoformat()
