"""Money: never a micro-unit above a budget, whatever happens in whatever order."""

import math
from collections import defaultdict
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

from apps.ads.auctions.asking import Ask
from apps.ads.auctions.services import decide
from apps.ads.auctions.snapshot import forget_snapshots
from apps.ads.budgets.models import FlightBudget, LedgerEntry
from apps.ads.budgets.selectors import flight_accounts
from apps.ads.budgets.services import Reservation, bill, give_back, promise_of, reserve
from apps.ads.campaigns.models import Flight
from apps.ads.campaigns.services import change, create
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.ads.world import BROWSER, flight_values, make_campaign, make_live_flight, make_placement
from tests.conftest import make_tenant

TODAY, TOMORROW = date(2030, 5, 1), date(2030, 5, 2)


def make_flight(**values: Any) -> Flight:
    return create(Flight, actor="test", campaign_id=make_campaign().id, **flight_values(**values))


def hold(flight: Flight, price: int, day: date = TODAY, kind: str = "cpm", rate: float = 1.0) -> Reservation | None:
    promise = promise_of(kind, price, rate)
    days = reserve({flight.id: promise}, day=day)
    return Reservation(uuid4(), flight.id, kind, price, promise.reserved_micros, days[flight.id]) if days else None


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


def test_what_a_flight_pays_for_is_fixed_once_it_was_shown(scope: Tenant) -> None:
    make_placement()
    flight = make_live_flight(bid_kind="cpc", goal_kind="clicks", goal=100, pacing="pid")
    change(Flight, object_id=flight.id, actor="test", changes={"bid_kind": "cpm"})
    forget_snapshots()
    decide(Ask(("top",), user_agent=BROWSER))

    with pytest.raises(ValidationError, match="make another flight") as refused, transaction.atomic():
        change(Flight, object_id=flight.id, actor="test", changes={"bid_kind": "cpc", "bid_micros": 5})
    assert refused.value.message_dict.keys() == {"bid_kind"}
    change(Flight, object_id=flight.id, actor="test", changes={"bid_micros": 5})


def test_what_yesterday_spent_does_not_bind_the_limit_of_today(scope: Tenant) -> None:
    yesterday = timezone.now().date() - timedelta(days=1)
    flight = make_flight(bid_micros=10_000, budget_micros=100, daily_budget_micros=50)
    seen, unseen = (hold(flight, 10_000, yesterday) for _ in range(2))
    assert seen
    assert unseen

    change(Flight, object_id=flight.id, actor="test", changes={"daily_budget_micros": 10})
    bill(seen, at=timezone.now())
    give_back([unseen])

    budget = FlightBudget.objects.get(flight_id=flight.id)
    assert (budget.spent_micros, budget.reserved_micros) == (10, 0)
    assert (budget.day_spent_micros, budget.day_reserved_micros) == (0, 0)
    assert hold(flight, 10_000, timezone.now().date())
    assert hold(flight, 10_000, timezone.now().date()) is None


def test_an_open_ad_holds_what_it_is_expected_to_cost_and_at_least_a_micro_unit() -> None:
    assert promise_of("cpc", 450_000, 0.005) == (2250, 450_000)
    assert promise_of("cpc", 450_001, 0.005) == (2251, 450_001)
    assert promise_of("cpa", 40, 0.0001) == (1, 40)
    assert promise_of("cpc", 0, 0.005) == (0, 0)
    assert promise_of("cpm", 1_234_567, 0.001) == (1235, 1235)


def test_many_open_ads_share_the_money_that_few_of_them_will_ask_for(scope: Tenant) -> None:
    flight = make_flight(bid_kind="cpc", bid_micros=1000, budget_micros=2000)
    # Two clicks' money, of which each ad holds a hundredth of a click.
    held = [hold(flight, 1000, kind="cpc", rate=0.01) for _ in range(201)]
    assert held[200] is None
    clicked = [each for each in held[:4] if each]

    assert [bill(each, at=timezone.now()) for each in clicked] == [1000, 1000, None, None]

    budget = FlightBudget.objects.get(flight_id=flight.id)
    assert (budget.spent_micros, budget.billed_events, budget.reserved_micros) == (2000, 2, 1980)
    # More is promised than is left, and nothing new is until that has come back.
    assert hold(flight, 1, kind="cpc", rate=0.01) is None
    change(Flight, object_id=flight.id, actor="test", changes={"name": "Still to be changed"})


