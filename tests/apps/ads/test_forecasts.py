"""A forecast: the last week's requests played again with a flight that is not live yet."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone
from prometheus_client import REGISTRY

from apps.ads.auctions.asking import Ask
from apps.ads.auctions.services import decide
from apps.ads.budgets.models import FlightBudget
from apps.ads.campaigns.models import Creative, Flight
from apps.ads.campaigns.services import create
from apps.ads.experiments.models import Experiment
from apps.ads.forecasts import selectors
from apps.ads.forecasts.offers import Offer, offers_of
from apps.ads.forecasts.replay import Forecast, flight_of, forecast, outlook_of
from apps.ads.forecasts.selectors import Asked
from apps.ads.models import CreativeCount, Delivery
from apps.ads.settings import current_settings
from behavior.subjects import read_subject
from decisions.experiments import arm_of
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.secrets import subject_key
from tests.apps.ads.world import (
    BROWSER,
    UNIT,
    flight_values,
    make_campaign,
    make_creative,
    make_live_flight,
    make_placement,
    see,
)
from tests.conftest import ApiClient
from tests.queries import CapturedQueries

REQUESTS = 40


def draft(**values: Any) -> Flight:
    now = timezone.now()
    week = {"starts_at": now, "ends_at": now + timedelta(days=7)}
    flight = create(Flight, actor="test", campaign_id=make_campaign().id, **flight_values(**week, **values))
    make_creative(flight)
    return flight


def ask(number: int, **values: Any) -> Any:
    """One request of a reader, every second one in Germany."""
    context = {"country": ("DE", "FR")[number % 2]}
    subject = read_subject({"user_id": f"u{number % 5}"})
    return decide(Ask(("top",), subject, context, user_agent=BROWSER, has_consent=True, **values))


def at_its_bid(found: Forecast) -> Any:
    return found.outlooks[2]


@pytest.fixture
def week(scope: Tenant) -> Tenant:
    """Forty requests that somebody else's flight won at 2 a thousand."""
    make_placement(auction="second_price")
    make_live_flight(bid_micros=2 * UNIT)
    for number in range(REQUESTS):
        ask(number)
    return scope


def test_a_higher_bid_wins_every_auction_at_the_price_of_the_one_that_won_then(week: Tenant) -> None:
    found = forecast(flight_of(draft(bid_micros=3 * UNIT).id))
    assert (found.requests, found.matching) == (REQUESTS, REQUESTS)
    outlook = at_its_bid(found)
    assert (outlook.won_share, round(outlook.impressions)) == (1.0, REQUESTS)
    assert outlook.spend_micros == pytest.approx(REQUESTS * 2000)


def test_a_lower_bid_wins_nothing_and_the_bids_beside_it_say_what_would(week: Tenant) -> None:
    found = forecast(flight_of(draft(bid_micros=int(1.5 * UNIT)).id))
    assert [round(each.impressions) for each in found.outlooks] == [0, 0, 0, REQUESTS, REQUESTS]


