"""Flights that cannot pay: they keep nobody out, and set no price."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.ads.auctions.services import MOST_ROUNDS
from apps.ads.auctions.snapshot import current_snapshot, forget_snapshots
from apps.ads.budgets.models import FlightBudget
from apps.ads.campaigns.models import Flight
from apps.ads.settings import current_settings
from apps.ads.tracking.services import return_expired
from decisions.selectors import get_decision
from tenancy.models import Tenant
from tests.apps.ads.world import UNIT, decide_one, flight_of, make_campaign, make_live_flight, make_placement


def spend(flight: Flight, **spent: int) -> None:
    today = timezone.now().astimezone(current_settings().zone).date()
    FlightBudget.objects.filter(flight_id=flight.id).update(day=today, **spent)
    forget_snapshots()


@pytest.mark.parametrize("spent", [{"spent_micros": 100 * UNIT}, {"day_spent_micros": 10 * UNIT}])
def test_flights_without_money_keep_nobody_out_however_many(spent: dict[str, int], scope: Tenant) -> None:
    make_placement()
    campaign = make_campaign()
    for _ in range(MOST_ROUNDS + 2):
        spend(make_live_flight(campaign, bid_micros=9 * UNIT, daily_budget_micros=10 * UNIT), **spent)
    able = make_live_flight(campaign, bid_micros=UNIT)

    placed = decide_one()

    assert flight_of(placed) == able.id
    assert get_decision(placed.decision_id).request["losses"] == {"budget": MOST_ROUNDS + 2}


def test_who_cannot_pay_sets_no_price(scope: Tenant) -> None:
    make_placement(auction="second_price")
    campaign = make_campaign()
    make_live_flight(campaign, bid_micros=10 * UNIT)
    spend(make_live_flight(campaign, bid_micros=9 * UNIT), spent_micros=100 * UNIT - 8_999)  # an impression costs 9,000
    make_live_flight(campaign, bid_micros=2 * UNIT)

    placed = decide_one()

    assert placed.lead is not None
    assert placed.lead.price_micros == 2 * UNIT


def test_a_new_day_brings_daily_budgets_back_at_once(scope: Tenant) -> None:
    make_placement()
    flight = make_live_flight(daily_budget_micros=10 * UNIT)
    spend(flight, day_spent_micros=10 * UNIT)
    assert decide_one().lead is None
    midnight = current_snapshot().boundary.astimezone(current_settings().zone)
    assert (midnight.hour, midnight.minute) == (0, 0)

    current_snapshot().boundary = timezone.now()
    FlightBudget.objects.update(day=timezone.now().date() - timedelta(days=2))

    assert flight_of(decide_one()) == flight.id


def test_a_flight_that_was_refused_rests_until_budgets_are_read_again(scope: Tenant) -> None:
    make_placement(auction="first_price")
    flight = make_live_flight(bid_micros=9 * UNIT, budget_micros=9 * UNIT // 1000)
    decide_one()
    for _ in range(2):
        refused = decide_one().no_fill
        assert refused is not None
        assert refused.lost == {"budget": 1}

    return_expired(timezone.now() + timedelta(hours=1))
    forget_snapshots()

    assert flight_of(decide_one()) == flight.id