def test_no_ad_is_placed_whose_click_could_not_be_paid(scope: Tenant) -> None:
    flight = make_flight(bid_kind="cpc", bid_micros=1000, budget_micros=1999, daily_budget_micros=1500)
    first = hold(flight, 1000, kind="cpc", rate=0.01)
    assert first is not None
    assert bill(first, at=timezone.now()) == 1000
    assert hold(flight, 1000, kind="cpc", rate=0.01) is None
    assert hold(flight, 500, kind="cpc", rate=0.01)
    assert hold(flight, 1000, TOMORROW, kind="cpc", rate=0.01) is None, "of the whole 999 are left"
    assert hold(flight, 999, TOMORROW, kind="cpc", rate=0.01)


def test_a_click_costs_the_day_on_which_it_comes(scope: Tenant) -> None:
    today = timezone.now().date()
    flight = make_flight(bid_kind="cpc", bid_micros=10, budget_micros=100, daily_budget_micros=10)
    late, later = (hold(flight, 10, today - timedelta(days=1), kind="cpc", rate=0.1) for _ in range(2))
    assert late
    assert later

    assert bill(late, at=timezone.now()) == 10
    assert bill(later, at=timezone.now()) is None

    assert LedgerEntry.objects.get().day == today
    budget = FlightBudget.objects.get(flight_id=flight.id)
    assert (budget.day, budget.day_spent_micros, budget.day_reserved_micros) == (today, 10, 0)
    give_back([later])
    budget.refresh_from_db()
    assert (budget.reserved_micros, budget.day_reserved_micros) == (0, 0)


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
        self.days_spent: dict[date, int] = defaultdict(int)
        self.days_reserved: dict[date, int] = defaultdict(int)
        self.open: list[Reservation] = []

    def reserve(self, amount: int, cost: int, day: date) -> date | None:
        day = max(day, self.day)
        left = self.budget - self.spent
        left_today = math.inf if self.daily is None else self.daily - self.days_spent[day]
        if max(self.reserved + amount, cost) > left or max(self.days_reserved[day] + amount, cost) > left_today:
            return None
        self.day = day
        self.reserved += amount
        self.days_reserved[day] += amount
        return day

    def bill(self, held: Reservation) -> int | None:
        is_cpm = held.bid_kind == "cpm"
        amount, carry = divmod(self.carry + held.price_micros * (1 if is_cpm else 1000), 1000)
        day = held.day if is_cpm else self.day
        is_dear = self.daily is not None and day == self.day and self.days_spent[day] + amount > self.daily
        if self.spent + amount > self.budget or is_dear:
            return None
        self.carry = carry
        self.spent += amount
        self.days_spent[day] += amount
        self.give_back(held)
        return amount

    def give_back(self, held: Reservation) -> None:
        self.reserved -= held.reserved_micros
        self.days_reserved[held.day] -= held.reserved_micros


STEP = st.tuples(
    st.sampled_from(["reserve", "reserve", "bill", "give_back", "next_day", "late"]),
    st.integers(0, 4000),
    st.sampled_from([1.0, 0.1, 0.001]),
)


@given(
    kind=st.sampled_from(["cpm", "cpc"]),
    budget=st.integers(100, 9000),
    daily=st.one_of(st.none(), st.integers(1, 100)),
    steps=st.lists(STEP, max_size=60),
)
@settings(max_examples=40, suppress_health_check=list(HealthCheck), derandomize=True)
def test_any_sequence_of_steps_agrees_with_plain_arithmetic(
    kind: str, budget: int, daily: int | None, steps: list[tuple[str, int, float]]
) -> None:
    model, today = Model(budget, daily), TODAY
    with tenant_scope(shared_tenant().id):
        flight = make_flight(bid_kind="cpm", bid_micros=1, budget_micros=budget, daily_budget_micros=daily)
        for step, number, rate in steps:
            if step == "next_day":
                today += timedelta(days=1)
            elif step in ("reserve", "late"):
                day = today - timedelta(days=1) if step == "late" else today
                # A price that the day could pay, now and then.
                price = number if kind == "cpm" else number // 40
                held = hold(flight, price, day, kind, rate)
                expected = model.reserve(*promise_of(kind, price, rate), day)
                assert (held.day if held else None) == expected
                model.open += [held] if held else []
            elif model.open:
                held = model.open.pop(number % len(model.open))
                if step == "bill" and (amount := bill(held, at=timezone.now())) is not None:
                    assert model.bill(held) == amount
                else:
                    assert step == "give_back" or (kind == "cpc" and model.bill(held) is None)
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
    assert (row.day_spent_micros, row.day_reserved_micros) == (
        model.days_spent[row.day],
        model.days_reserved[row.day],
    )
    assert row.spent_micros <= row.budget_micros
    assert model.daily is None or max(model.days_spent.values()) <= model.daily


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
