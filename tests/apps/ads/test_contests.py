"""Lots, propensities and the reasons of who was not shown."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from uuid_utils.compat import uuid7

from apps.ads.auctions.contest import Lead, open_contest
from apps.ads.auctions.services import MOST_ROUNDS, decide
from apps.ads.auctions.snapshot import Snapshot, current_snapshot, forget_snapshots, read_snapshot
from apps.ads.budgets.models import FlightBudget
from apps.ads.settings import change_settings
from decisions.selectors import get_decision
from tenancy.models import Tenant
from tests.apps.ads.world import (
    UNIT,
    ask,
    decide_one,
    flight_of,
    make_campaign,
    make_live_flight,
    make_placement,
)


def market_of(flights: Sequence[Sequence[float]]) -> Snapshot:
    """The tenant's only live ad many times: creatives by their qualities, in flights of their own."""
    snapshot = read_snapshot()
    (ad,) = snapshot.ads
    ads = []
    for qualities in flights:
        flight_id = uuid7()
        ads += [replace(ad, flight_id=flight_id, creative_id=uuid7(), quality=each) for each in qualities]
    return replace(snapshot, ads=ads, worths={})


def leads_of(snapshot: Snapshot, count: int) -> list[Lead]:
    contests = [
        open_contest(snapshot, snapshot.placements["top"], ask(), decision_id=uuid7(), hour_of_week=0, capped=set())
        for _ in range(count)
    ]
    return [lead for contest in contests if (lead := contest.lead(taken=set()))]


def test_a_flight_with_many_creatives_draws_no_more_lots_than_one_with_one(scope: Tenant) -> None:
    make_placement()
    make_live_flight()
    market = market_of([[1.0] * 10, [1.0]])
    alone = market.ads[-1].creative_id

    leads = leads_of(market, 400)

    propensities = {lead.ad.creative_id: lead.propensity for lead in leads}
    assert len(propensities) == 11, "each is shown now and then"
    assert propensities.pop(alone) == 1 / 2
    assert set(propensities.values()) == {1 / 20}
    assert 150 <= sum(lead.ad.creative_id == alone for lead in leads) <= 250


def test_the_propensity_counts_equals_that_were_not_ranked_too(scope: Tenant) -> None:
    make_placement()
    make_live_flight()
    market = market_of([[1.0]] * 100)

    assert {lead.propensity for lead in leads_of(market, 20)} == {1 / 100}

    contest = open_contest(market, market.placements["top"], ask(), decision_id=uuid7(), hour_of_week=0, capped=set())
    elsewhere = {contest.snapshot.flight_number[contest.order[0]], next(iter(contest.cut))}
    lead = contest.lead(taken=elsewhere)
    assert lead is not None
    assert lead.propensity == 1 / 98


def test_those_that_were_not_tried_are_not_told_that_another_won(scope: Tenant) -> None:
    make_placement()
    campaign = make_campaign()
    for number in range(MOST_ROUNDS + 1):
        make_live_flight(campaign, bid_micros=9 * UNIT - number)
    current_snapshot()
    FlightBudget.objects.update(spent_micros=100 * UNIT)

    placed = decide_one()

    assert placed.no_fill is not None
    assert (placed.no_fill.reason, placed.no_fill.lost) == ("not_tried", {"budget": MOST_ROUNDS, "not_tried": 1})
    told = [each["lost"] for each in get_decision(placed.decision_id).request["participants"]]
    assert told == ["budget"] * MOST_ROUNDS + ["not_tried"]


def test_a_draw_is_told_as_one_with_the_creative_that_it_led_to(scope: Tenant) -> None:
    make_placement()
    make_live_flight()
    market = market_of([[1.0] * 2] * 20)
    contests = [
        open_contest(market, market.placements["top"], ask(), decision_id=uuid7(), hour_of_week=0, capped=set())
        for _ in range(20)
    ]

    for contest in contests:
        lead = contest.lead(taken=set())
        assert lead is not None
        told = json.loads(f"{{{contest.account(lead, taken=set())}}}")["participants"]
        assert [each["creative"] for each in told if each["lost"] is None] == [str(lead.ad.creative_id)]
        assert [each["lost"] for each in told if each["lost"]] == ["draw"] * 7


def test_what_a_budget_refuses_at_one_place_counts_where_it_competed(scope: Tenant) -> None:
    make_placement(auction="first_price")
    make_placement("wide", width=728, height=90)
    make_live_flight()
    current_snapshot()
    FlightBudget.objects.update(spent_micros=100 * UNIT)

    assert [each.no_fill.lost for each in decide(ask(placements=("top", "wide"))) if each.no_fill] == [
        {"budget": 1},
        {"size": 1},
    ]


def test_exploration_reaches_every_creative_of_a_flight(scope: Tenant) -> None:
    make_placement()
    make_live_flight()
    change_settings({"policy": "softmax", "temperature": 1.0}, actor="test")
    market = market_of([[3.0, 1.0], [1.0]])
    better, worse, other = market.ads

    leads = leads_of(market, 400)

    # At temperature 1 flights are drawn 3 to 1, and then the creatives of the first too.
    propensities = {lead.ad.creative_id: pytest.approx(lead.propensity) for lead in leads}
    assert propensities == {better.creative_id: 9 / 16, worse.creative_id: 3 / 16, other.creative_id: 1 / 4}
    assert 45 <= sum(lead.ad is worse for lead in leads) <= 105
    assert all(lead.price_micros <= lead.ad.bid_micros for lead in leads)


def test_exploration_tells_its_propensities(scope: Tenant) -> None:
    make_placement()
    campaign = make_campaign()
    make_live_flight(campaign, bid_micros=3 * UNIT, budget_micros=10**6 * UNIT)
    low = make_live_flight(campaign, bid_micros=1 * UNIT, budget_micros=10**6 * UNIT)
    change_settings({"policy": "softmax", "temperature": 1.0}, actor="test")
    forget_snapshots()

    placed = [decide_one() for _ in range(200)]

    # At temperature 1 an ad is drawn in proportion to its score: 3 to 1.
    propensities = {flight_of(each): each.lead.propensity for each in placed if each.lead}
    assert propensities[low.id] == pytest.approx(0.25)
    assert 25 <= sum(flight_of(each) == low.id for each in placed) <= 78
    assert all(each.lead.price_micros <= each.lead.ad.bid_micros for each in placed if each.lead)


def test_ties_are_fair(scope: Tenant) -> None:
    make_placement()
    campaign = make_campaign()
    flights = [make_live_flight(campaign, budget_micros=1000 * UNIT).id for _ in range(3)]
    placed = [decide_one() for _ in range(150)]
    won = [sum(flight_of(each) == flight for each in placed) for flight in flights]
    assert min(won) > 25
    assert all(each.lead.propensity == pytest.approx(1 / 3) for each in placed if each.lead)
