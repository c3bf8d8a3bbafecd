"""Rates of clicks and conversions that know what the subject did: the ads that lead an auction are weighed anew.

The worth of all ads is found for a moment and for everybody. What is left of a request's auctions, the creatives of
MOST_RANKED flights of each at most, is asked of the live models once more, together with the subject's history.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import numpy as np

from apps.ads.auctions.asking import Ask
from apps.ads.auctions.contest import Contest
from apps.ads.campaigns.models import BidKind
from apps.ads.engine import CLICK_MODEL, CONVERSION_MODEL, learned_rates_after, reads_history
from apps.ads.learning.history import history_of


def personalise(contests: Sequence[Contest], ask: Ask, now: datetime) -> None:
    """Weigh the participants by what the subject did; everything stays as it is where nobody is named, no model that
    reads histories is live, nothing is known of the subject, or no model answers."""
    if ask.subject is None or not reads_history():
        return
    asked = [
        (contest, position)
        for contest in contests
        for best in contest.order
        for position in contest.of_flight(best)
        if contest.snapshot.is_personal[position]
    ]
    history = history_of(ask.subject.key, now) if asked else []
    if not history:
        return
    creatives = [str(contest.snapshot.ads[position].creative_id) for contest, position in asked]
    placements = [str(contest.placement.id) for contest, _ in asked]
    clicked = learned_rates_after(CLICK_MODEL, creatives, placements, history)
    if clicked is None:
        return
    converted = learned_rates_after(CONVERSION_MODEL, creatives, placements, history)
    rates = zip(asked, clicked, [None] * len(asked) if converted is None else converted, strict=True)
    found: dict[UUID, dict[int, float]] = {contest.decision_id: {} for contest in contests}
    for (contest, position), click, conversion in rates:
        if contest.snapshot.ads[position].bid_kind == BidKind.CPC:
            found[contest.decision_id][position] = float(click)
        elif conversion is not None:
            found[contest.decision_id][position] = float(click * conversion)
    for contest in contests:
        _weigh(contest, found[contest.decision_id])


def _weigh(contest: Contest, rates: Mapping[int, float]) -> None:
    """Put other rates in the place of some ads' own, and rank the participants by what follows."""
    ads, worth, placement = contest.snapshot.ads, contest.worth, contest.placement
    values, scores, own = worth.values.copy(), worth.scores.copy(), worth.rates.copy()
    for position, rate in rates.items():
        own[position] = rate
        values[position] = ads[position].paced_bid * rate * 1000
        scores[position] = values[position] * (1.0 if placement.auction == "second_price" else ads[position].quality)
    # What the snapshot keeps described is for everybody.
    contest.worth = replace(worth, values=values, scores=scores, rates=own, described={})
    flights = [contest.of_flight(best) for best in contest.order]
    able = [[each for each in ads if values[each] >= placement.floor_micros] for ads in flights]
    if below := {each for ads in flights for each in ads}.difference(*able):
        contest.lost["floor"] = contest.lost.get("floor", 0) | sum(1 << each for each in below)
    contest.able = np.array([each for ads in able for each in ads], dtype=np.int64)
    # Equals keep the order that was drawn for them.
    order = [max(ads, key=scores.item) for ads in able if ads]
    contest.order = sorted(order, key=scores.item, reverse=True)