def test_targeting_caps_and_budgets_cut_what_is_won(week: Tenant) -> None:
    german = forecast(flight_of(draft(bid_micros=3 * UNIT, targeting={"include": {"countries": ["DE"]}}).id))
    assert (german.matching, german.lost) == (REQUESTS // 2, {"targeting.countries": REQUESTS // 2})
    # Five readers, three ads each.
    capped = at_its_bid(forecast(flight_of(draft(bid_micros=3 * UNIT, cap_impressions=3, cap_hours=720).id)))
    assert (round(capped.impressions), capped.limited_by) == (15, "cap")
    poor = at_its_bid(forecast(flight_of(draft(bid_micros=3 * UNIT, budget_micros=10_000).id)))
    assert (round(poor.spend_micros), round(poor.impressions), poor.limited_by) == (10_000, 5, "budget")
    daily = at_its_bid(forecast(flight_of(draft(bid_micros=3 * UNIT, daily_budget_micros=20_000).id)))
    assert (round(daily.spend_micros), daily.limited_by) == (20_000, "daily_budget")


def test_a_flight_that_won_all_the_week_is_not_its_own_competitor(scope: Tenant) -> None:
    make_placement(auction="second_price")
    make_live_flight(bid_micros=1 * UNIT)
    live = make_live_flight(bid_micros=3 * UNIT)
    for number in range(REQUESTS):
        ask(number)
    assert Delivery.objects.filter(flight_id=live.id).count() == REQUESTS
    found = forecast(flight_of(live.id))
    assert [round(each.won_share) for each in found.outlooks] == [1, 1, 1, 1, 1]
    week = (live.ends_at - timezone.now()) / timedelta(days=7)
    assert at_its_bid(found).spend_micros == pytest.approx(week * REQUESTS * 1000, rel=0.01)


def test_what_is_spent_already_is_not_spent_again(week: Tenant) -> None:
    flight = draft(bid_micros=3 * UNIT, budget_micros=20_000)
    FlightBudget.objects.filter(flight_id=flight.id).update(spent_micros=14_000, reserved_micros=2_000)
    outlook = at_its_bid(forecast(flight_of(flight.id)))
    assert (round(outlook.spend_micros), outlook.limited_by) == (4_000, "budget")
    # More may be promised than is left, and nobody foretells less than nothing.
    FlightBudget.objects.filter(flight_id=flight.id).update(reserved_micros=9_000)
    outlook = at_its_bid(forecast(flight_of(flight.id)))
    assert (outlook.impressions, outlook.spend_micros, outlook.limited_by) == (0.0, 0.0, "budget")


def test_a_bid_at_the_floor_wins_in_the_forecast_as_it_does_in_an_auction(scope: Tenant) -> None:
    placement = make_placement(auction="second_price", floor_micros=8_215_694)
    flight = draft(bid_micros=8_215_694)
    offer = Offer(bit=1, quality=1.0, click_rate=0.0, conversion_rate=0.0, rate=1e-3, seen=1.0)
    matching = [(Asked(uuid4(), "top", {}, True, None, timezone.now(), 0.0, 1.0), placement, offer)]
    found = outlook_of(flight, 8_215_694, matching, days=7, left=100 * UNIT, zone=ZoneInfo("UTC"))
    assert (found.impressions, found.spend_micros) == (1.0, pytest.approx(8_215.694))


def test_the_least_time_between_two_cuts_what_is_won(week: Tenant) -> None:
    # Five readers in one moment.
    outlook = at_its_bid(forecast(flight_of(draft(bid_micros=3 * UNIT, recency_seconds=30 * 86400).id)))
    assert (round(outlook.impressions), outlook.limited_by) == (5, "cap")


def test_daily_budgets_are_those_of_the_tenants_days(scope: Tenant) -> None:
    # One auction an hour before midnight in Tokyo and one an hour after it; in UTC that is one day.
    placement = make_placement(auction="second_price")
    flight = draft(bid_micros=3 * UNIT, daily_budget_micros=3_000)
    offer = Offer(bit=1, quality=1.0, click_rate=0.0, conversion_rate=0.0, rate=1e-3, seen=1.0)
    midnight = datetime(2026, 5, 20, 15, tzinfo=UTC)
    matching = [
        (Asked(uuid4(), "top", {}, True, None, midnight + timedelta(hours=hours), 2.0 * UNIT, 1.0), placement, offer)
        for hours in (-1, 1)
    ]

    def spend(zone: str) -> float:
        found = outlook_of(flight, 3 * UNIT, matching, days=7, left=100 * UNIT, zone=ZoneInfo(zone))
        return found.spend_micros

    assert spend("UTC") == pytest.approx(3_000)
    assert spend("Asia/Tokyo") == pytest.approx(4_000)


def test_ads_that_are_not_seen_cost_nothing_in_the_forecast_either(week: Tenant) -> None:
    placed = list(Delivery.objects.order_by("delivery_id").values_list("delivery_id", flat=True))
    for each in placed[: REQUESTS // 4]:
        see(each)
    Delivery.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    outlook = at_its_bid(forecast(flight_of(draft(bid_micros=3 * UNIT).id)))
    assert round(outlook.impressions) == REQUESTS // 4


def test_what_was_forecast_for_a_flight_is_near_what_it_then_gets(scope: Tenant) -> None:
    make_placement(auction="second_price")
    make_live_flight(bid_micros=2 * UNIT, targeting={"include": {"countries": ["FR"]}})
    for number in range(REQUESTS):
        ask(number)
    values = {"bid_micros": 3 * UNIT, "targeting": {"include": {"countries": ["FR"]}}}
    foretold = at_its_bid(forecast(flight_of(draft(**values).id)))
    live = make_live_flight(**values)
    for number in range(REQUESTS):
        for each in ask(number):
            if each.lead:
                see(each.decision_id)
    got = Delivery.objects.filter(flight_id=live.id, impression_at__isnull=False)
    assert got.count() == round(foretold.impressions)
    assert sum(row.price_micros for row in got) / 1000 == pytest.approx(foretold.spend_micros)


def test_what_programs_ask_for_is_not_foretold(week: Tenant) -> None:
    for number in range(10):
        decide(Ask(("top",), read_subject({"user_id": f"u{number}"}), user_agent="Googlebot/2.1", has_consent=True))
    found = forecast(flight_of(draft(bid_micros=3 * UNIT).id))
    assert (found.requests, found.matching) == (REQUESTS, REQUESTS)


def test_of_a_pages_places_a_flight_gets_one_as_in_the_auction(scope: Tenant) -> None:
    for key in ("top", "side", "foot"):
        make_placement(key, auction="second_price")
    for number in range(10):
        decide(
            Ask(("top", "side", "foot"), read_subject({"user_id": f"u{number}"}), user_agent=BROWSER, has_consent=True)
        )
    found = forecast(flight_of(draft(bid_micros=3 * UNIT).id))
    outlook = at_its_bid(found)
    assert (found.matching, outlook.won_share, round(outlook.impressions)) == (30, 1.0, 10)


def test_rates_of_all_placements_are_read_and_asked_for_at_once(scope: Tenant) -> None:
    flight, keys = draft(bid_kind="cpc"), ("top", "side", "foot", "wide")
    make_creative(flight, width=728, height=90)
    banner, wide = Creative.objects.order_by("id")
    _, side, _ = (make_placement(key) for key in keys[:3])
    make_placement("wide", width=wide.width, height=wide.height)
    often = {"clicks": 60, "impressions": 500, "conversions": 0, "tenant_id": scope.id}
    CreativeCount.objects.create(creative_id=banner.id, placement_id=side.id, **often)

    def cost(asked: tuple[str, ...]) -> tuple[int, float, Any]:
        before = questions()
        with CapturedQueries() as queries:
            offers = offers_of(flight_of(flight.id), [banner, wide], asked, current_settings(), timezone.now())
        return len(queries), questions() - before, offers

    cost(("top",))  # what a process remembers of a tenant
    one, all_of_them = cost(("top",)), cost(keys)
    assert one[:2] == all_of_them[:2]
    assert one[1] == 2, "one for clicks and one for conversions"
    found = {
        key: [(each.bit, round(each.click_rate, 4)) for each in offers] for key, (_, offers) in all_of_them[2].items()
    }
    assert found == {"top": [(1, 0.005)], "side": [(1, 0.0625)], "foot": [(1, 0.005)], "wide": [(2, 0.005)]}


def questions() -> float:
    """Put to models of rates so far, of which this tenant has none."""
    return REGISTRY.get_sample_value("sequitur_gateway_answers_total", {"rung": "no_model"}) or 0.0


def test_an_arm_is_foretold_its_own_readers(week: Tenant) -> None:
    flight = draft(bid_micros=3 * UNIT)
    other = create(Flight, actor="test", campaign_id=flight.campaign_id, **flight_values())
    arms = [{"name": str(each.id), "share": 0.5, "members": [str(each.id)]} for each in (flight, other)]
    values = {"starts_at": timezone.now(), "ends_at": flight.ends_at, "arms": arms}
    experiment = create(Experiment, actor="test", campaign_id=flight.campaign_id, name="Two", **values)
    keys = [subject_key("user_id", f"u{number}") for number in range(5)]
    mine = sum(arm_of(experiment.id, key, (0.5, 0.5)) == 0 for key in keys) * REQUESTS // 5
    found = forecast(flight_of(flight.id))
    assert (found.matching, found.lost.get("experiment", 0)) == (mine, REQUESTS - mine)


def test_a_busy_hour_is_read_in_part_and_counts_in_full(week: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selectors, "OF_AN_HOUR", 10)
    until = timezone.now() + timedelta(minutes=1)
    with CapturedQueries() as queries:
        sampled = selectors.sample_requests(uuid4(), until)
    assert len(queries) == 1
    assert len(sampled) in (10, 20)  # the requests of this test lie in one hour, or in two
    assert sum(each.weight for each in sampled) >= 10


def test_without_requests_or_a_fitting_creative_it_says_why(scope: Tenant) -> None:
    flight = draft()
    with pytest.raises(ValidationError, match="nothing can be foretold"):
        forecast(flight_of(flight.id))
    make_placement(width=728, height=90)
    ask(0)
    with pytest.raises(ValidationError, match="none has the size"):
        forecast(flight_of(flight.id))


def test_a_forecast_by_api(tenant: Tenant, api: ApiClient, other_api: ApiClient) -> None:
    with tenant_scope(tenant.id):
        make_placement()
        flight = draft()
    address = f"ads/flights/{flight.id}/forecast"
    assert api.get(address).status_code == 400
    api.post("ads/decisions", {"placements": ["top"], "user_agent": BROWSER})
    answer = api.get(address).json()
    assert answer["matching"] == 1
    assert [each["impressions"] for each in answer["outlooks"]] == [1, 1, 1, 1, 1]
    assert other_api.get(address).status_code == 404
