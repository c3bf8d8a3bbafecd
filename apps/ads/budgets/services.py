"""Money: expected when an ad is placed, billed when what was bought happens, returned when it does not.

Each step is one conditional UPDATE of one row of `ads_flightbudget`, so however many processes decide and bill at once,
nothing is promised beyond the budget and nothing spent beyond it. Everything happens in the transaction of the caller:
a process that dies leaves either all of a step or nothing.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from apps.ads.campaigns.models import BidKind, Flight
from apps.ads.settings import current_settings
from tenancy.scope import current_tenant_id
from tenancy.statements import prepared_cursor

OPEN = """
    INSERT INTO ads_flightbudget (tenant_id, flight_id, budget_micros, daily_budget_micros, reserved_micros,
        spent_micros, day, day_reserved_micros, day_spent_micros, carry, billed_events)
    VALUES (%(tenant)s, %(flight)s, %(budget)s, %(daily)s, 0, 0, '2000-01-01', 0, 0, 0, 0)
    ON CONFLICT (tenant_id, flight_id) DO NOTHING"""
# What a day before spent says nothing of the limit of this one.
LIMIT = """
    UPDATE ads_flightbudget SET budget_micros = %(budget)s, daily_budget_micros = %(daily)s,
        day = greatest(day, %(day)s),
        day_reserved_micros = CASE WHEN day >= %(day)s THEN day_reserved_micros ELSE 0 END,
        day_spent_micros = CASE WHEN day >= %(day)s THEN day_spent_micros ELSE 0 END
    WHERE tenant_id = %(tenant)s AND flight_id = %(flight)s"""
# More may be promised than is left, since little of it will be asked for; a limit that is not lowered stays right.
TAKEN = """
    SELECT least(spent_micros + reserved_micros, budget_micros),
        CASE WHEN day >= %(day)s THEN least(day_spent_micros + day_reserved_micros, daily_budget_micros) ELSE 0 END
    FROM ads_flightbudget WHERE tenant_id = %(tenant)s AND flight_id = %(flight)s FOR UPDATE"""
PLACED = """
    SELECT bid_kind FROM ads_delivery WHERE tenant_id = %(tenant)s AND flight_id = %(flight)s
    ORDER BY placed_at DESC LIMIT 1"""
LOCK = """
    SELECT flight_id FROM ads_flightbudget WHERE tenant_id = %s AND flight_id = ANY(%s)
    ORDER BY flight_id FOR UPDATE"""
# Rows are taken in order of flight. One alone needs no order, and its UPDATE waits for it.
HELD = """
    held AS MATERIALIZED (
        SELECT flight_id FROM ads_flightbudget
        WHERE tenant_id = %(tenant)s AND flight_id IN ({flights}) ORDER BY flight_id FOR UPDATE{skip}
    ),"""
# There must be room for what is expected beside all else that is, and for the event itself should it come next. A
# process whose clock is behind reserves on the newest day that any has seen.
RESERVED = """
    reserved AS (
        UPDATE ads_flightbudget AS budget SET
            reserved_micros = reserved_micros + amount,
            day = greatest(day, %(day)s),
            day_reserved_micros = amount + CASE WHEN day >= %(day)s THEN day_reserved_micros ELSE 0 END,
            day_spent_micros = CASE WHEN day >= %(day)s THEN day_spent_micros ELSE 0 END
        FROM (VALUES {wanted}) AS wanted(flight_id, amount, cost) {held}
        WHERE tenant_id = %(tenant)s AND budget.flight_id = wanted.flight_id
            AND spent_micros + greatest(reserved_micros + amount, cost) <= budget_micros
            AND (daily_budget_micros IS NULL OR CASE WHEN day >= %(day)s
                THEN day_spent_micros + greatest(day_reserved_micros + amount, cost) ELSE cost END
                    <= daily_budget_micros)
        RETURNING budget.flight_id, budget.day
    )"""
# Prices count in thousandths of a micro-unit here. The amount is what the spending in whole micro-units grew by.
BILL = """
    UPDATE ads_flightbudget SET
        reserved_micros = reserved_micros - %(reserved)s,
        spent_micros = spent_micros + (carry + %(price)s) / 1000,
        carry = (carry + %(price)s) %% 1000,
        billed_events = billed_events + 1,
        day = greatest(day, {account}),
        day_reserved_micros = CASE WHEN day >= {account} THEN
            day_reserved_micros - CASE WHEN day = %(day)s THEN %(reserved)s ELSE 0 END ELSE 0 END,
        day_spent_micros = CASE WHEN day >= {account} THEN day_spent_micros ELSE 0 END
            + CASE WHEN day <= {account} THEN (carry + %(price)s) / 1000 ELSE 0 END
    WHERE tenant_id = %(tenant)s AND flight_id = %(flight)s
        AND spent_micros + (carry + %(price)s) / 1000 <= budget_micros
        AND (daily_budget_micros IS NULL OR day > {account} OR (carry + %(price)s) / 1000
            + CASE WHEN day = {account} THEN day_spent_micros ELSE 0 END <= daily_budget_micros)
    RETURNING spent_micros - (spent_micros * 1000 + carry - %(price)s) / 1000, {account}"""
# An impression costs what its day holds for it in full; other events cost the day on which they come.
BILL_HELD = BILL.format(account="%(day)s::date")
BILL_EXPECTED = BILL.format(account="greatest(day, %(today)s::date)")
ENTER = """
    INSERT INTO ads_ledgerentry (tenant_id, delivery_id, flight_id, bid_kind, price_micros, amount_micros, day,
        billed_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"""
GIVE_BACK = """
    UPDATE ads_flightbudget AS budget SET
        reserved_micros = reserved_micros - amount,
        day_reserved_micros = day_reserved_micros - CASE WHEN day = %(day)s THEN amount ELSE 0 END
    FROM unnest(%(flights)s::uuid[], %(amounts)s::bigint[]) AS back(flight_id, amount)
    WHERE tenant_id = %(tenant)s AND budget.flight_id = back.flight_id"""


@dataclass(frozen=True)
class Reservation:
    """What one delivery holds of its flight's budget, on the account of `day`."""

    delivery_id: UUID
    flight_id: UUID
    bid_kind: str
    price_micros: int
    reserved_micros: int
    day: date


class Promise(NamedTuple):
    """What is reserved for an ad that is placed, and what its event costs at most."""

    reserved_micros: int
    cost_micros: int


def promise_of(bid_kind: str, price_micros: int, rate: float) -> Promise:
    """For an ad that is paid for with probability `rate` once it was seen: the price times that, rounded up. Of CPM all
    is reserved that an impression can cost: a thousandth, rounded up, since the rest is carried."""
    if bid_kind == BidKind.CPM:
        return Promise(-(-price_micros // 1000), -(-price_micros // 1000))
    return Promise(min(max(math.ceil(price_micros * rate), 1), price_micros), price_micros)


def open_budget(flight: Flight) -> None:
    """Make the flight's row, or bring its limits to the flight's. Raises ValidationError where one would fall below
    what is spent or promised, in all or today; and where ads were placed that pay for something else than the flight
    does now, since what it has bought would be counted as what it buys."""
    values: dict[str, Any] = {
        "tenant": current_tenant_id(),
        "flight": flight.id,
        "budget": flight.budget_micros,
        "daily": flight.daily_budget_micros,
        "day": _today(),
    }
    with connection.cursor() as cursor:
        cursor.execute(OPEN, values)
        if cursor.rowcount:
            return
    ((in_all, today),) = _run(TAKEN, values)
    if any(kind != flight.bid_kind for (kind,) in _run(PLACED, values)):
        message = "cannot change once ads of the flight were placed; make another flight"
        raise ValidationError({"bid_kind": message})
    _check_limit("budget_micros", flight.budget_micros, in_all)
    _check_limit("daily_budget_micros", flight.daily_budget_micros, today)
    with connection.cursor() as cursor:
        cursor.execute(LIMIT, values)


def _check_limit(field: str, limit: int | None, taken: int) -> None:
    if limit is not None and limit < taken:
        message = f"is below the {taken} micro-units that are spent or promised already; pause the flight instead"
        raise ValidationError({field: message})


def reserve(promises: Mapping[UUID, Promise], *, day: date, wait: bool = True) -> dict[UUID, date]:
    """Reserve what is promised of each flight's budget; those that can afford it, each with the day it is reserved on.

    Rows are locked in order of flight until the transaction ends. Without `wait` one that another transaction holds is
    passed over, which is how a caller that holds some already asks for more without a deadlock.
    """
    statement = f"WITH {reserving(len(promises), wait=wait)} SELECT flight_id, day FROM reserved"
    values = reserving_values(promises) | {"tenant": current_tenant_id(), "day": day}
    with prepared_cursor() as cursor:
        cursor.execute(statement, values)
        return dict(cursor.fetchall())


@cache
def reserving(flights: int, *, wait: bool) -> str:
    """`reserve` as part of a statement that goes on with its rows, `reserved` (flight_id, day). Its parameters are
    `tenant`, `day` and `reserving_values`.

    Flights are written out one by one: of an array the planner does not know how long it is, and would plan anew for
    each, which takes longer than all the rest.
    """
    named = [f"%(flight_{number})s::uuid" for number in range(flights)]
    wanted = ", ".join(
        f"({name}, %(amount_{number})s::bigint, %(cost_{number})s::bigint)" for number, name in enumerate(named)
    )
    if flights == 1 and wait:
        return RESERVED.format(wanted=wanted, held="")
    held = HELD.format(flights=", ".join(named), skip="" if wait else " SKIP LOCKED")
    return held + RESERVED.format(wanted=wanted, held="JOIN held USING (flight_id)")


def reserving_values(promises: Mapping[UUID, Promise]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for number, (flight, (amount, cost)) in enumerate(promises.items()):
        values |= {f"flight_{number}": flight, f"amount_{number}": amount, f"cost_{number}": cost}
    return values


def bill(reservation: Reservation, *, at: datetime) -> int | None:
    """Turn a reservation into spending and a row of the ledger; the amount in micro-units. None, and nothing is
    changed, where the budget, of the day or in all, has no room for the price, of which less may have been reserved.

    The caller has claimed the delivery, so that this happens once. A CPM price is for a thousand impressions: one costs
    a thousandth, rounded down, and what is left is carried to the flight's next.
    """
    is_cpm = reservation.bid_kind == BidKind.CPM
    values = {
        "tenant": current_tenant_id(),
        "flight": reservation.flight_id,
        "reserved": reservation.reserved_micros,
        "price": reservation.price_micros * (1 if is_cpm else 1000),
        "day": reservation.day,
        "today": _today(),
    }
    billed = _run(BILL_HELD if is_cpm else BILL_EXPECTED, values)
    if not billed:
        return None
    ((amount, day),) = billed
    row = (reservation.delivery_id, reservation.flight_id, reservation.bid_kind, reservation.price_micros, amount)
    with connection.cursor() as cursor:
        cursor.execute(ENTER, [current_tenant_id(), *row, day, at])
    return int(amount)


def give_back(reservations: Iterable[Reservation]) -> None:
    """Return what was reserved for nothing; rows are locked in order of flight."""
    by_day: dict[date, dict[UUID, int]] = defaultdict(lambda: defaultdict(int))
    for each in reservations:
        by_day[each.day][each.flight_id] += each.reserved_micros
    if not by_day:
        return
    _run(LOCK, [current_tenant_id(), sorted({flight for amounts in by_day.values() for flight in amounts})])
    for day, amounts in by_day.items():
        values: dict[str, Any] = {
            "tenant": current_tenant_id(),
            "flights": list(amounts),
            "amounts": list(amounts.values()),
            "day": day,
        }
        with connection.cursor() as cursor:
            cursor.execute(GIVE_BACK, values)


def _today() -> date:
    return timezone.now().astimezone(current_settings().zone).date()


def _run(statement: str, values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall()
