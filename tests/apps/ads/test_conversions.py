"""What is bought after an ad: credited, billed, learnt from."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils import timezone

from apps.ads.auctions.asking import Ask
from apps.ads.auctions.services import decide
from apps.ads.auctions.snapshot import read_snapshot
from apps.ads.budgets.models import LedgerEntry
from apps.ads.budgets.selectors import flight_accounts
from apps.ads.campaigns.models import Creative, Flight
from apps.ads.campaigns.services import archive
from apps.ads.tracking.conversions import TYPES, bill_conversions, settle_conversions
from apps.ads.tracking.counting import count_creatives
from apps.ads.tracking.models import AttributedConversion, CreativeCount, Delivery, FilteredEvent
from apps.ads.tracking.services import return_expired
from behavior.models import Event
from behavior.services import store_events
from behavior.subjects import read_subject
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.ads.world import (
    BROWSER,
    UNIT,
    budget,
    click,
    decide_one,
    later,
    make_campaign,
    make_live_flight,
    make_placement,
    place,
    place_for,
    see,
)


# Conversions ---------------------------------------------------------------------------------------------------------
def buy(user: str = "u1", value: float = 80.0, **event: Any) -> None:
    stored = store_events(
        events=[
            {
                "message_id": str(uuid4()),
                "type": "purchase",
                "item_id": "tent",
                "value": value,
                "subject": {"user_id": user},
            }
            | event
        ],
        source="api",
    )
    assert stored.counts["ok"] == 1, stored


def settle(tenant: Tenant) -> None:
    """In scopes of their own: the log must have been committed."""
    for take_slice in (settle_conversions, bill_conversions):
        with tenant_scope(tenant.id):
            take_slice()


def test_a_purchase_after_a_click_is_the_ads_and_billed_once(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        delivery = place_for("cpa")
        see(delivery)
        later(seconds=5)
        click(delivery)
    with tenant_scope(tenant.id):
        buy(value=80.0)
        buy(value=20.0)
        buy("somebody else")
    settle(tenant)
    settle(tenant)
    with tenant_scope(tenant.id):
        found = Delivery.objects.get()
        assert (found.conversions, found.revenue_micros, found.status) == (2, 100 * UNIT, "billed")
        assert LedgerEntry.objects.get().amount_micros == UNIT
        assert set(AttributedConversion.objects.values_list("touch", flat=True)) == {"click"}
        assert [account.problems for account in flight_accounts()] == [[]]


def test_a_conversion_that_the_budget_cannot_pay_counts_and_is_not_billed(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        make_placement(auction="first_price")
        make_live_flight(bid_kind="cpa", bid_micros=UNIT, budget_micros=UNIT)
        placed = [place(f"u{number}") for number in range(2)]
        for delivery in placed:
            see(delivery)
        later(seconds=5)
        for delivery in placed:
            click(delivery)
    with tenant_scope(tenant.id):
        buy("u0")
        buy("u1")
    settle(tenant)
    with tenant_scope(tenant.id):
        assert AttributedConversion.objects.count() == 2
        assert sorted(Delivery.objects.values_list("status", flat=True)) == ["billed", "returned"]
        unpaid = FilteredEvent.objects.get()
        assert (unpaid.kind, unpaid.reason) == ("conversion", "unpaid")
        assert bill_conversions() == 0
        assert (budget().spent_micros, budget().reserved_micros) == (UNIT, 0)
        assert [account.problems for account in flight_accounts()] == [[]]


def test_a_credited_conversion_is_billed_even_where_a_process_died_before_it_was(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        delivery = place_for("cpa")
        see(delivery)
        later(seconds=5)
        click(delivery)
    with tenant_scope(tenant.id):
        buy()
    with tenant_scope(tenant.id):
        settle_conversions()
    with tenant_scope(tenant.id):
        later(days=10)
        assert return_expired() == 0
        assert bill_conversions() == 1
        assert bill_conversions() == 0
        assert (budget().spent_micros, budget().reserved_micros) == (UNIT, 0)
        assert [account.problems for account in flight_accounts()] == [[]]


@pytest.mark.parametrize(
    ("values", "clicked", "hours", "touch"),
    [
        ({"post_click_days": 2}, True, 47, "click"),
        ({"post_click_days": 2}, True, 49, None),
        ({"post_view_hours": 24}, False, 23, "view"),
        ({"post_view_hours": 24}, False, 25, None),
        ({}, False, 1, None),
    ],
)
def test_a_purchase_counts_within_the_windows(
    values: dict[str, int], clicked: bool, hours: int, touch: str | None, tenant: Tenant
) -> None:
    with tenant_scope(tenant.id):
        delivery = place_for("cpm", **values)
        see(delivery)
        later(seconds=5)
        if clicked:
            click(delivery)
        later(hours=hours)
    with tenant_scope(tenant.id):
        buy()
    settle(tenant)
    with tenant_scope(tenant.id):
        assert list(AttributedConversion.objects.values_list("touch", flat=True)) == ([touch] if touch else [])


def test_the_decision_that_a_purchase_names_comes_before_the_newest(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        first = place_for("cpm")
        second = place()
        for delivery in (first, second):
            see(delivery)
        later(seconds=5)
        click(first)
        click(second)
    with tenant_scope(tenant.id):
        buy(decision_id=str(first))
        buy()
    settle(tenant)
    with tenant_scope(tenant.id):
        credited = list(AttributedConversion.objects.order_by("event_id").values_list("delivery_id", flat=True))
    assert sorted(credited) == sorted([first, second])


def test_a_purchase_without_consent_counts_for_the_decision_that_it_names_alone(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        first = place_for("cpa")
        second = place()
        for delivery in (first, second):
            see(delivery)
        later(seconds=5)
        click(first)
        click(second)
    with tenant_scope(tenant.id):
        buy(consent={"personalisation": False})
    settle(tenant)
    with tenant_scope(tenant.id):
        assert not AttributedConversion.objects.exists()
        buy(consent={"personalisation": False}, decision_id=str(first))
    settle(tenant)
    with tenant_scope(tenant.id):
        assert AttributedConversion.objects.get().delivery_id == first
        assert LedgerEntry.objects.get().delivery_id == first


def test_on_a_shared_device_a_purchase_counts_for_the_ad_that_its_own_reader_saw(tenant: Tenant) -> None:
    def place_on_tablet() -> UUID:
        placed = decide_one(
            Ask(("top",), read_subject({"anonymous_id": "tablet"}), user_agent=BROWSER, has_consent=True)
        )
        see(placed.decision_id)
        return placed.decision_id

    with tenant_scope(tenant.id):
        make_placement(auction="first_price")
        make_live_flight(post_view_hours=24)
        before = {}
        for user in ("ada", "bob"):
            before[user] = place_on_tablet()
            buy(type="view", subject={"user_id": user, "anonymous_id": "tablet"})
    with tenant_scope(tenant.id):
        for user in before:
            buy(type="order", subject={"user_id": user})
    settle(tenant)
    with tenant_scope(tenant.id):
        credited = AttributedConversion.objects.order_by("occurred_at").values_list("delivery_id", flat=True)
        assert list(credited) == list(before.values())


def test_flights_that_ended_long_ago_ask_for_no_events(scope: Tenant) -> None:
    def asked_for(days: int) -> list[str]:
        with connection.cursor() as cursor:
            cursor.execute(TYPES, {"tenant": scope.id, "since": timezone.now() + timedelta(days=days)})
            return [each for (each,) in cursor.fetchall()]

    make_live_flight(conversion_event="sign_up", ends_at=timezone.now() + timedelta(days=10))
    assert asked_for(days=70) == ["sign_up"]
    assert asked_for(days=72) == []
    archive(Flight, object_id=Flight.objects.get().id, actor="test")
    assert asked_for(days=60) == ["sign_up"]
    assert asked_for(days=62) == []


def test_an_event_that_is_received_a_month_late_is_credited(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        delivery = place_for("cpm", conversion_event="sign_up", post_click_days=30)
        see(delivery)
        later(seconds=5)
        click(delivery)
        later(days=40)
        Flight.objects.update(ends_at=timezone.now() - timedelta(days=39))
    with tenant_scope(tenant.id):
        buy(type="view")
    settle(tenant)
    with tenant_scope(tenant.id):
        buy(type="sign_up", created_at=(timezone.now() - timedelta(days=29)).isoformat())
    settle(tenant)
    with tenant_scope(tenant.id):
        assert AttributedConversion.objects.get().delivery_id == delivery


def test_an_ad_that_converts_without_clicks_is_worth_what_its_impressions_bring(scope: Tenant) -> None:
    placement = make_placement(auction="first_price")
    campaign = make_campaign()
    flights = [make_live_flight(campaign, bid_kind="cpa", post_view_hours=hours) for hours in (0, 24)]
    # Of 10,000 impressions 40 were clicked and 100 bought, most of them without a click.
    for creative in Creative.objects.all():
        CreativeCount.objects.create(
            creative_id=creative.id, placement_id=placement.id, impressions=10_000, clicks=40, conversions=100
        )
    snapshot = read_snapshot()
    rates = dict(zip([ad.flight_id for ad in snapshot.ads], snapshot.worth_at(placement).rates, strict=True))
    by_click, by_view = (float(rates[flight.id]) for flight in flights)
    assert by_view == pytest.approx(0.01, rel=0.1)
    assert by_click < 0.5 * by_view


def test_a_flight_says_which_event_is_its_conversion(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        delivery = place_for("cpa", conversion_event="sign_up")
        see(delivery)
        later(seconds=5)
        click(delivery)
    with tenant_scope(tenant.id):
        buy()
        buy(type="sign_up")
        buy(type="log_in")
    settle(tenant)
    with tenant_scope(tenant.id):
        (conversion,) = AttributedConversion.objects.all()
        assert Event.objects.get(event_id=conversion.event_id).type == "sign_up"
        assert LedgerEntry.objects.get().amount_micros == UNIT


def test_an_event_goes_past_ads_that_ask_for_another(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        bought = place_for("cpm")
        campaign = Flight.objects.get().campaign
        make_live_flight(campaign, bid_micros=9 * UNIT, conversion_event="sign_up")
        signed_up = place()
        for delivery in (bought, signed_up):
            see(delivery)
        later(seconds=5)
        click(bought)
        click(signed_up)
    with tenant_scope(tenant.id):
        buy(type="order")
    settle(tenant)
    with tenant_scope(tenant.id):
        assert AttributedConversion.objects.get().delivery_id == bought


def test_what_ads_write_themselves_is_no_conversion(scope: Tenant) -> None:
    for event, problem in (("ad_click", "what ads write"), ("Sign up", "event type")):
        with pytest.raises(ValidationError, match=problem) as refused, transaction.atomic():
            make_live_flight(conversion_event=event)
        assert refused.value.message_dict.keys() == {"conversion_event"}


def test_revenue_is_added_up_in_one_currency(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        delivery = place_for("cpm")
        see(delivery)
        later(seconds=5)
        click(delivery)
    with tenant_scope(tenant.id):
        buy(value=80.0, currency="EUR")
        buy(value=5.0)
        buy(value=9000.0, currency="JPY")
    settle(tenant)
    with tenant_scope(tenant.id):
        found = Delivery.objects.get()
        assert (found.conversions, found.revenue_micros) == (3, 85 * UNIT)
        assert AttributedConversion.objects.filter(value_micros=0).count() == 1


def test_rates_are_learnt_from_two_weeks_and_what_was_seen_before_is_forgotten(scope: Tenant) -> None:
    make_placement(auction="first_price")
    make_live_flight()
    (placed,) = decide(Ask(("top",), read_subject({"user_id": "u1"}), user_agent=BROWSER, has_consent=True))
    see(placed.decision_id)
    count_creatives()
    assert [each.impressions for each in CreativeCount.objects.all()] == [1]
    count_creatives(timezone.now() + timedelta(days=15))
    assert not CreativeCount.objects.exists()
