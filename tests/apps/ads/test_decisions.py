"""Deciding: who is shown, why the others are not, and what is kept of it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone
from uuid_utils.compat import uuid7

from apps.ads.auctions.asking import Ask
from apps.ads.auctions.contest import open_contest
from apps.ads.auctions.index import TargetingIndex, positions
from apps.ads.auctions.services import decide
from apps.ads.auctions.snapshot import forget_snapshots, read_snapshot
from apps.ads.campaigns.models import Flight, FlightStatus, Placement
from apps.ads.campaigns.services import archive, change, set_status
from apps.ads.settings import change_settings
from apps.ads.tracking.models import CreativeCount, Delivery
from apps.ads.tracking.services import return_expired
from decisions.models import Decision
from decisions.selectors import get_decision
from tenancy.models import Tenant
from tests.apps.ads.world import (
    UNIT,
    ask,
    click,
    decide_one,
    flight_of,
    make_campaign,
    make_creative,
    make_live_flight,
    make_placement,
    see,
)


def test_the_ad_of_the_only_flight_is_placed_and_its_price_reserved(scope: Tenant) -> None:
    make_placement(floor_micros=UNIT)
    flight = make_live_flight(bid_micros=2 * UNIT)

    placed = decide_one()

    assert flight_of(placed) == flight.id
    assert placed.lead is not None
    assert placed.lead.price_micros == UNIT  # alone, it pays the floor
    delivery = Delivery.objects.get(delivery_id=placed.decision_id)
    assert (delivery.reserved_micros, delivery.status) == (1000, "open")
    decision = get_decision(placed.decision_id)
    assert decision.application == "ads"
    assert decision.items[0]["propensity"] == 1.0
    assert decision.request["price_micros"] == UNIT


def test_the_winner_pays_what_the_next_is_worth(scope: Tenant) -> None:
    make_placement()
    campaign = make_campaign()
    make_live_flight(campaign, bid_micros=2 * UNIT, creative={"quality": 1.5})
    dear = make_live_flight(campaign, bid_micros=5 * UNIT)

    placed = decide_one()

    assert flight_of(placed) == dear.id
    assert placed.lead is not None
    assert placed.lead.price_micros == 3 * UNIT
    assert [each["lost"] for each in get_decision(placed.decision_id).request["participants"]] == [None, "score"]


@pytest.mark.parametrize(
    ("targeting", "context", "keywords", "is_shown"),
    [
        ({}, {}, [], True),
        ({"include": {"countries": ["DE"]}}, {"country": "de"}, [], True),
        ({"include": {"countries": ["DE"]}}, {"country": "FR"}, [], False),
        ({"include": {"countries": ["DE"]}}, {}, [], False),
        ({"include": {"countries": ["DE", "FR"], "keywords": ["tent"]}}, {"country": "FR"}, ["Tent "], True),
        ({"include": {"countries": ["DE", "FR"], "keywords": ["tent"]}}, {"country": "FR"}, ["boat"], False),
        ({"exclude": {"categories": ["news"]}}, {"categories": ["sport", "news"]}, [], False),
        ({"exclude": {"categories": ["news"]}}, {"categories": ["sport"]}, [], True),
        ({"include": {"segments": ["campers"]}}, {"segments": ["campers"]}, [], True),
        ({"attributes": {"plan": ["gold"]}}, {"attributes": {"Plan": "Gold"}}, [], True),
        ({"attributes": {"plan": ["gold"]}}, {"attributes": {"plan": "free"}}, [], False),
        ({"include": {"devices": ["mobile"]}}, {}, [], False),
        ({"include": {"devices": ["mobile"]}}, {"device": "mobile"}, [], True),
        ({"include": {"placements": ["side"]}}, {}, [], False),
        ({"include": {"placements": ["top"]}}, {}, [], True),
        ({"include": {"languages": ["de"]}}, {"language": "de"}, [], True),
    ],
)
def test_a_flight_is_shown_to_whom_it_asks_for(
    targeting: dict[str, Any], context: dict[str, Any], keywords: list[str], is_shown: bool, scope: Tenant
) -> None:
    make_placement()
    make_placement("side")
    make_live_flight(targeting=targeting)

    placed = decide_one(ask(context=context, keywords=keywords))

    assert (placed.lead is not None) == is_shown
    if not is_shown:
        assert placed.no_fill is not None
        assert placed.no_fill.reason == "targeting"
        assert sum(placed.no_fill.lost.values()) == 1


def test_a_place_is_targeted_by_its_key_however_it_is_written(scope: Tenant) -> None:
    make_placement("Article-Top")
    flight = make_live_flight(targeting={"include": {"placements": ["Article-Top"]}})

    placed = decide_one(ask(placements=("Article-Top",)))

    assert flight_of(placed) == flight.id


def test_an_archived_place_stays_empty_and_the_others_of_the_page_do_not(scope: Tenant) -> None:
    gone = make_placement("gone")
    make_placement("top")
    flight = make_live_flight()
    archive(Placement, object_id=gone.id, actor="test")
    forget_snapshots()

    empty, placed = decide(ask(placements=("gone", "top")))

    assert empty.no_fill is not None
    assert (empty.no_fill.reason, empty.no_fill.lost) == ("archived", {"archived": 1})
    assert get_decision(empty.decision_id).request["no_fill"] == "archived"
    assert flight_of(placed) == flight.id
    with pytest.raises(ValidationError, match="there is no placement 'nowhere'"):
        decide(ask(placements=("nowhere", "top")))


def test_the_index_says_the_same_as_a_plain_reading_of_each_targeting() -> None:
    rng = np.random.default_rng(5)
    names, values = ["countries", "keywords", "segments"], ["a", "b", "c", "d"]

    def some() -> dict[str, list[str]]:
        return {
            name: list(rng.choice(values, rng.integers(1, 3), replace=False)) for name in names if rng.random() < 0.4
        }

    targetings = [{"include": some(), "exclude": some()} for _ in range(300)]
    index = TargetingIndex(targetings)
    for _ in range(50):
        facts = some()
        expected = [
            number
            for number, each in enumerate(targetings)
            if all(set(wanted) & set(facts.get(name, [])) for name, wanted in each["include"].items())
            and not any(set(unwanted) & set(facts.get(name, [])) for name, unwanted in each["exclude"].items())
        ]
        lost: dict[str, int] = {}
        found = index.match(index.everyone, facts, 0, lost)
        assert positions(found, 300).tolist() == expected
        assert sum(bits.bit_count() for bits in lost.values()) == 300 - len(expected)


def test_hours_are_those_of_the_tenants_time_zone(scope: Tenant) -> None:
    make_placement()
    change_settings({"timezone": "Asia/Tokyo"}, actor="test")
    local = timezone.now().astimezone(ZoneInfo("Asia/Tokyo"))
    now_there = {"days": [local.weekday()], "from": local.hour, "to": local.hour + 1}
    later = {"days": [(local.weekday() + 3) % 7], "from": 0, "to": 24}
    flight = make_live_flight(targeting={"hours": [now_there]})
    assert flight_of(decide_one()) == flight.id
    change(Flight, object_id=flight.id, actor="test", changes={"targeting": {"hours": [later]}})
    forget_snapshots()
    placed = decide_one()
    assert placed.no_fill is not None
    assert placed.no_fill.lost == {"targeting.hours": 1}


def test_without_consent_the_page_alone_decides_and_nobody_is_remembered(scope: Tenant) -> None:
    make_placement()
    campaign = make_campaign()
    make_live_flight(campaign, bid_micros=9 * UNIT, targeting={"include": {"segments": ["campers"]}})
    make_live_flight(campaign, bid_micros=9 * UNIT, cap_impressions=5)
    contextual = make_live_flight(campaign, targeting={"include": {"keywords": ["tent"]}})

    placed = decide_one(ask(consent=False, context={"segments": ["campers"]}, keywords=["tent"]))

    assert flight_of(placed) == contextual.id
    assert Delivery.objects.get().subject_key is None
    decision = get_decision(placed.decision_id)
    assert decision.subject_key is None
    assert "segments" not in decision.request["facts"]
    assert decision.request["losses"] == {"consent": 2}


def test_a_frequency_cap_counts_what_is_seen_and_what_may_still_be_seen(scope: Tenant) -> None:
    make_placement()
    make_live_flight(cap_impressions=2)
    first, second, third = decide_one(), decide_one(), decide_one()
    assert first.lead
    assert second.lead
    assert third.no_fill is not None
    assert third.no_fill.reason == "cap"
    assert decide_one(ask("u2")).lead

    see(first.decision_id)
    return_expired(timezone.now() + timedelta(hours=1))  # the second was never seen
    assert decide_one().lead
    assert decide_one().lead is None


def test_recency_keeps_a_flight_from_following_itself(scope: Tenant) -> None:
    make_placement()
    make_live_flight(recency_seconds=60)
    assert decide_one().lead
    assert decide_one().lead is None
    Delivery.objects.update(placed_at=timezone.now() - timedelta(seconds=61))
    assert decide_one().lead


def test_no_flight_is_shown_twice_on_one_page(scope: Tenant) -> None:
    make_placement("top")
    make_placement("side")
    campaign = make_campaign()
    make_live_flight(campaign, bid_micros=5 * UNIT)
    make_live_flight(campaign, bid_micros=3 * UNIT)

    placed = decide(ask(placements=("top", "side", "side")))

    assert [each.lead is not None for each in placed] == [True, True, False]
    assert len({flight_of(each) for each in placed}) == 3
    assert placed[2].no_fill is not None
    assert placed[2].no_fill.reason == "won_elsewhere"


def test_a_budget_that_is_used_up_lets_the_next_in(scope: Tenant) -> None:
    make_placement(auction="first_price")
    campaign = make_campaign()
    rich = make_live_flight(campaign, bid_kind="cpc", bid_micros=9 * UNIT, budget_micros=9 * UNIT)
    other = make_live_flight(campaign, bid_micros=1)

    first = decide_one()
    see(first.decision_id)
    Delivery.objects.update(impression_at=timezone.now() - timedelta(seconds=5))
    click(first.decision_id)
    second = decide_one()

    assert flight_of(first) == rich.id
    assert flight_of(second) == other.id
    assert get_decision(second.decision_id).request["participants"][0]["lost"] == "budget"


def test_a_creative_that_is_clicked_more_often_earns_more_by_clicks(scope: Tenant) -> None:
    placement = make_placement()
    flight = make_live_flight(bid_kind="cpc", bid_micros=UNIT)
    better = make_creative(flight, name="Better")
    CreativeCount.objects.create(
        creative_id=better.id, placement_id=placement.id, impressions=10_000, clicks=500, conversions=0
    )
    forget_snapshots()

    placed = decide_one()

    assert placed.lead is not None
    assert placed.lead.ad.creative_id == better.id
    assert placed.lead.rate == pytest.approx((500 + 0.005 * 500) / 10_500)


def test_currencies_sizes_and_floors_keep_flights_out(scope: Tenant) -> None:
    make_placement(currency="USD")
    make_placement("wide", width=728, height=90)
    make_placement("dear", floor_micros=3 * UNIT)
    make_live_flight(bid_micros=2 * UNIT)

    unfilled = [each.no_fill for each in decide(ask(placements=("top", "wide", "dear"))) if each.no_fill]

    assert [each.reason for each in unfilled] == ["currency", "size", "floor"]
    assert [each.lost for each in unfilled] == [{"currency": 1}, {"size": 1}, {"floor": 1}]


@pytest.mark.parametrize("bid_kind", ["cpm", "cpc"])
def test_no_price_is_below_the_floor_or_above_the_bid(bid_kind: str, scope: Tenant) -> None:
    place = make_placement(auction="second_price")
    make_live_flight(bid_kind=bid_kind)
    snapshot = read_snapshot()
    (ad,) = snapshot.ads
    rng = np.random.default_rng(0)
    amounts = [(8_215_694, 8_215_694), (9_006_612, 5_616_564), *rng.integers(1, 10 * UNIT, (400, 2)).tolist()]

    for first, second in amounts:
        place.floor_micros, bid = sorted((first, second))
        if bid_kind == "cpc":  # a thousand impressions are worth five clicks
            place.floor_micros = 5 * place.floor_micros - 1
        alone = replace(snapshot, ads=[replace(ad, bid_micros=bid)], worths={})
        contest = open_contest(alone, place, ask(), decision_id=uuid7(), hour_of_week=0, capped=set())
        lead = contest.lead(taken=set())
        assert lead is not None, "a bid that reaches the floor takes part"
        assert lead.price_micros <= bid
        if bid_kind == "cpm":
            assert lead.price_micros == place.floor_micros
        else:
            assert 1000 * lead.rate * lead.price_micros >= place.floor_micros


def test_a_paused_or_ended_flight_is_not_shown(scope: Tenant) -> None:
    make_placement()
    flight = make_live_flight()
    assert decide_one().lead
    set_status(flight_id=flight.id, status=FlightStatus.PAUSED, actor="test")
    forget_snapshots()
    assert decide_one().lead is None
    set_status(flight_id=flight.id, status=FlightStatus.LIVE, actor="test")
    Flight.objects.update(ends_at=timezone.now() - timedelta(seconds=1))
    forget_snapshots()
    assert read_snapshot().ads == []


def test_programs_are_shown_nothing(scope: Tenant) -> None:
    make_placement()
    make_live_flight()
    (placed,) = decide(Ask(("top",), user_agent="Googlebot/2.1"))
    assert placed.no_fill is not None
    assert (placed.no_fill.reason, placed.no_fill.lost) == ("bot", {"bot": 1})
    assert [each["lost"] for each in get_decision(placed.decision_id).request["participants"]] == ["bot"]
    assert Delivery.objects.count() == 0


def test_an_unknown_placement_is_named(scope: Tenant) -> None:
    with pytest.raises(ValidationError, match="there is no placement 'nowhere'"):
        decide(ask(placements=("nowhere",)))


def test_what_a_decision_keeps_is_bounded(scope: Tenant) -> None:
    make_placement()
    campaign = make_campaign()
    for number in range(60):
        make_live_flight(campaign, name=f"Flight {number}", bid_micros=UNIT + number)
        make_live_flight(campaign, targeting={"include": {"countries": ["DE"]}})
    decide_one(ask(keywords=[f"word-{number}" for number in range(100)]))

    request = Decision.objects.get().request

    assert len(request["participants"]) == 8
    assert request["losses"] == {"targeting.countries": 60}
    assert len(request["losers"]["targeting.countries"]) == 3
    assert len(request["facts"]["keywords"]) == 20
