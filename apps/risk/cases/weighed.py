"""The events of both sides that raised a model's score most, as transactions that a person can look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q

from apps.risk.cases.models import Alert
from apps.risk.transactions.amounts import as_given
from apps.risk.transactions.models import Transaction
from behavior.clock import EPOCH
from decisions.models import Decision
from decisions.selectors import find_decisions

MOST_TOLD = 3
CUSTOMER, COUNTERPARTY = "customer", "counterparty"
# Where an event is found: of which side, who that is, and when it was.
Place = tuple[str, bytes | str | None, datetime]


@dataclass(frozen=True)
class WeighedEvent:
    """One event of the history of the `side` (customer, counterparty) of an alerted transaction.

    `part` is what it added to the log-odds by integrated gradients, `attention` in [0, 1]. Without a transaction where
    that has gone since; `is_own` says that it is the alerted customer's, which the counterparty's history has, too."""

    side: str
    occurred_at: datetime
    part: float
    attention: float
    transaction: Transaction | None
    is_own: bool

    @property
    def words(self) -> str:
        when = f"{self.occurred_at:%Y-%m-%d %H:%M}"
        if self.transaction is None:
            return f"a transaction of the {self.side}, {when}"
        whose = "" if self.is_own else "somebody else's "
        where = f" to {self.transaction.counterparty}" if self.transaction.counterparty else ""
        amount = f"{as_given(self.transaction):,.2f} {self.transaction.currency}"
        return f"{whose}{self.transaction.type} of {amount}{where}, {when}"


def weighed_events(alerts: Sequence[Alert]) -> dict[UUID, list[WeighedEvent]]:
    """By alert, the strongest first, at most MOST_TOLD; empty where no network was asked. Two queries for them all."""
    try:
        decisions = find_decisions([alert.decision_id for alert in alerts])
    except Decision.DoesNotExist:
        return {}
    raised = {
        alert.id: [(_place(alert, decision, event), event) for event in _strongest(decision)]
        for alert in alerts
        if (decision := decisions.get(alert.decision_id))
    }
    found = _transactions({place for events in raised.values() for place, _ in events})
    return {alert.id: _told(alert, raised[alert.id], found) for alert in alerts if alert.id in raised}


def _told(
    alert: Alert, events: list[tuple[Place, dict[str, Any]]], found: dict[Place, Transaction]
) -> list[WeighedEvent]:
    """What the customer paid the same counterparty before is in both histories, and is told once."""
    told: dict[Any, WeighedEvent] = {}
    for place, event in events:
        transaction = found.get(place)
        is_own = transaction is not None and bytes(transaction.subject_key) == bytes(alert.subject_key)
        weighed = WeighedEvent(place[0], place[2], event["part"], event["attention"], transaction, is_own)
        told.setdefault(transaction.transaction_id if transaction else place, weighed)
    return list(told.values())[:MOST_TOLD]


def _strongest(decision: Decision) -> list[dict[str, Any]]:
    """Enough for MOST_TOLD, though each may be there twice."""
    # Answers of an earlier release do not say when the events were.
    events = [each for each in decision.request.get("events", ()) if each["part"] > 0.0 and "time" in each]
    return events[: 2 * MOST_TOLD]


def _place(alert: Alert, decision: Decision, event: dict[str, Any]) -> Place:
    who = bytes(alert.subject_key) if event["side"] == CUSTOMER else decision.request.get("counterparty")
    return event["side"], who, EPOCH + timedelta(microseconds=round(event["time"] * 1_000_000))


def _transactions(places: set[Place]) -> dict[Place, Transaction]:
    wanted = Q()
    for side, who, moment in places:
        if who is not None:
            wanted |= Q(**{"subject_key" if side == CUSTOMER else "counterparty": who}, occurred_at=moment)
    if not wanted:
        return {}
    found: dict[Place, Transaction] = {}
    for transaction in Transaction.objects.filter(wanted).order_by("transaction_id"):
        found.setdefault((CUSTOMER, bytes(transaction.subject_key), transaction.occurred_at), transaction)
        found.setdefault((COUNTERPARTY, transaction.counterparty, transaction.occurred_at), transaction)
    return found
