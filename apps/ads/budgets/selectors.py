"""Whether the counters, the ledger and the deliveries say the same, to the micro-unit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from tenancy.scope import current_tenant_id

# Every sum is found from rows of its own, none from the counters that it is compared with.
RECONCILE = """
    SELECT budget.flight_id, budget.budget_micros, budget.spent_micros, budget.reserved_micros, budget.billed_events,
        budget.carry, coalesce(ledger.amount, 0), coalesce(ledger.events, 0), coalesce(ledger.thousandths, 0),
        coalesce(open.reserved, 0), coalesce(open.billed, 0)
    FROM ads_flightbudget AS budget
        LEFT JOIN (
            SELECT flight_id, sum(amount_micros)::bigint AS amount, count(*) AS events,
                sum(price_micros * CASE bid_kind WHEN 'cpm' THEN 1 ELSE 1000 END)::bigint AS thousandths
            FROM ads_ledgerentry WHERE tenant_id = %(tenant)s {of_flights} GROUP BY flight_id
        ) AS ledger USING (flight_id)
        LEFT JOIN (
            SELECT flight_id, coalesce(sum(reserved_micros) FILTER (WHERE status = 'open'), 0)::bigint AS reserved,
                count(*) FILTER (WHERE status = 'billed') AS billed
            FROM ads_delivery WHERE tenant_id = %(tenant)s {of_flights} GROUP BY flight_id
        ) AS open USING (flight_id)
    WHERE tenant_id = %(tenant)s {of_flights}
    ORDER BY budget.flight_id"""
# In each part, since the planner carries no list of flights from one into another.
OF_FLIGHTS = "AND flight_id = ANY(%(flights)s)"


@dataclass(frozen=True)
class FlightAccount:
    """One flight's counters beside what its rows add up to; amounts in micro-units, `thousandths` of them."""

    flight_id: UUID
    budget_micros: int
    spent_micros: int
    reserved_micros: int
    billed_events: int
    carry: int
    ledger_micros: int
    ledger_events: int
    ledger_thousandths: int
    open_micros: int
    billed_deliveries: int

    @property
    def problems(self) -> list[str]:
        """What does not agree; nothing where the account is right."""
        checks = {
            "the ledger's sum is not what the counter says was spent": self.ledger_micros == self.spent_micros,
            "the ledger's rows are not the events that were billed": self.ledger_events == self.billed_events,
            "billed deliveries are not the ledger's rows": self.billed_deliveries == self.ledger_events,
            "open deliveries do not add up to what is reserved": self.open_micros == self.reserved_micros,
            "prices and what was carried do not add up to what was spent": self.ledger_thousandths
            == 1000 * self.spent_micros + self.carry,
            "more is spent than the budget": self.spent_micros <= self.budget_micros,
        }
        return [problem for problem, holds in checks.items() if not holds]


def flight_accounts(flight_ids: Sequence[UUID] | None = None) -> list[FlightAccount]:
    """The account of each of the flights, or of all, by id."""
    values: dict[str, Any] = {"tenant": current_tenant_id()}
    if flight_ids is not None:
        values["flights"] = list(flight_ids)
    with connection.cursor() as cursor:
        cursor.execute(RECONCILE.format(of_flights="" if flight_ids is None else OF_FLIGHTS), values)
        return [FlightAccount(*row) for row in cursor.fetchall()]
