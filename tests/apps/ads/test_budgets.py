"""Money: never a micro-unit above a budget, whatever happens in whatever order."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.ads.budgets.models import FlightBudget, LedgerEntry
from apps.ads.budgets.selectors import flight_accounts
from apps.ads.budgets.services import Reservation, bill, give_back, reservation_of, reserve
from apps.ads.campaigns.models import Flight
from apps.ads.campaigns.services import change, create
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.ads.world import flight_values, make_campaign
from tests.conftest import make_tenant

TODAY, TOMORROW = date(2030, 5, 1), date(2030, 5, 2)


def make_flight(**values: Any) -> Flight:
    return create(Flight, actor="test", campaign_id=make_campaign().id, **flight_values(**values))


def hold(flight: Flight, price: int, day: date = TODAY, kind: str = "cpm") -> Reservation | None:
    amount = reservation_of(kind, price)
    days = reserve({flight.id: amount}, day=day)
    return Reservation(uuid4(), flight.id, kind, price, amount, days[flight.id]) if days else None


def test_a_thousand_impressions_cost_the_bid_to_the_micro_unit(scope: Tenant) -> None:
    flight = make_flight(bid_micros=1_234_567, budget_micros=2_000_000)
    amounts = []
    for _ in range(1000):
        held = hold(flight, 1_234_567)
        assert held is not None
        amounts.append(bill(held, at=timezone.now()))

    assert set(amounts) == {1234, 1235}  # each rounded down, the rest carried
    budget = FlightBudget.objects.get(flight_id=flight.id)
    assert (budget.spent_micros, budget.carry, budget.reserved_micros) == (1_234_567, 0, 0)
    assert sum(LedgerEntry.objects.values_list("amount_micros", flat=True)) == 1_234_567


def test_the_day_has_a_budget_of_its_own_and_a_new_day_a_new_one(scope: Tenant) -> None:
    flight = make_flight(bid_kind="cpc", bid_micros=10, budget_micros=100, daily_budget_micros=25)

    assert hold(flight, 10, kind="cpc")
    assert hold(flight, 10, kind="cpc")
    assert hold(flight, 10, kind="cpc") is None
    assert hold(flight, 10, TOMORROW, kind="cpc")


def test_a_process_whose_clock_is_behind_spends_the_newest_day(scope: Tenant) -> None:
    flight = make_flight(bid_kind="cpc", bid_micros=10, budget_micros=100, daily_budget_micros=20)
    assert hold(flight, 10, TOMORROW, kind="cpc")

    late = hold(flight, 10, TODAY, kind="cpc")

    assert late is not None
    assert late.day == TOMORROW
    assert hold(flight, 10, TODAY, kind="cpc") is None


def test_a_budget_cannot_fall_below_what_is_promised(scope: Tenant) -> None:
    flight = make_flight(bid_kind="cpc", bid_micros=10, budget_micros=100)
    for _ in range(3):
        assert hold(flight, 10, kind="cpc")

    with pytest.raises(ValidationError) as refused, transaction.atomic():
        change(Flight, object_id=flight.id, actor="test", changes={"budget_micros": 29})
    assert refused.value.message_dict.keys() == {"budget_micros"}

    change(Flight, object_id=flight.id, actor="test", changes={"budget_micros": 30})
    assert hold(flight, 10, kind="cpc") is None


def test_the_limit_that_is_too_low_is_the_one_that_is_named(scope: Tenant) -> None:
    today = timezone.now().date()
    flight = make_flight(bid_kind="cpc", bid_micros=10, budget_micros=100, daily_budget_micros=50)
    for _ in range(3):
        assert hold(flight, 10, today, kind="cpc")

    with pytest.raises(ValidationError, match="below the 30 micro-units") as refused, transaction.atomic():
        change(Flight, object_id=flight.id, actor="test", changes={"daily_budget_micros": 29})
    assert refused.value.message_dict.keys() == {"daily_budget_micros"}


def test_what_yesterday_spent_does_not_bind_the_limit_of_today(scope: Tenant) -> None:
    yesterday = timezone.now().date() - timedelta(days=1)
    flight = make_flight(bid_kind="cpc", bid_micros=10, budget_micros=100, daily_budget_micros=50)
    seen, unseen = (hold(flight, 10, yesterday, kind="cpc") for _ in range(2))
    assert seen
    assert unseen

    change(Flight, object_id=flight.id, actor="test", changes={"daily_budget_micros": 10})
    bill(seen, at=timezone.now())
    give_back([unseen])

    budget = FlightBudget.objects.get(flight_id=flight.id)
    assert (budget.spent_micros, budget.reserved_micros) == (10, 0)
    assert (budget.day_spent_micros, budget.day_reserved_micros) == (0, 0)
    assert hold(flight, 10, timezone.now().date(), kind="cpc")
    assert hold(flight, 10, timezone.now().date(), kind="cpc") is None


def test_the_database_itself_refuses_an_overspent_row_and_a_second_bill(scope: Tenant) -> None:
    flight = make_flight(bid_kind="cpc", bid_micros=10, budget_micros=100)
    with pytest.raises(IntegrityError), transaction.atomic():
        FlightBudget.objects.filter(flight_id=flight.id).update(spent_micros=101)
    held = hold(flight, 10, kind="cpc")
    assert held is not None
    bill(held, at=timezone.now())
    with pytest.raises(IntegrityError), transaction.atomic():
        bill(held, at=timezone.now())


def test_the_ledger_cannot_be_changed(scope: Tenant) -> None:
    for statement in ("UPDATE ads_ledgerentry SET amount_micros = 0", "DELETE FROM ads_ledgerentry"):
        with pytest.raises(Exception, match="permission denied"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


class Model:
    """The same rules in plain Python."""

    def __init__(self, budget: int, daily: int | None) -> None:
        self.budget, self.daily = budget, daily
        self.reserved = self.spent = self.carry = 0
        self.day = date(2000, 1, 1)
        self.days: dict[date, int] = {}
        self.open: list[Reservation] = []

    def reserve(self, amount: int, day: date) -> date | None:
        day = max(day, self.day)
        too_much = self.daily is not None and self.days.get(day, 0) + amount > self.daily
        if self.spent + self.reserved + amount > self.budget or too_much:
            return None
        self.day = day
        self.reserved += amount
        self.days[day] = self.days.get(day, 0) + amount
        return day

    def bill(self, held: Reservation) -> int:
        thousandths = held.price_micros * (1 if held.bid_kind == "cpm" else 1000)
        amount, self.carry = divmod(self.carry + thousandths, 1000)
        self.reserved -= held.reserved_micros
        self.spent += amount
        self.days[held.day] += amount - held.reserved_micros
        return amount

    def give_back(self, held: Reservation) -> None:
        self.reserved -= held.reserved_micros
        self.days[held.day] -= held.reserved_micros


STEP = st.tuples(
    st.sampled_from(["reserve", "reserve", "bill", "give_back", "next_day", "late"]),
    st.integers(0, 4000),
    st.sampled_from(["cpm", "cpc"]),
)


@given(
    budget=st.integers(100, 9000),
    daily=st.one_of(st.none(), st.integers(1, 100)),
    steps=st.lists(STEP, max_size=60),
)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_any_sequence_of_steps_agrees_with_plain_arithmetic(
    budget: int, daily: int | None, steps: list[tuple[str, int, str]]
) -> None:
    model, today = Model(budget, daily), TODAY
    with tenant_scope(shared_tenant().id):
        flight = make_flight(bid_kind="cpm", bid_micros=1, budget_micros=budget, daily_budget_micros=daily)
        for step, number, kind in steps:
            if step == "next_day":
                today += timedelta(days=1)
            elif step in ("reserve", "late"):
                day = today - timedelta(days=1) if step == "late" else today
                held = hold(flight, number, day, kind)
                expected = model.reserve(reservation_of(kind, number), day)
                assert (held.day if held else None) == expected
                model.open += [held] if held else []
            elif model.open:
                held = model.open.pop(number % len(model.open))
                if step == "bill":
                    assert bill(held, at=timezone.now()) == model.bill(held)
                else:
                    give_back([held])
                    model.give_back(held)
            assert_same(flight.id, model)


_shared: list[Tenant] = []


def shared_tenant() -> Tenant:
    if not _shared:
        _shared.append(make_tenant())
    return _shared[0]


def assert_same(flight_id: UUID, model: Model) -> None:
    row = FlightBudget.objects.get(flight_id=flight_id)
    assert (row.spent_micros, row.reserved_micros, row.carry) == (model.spent, model.reserved, model.carry)
    assert row.day_spent_micros + row.day_reserved_micros == model.days.get(row.day, 0)
    assert row.spent_micros + row.reserved_micros <= row.budget_micros


def test_the_check_tells_an_account_that_does_not_agree(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        flight = make_flight(bid_kind="cpc", bid_micros=10, budget_micros=100)
    call_command("check_ad_budgets", tenant.slug)
    with tenant_scope(tenant.id):
        FlightBudget.objects.filter(flight_id=flight.id).update(spent_micros=7)
        (account,) = flight_accounts()
    assert "the ledger's sum is not what the counter says was spent" in account.problems
    with pytest.raises(CommandError, match="1 of 1 flights do not agree"):
        call_command("check_ad_budgets", tenant.slug)
