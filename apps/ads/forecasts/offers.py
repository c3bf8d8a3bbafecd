"""What a flight's creatives bring to the placements that were asked for: their rates, as an auction would take them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from django.core.exceptions import ValidationError

from apps.ads.auctions.rates import rates_at
from apps.ads.campaigns.models import BidKind, Creative, Flight, Placement
from apps.ads.forecasts.selectors import seen_shares
from apps.ads.models import CreativeCount
from apps.ads.settings import AdSettings


@dataclass(frozen=True)
class Offer:
    """What a creative brings to one placement: the rates of clicks, of conversions and of what is paid for are those of
    one impression; `bit` is the creative's in what experiments hide."""

    bit: int
    quality: float
    click_rate: float
    conversion_rate: float
    rate: float
    seen: float


def offers_of(
    flight: Flight, creatives: Sequence[Creative], asked: Collection[str], settings: AdSettings, now: datetime
) -> dict[str, tuple[Placement, list[Offer]]]:
    """By key of the placements that were asked for, what each of the creatives that fit would bring, the best first."""
    if not creatives:
        raise ValidationError({"creatives": "the flight has none; make one first, so that its size is known"})
    currency, sizes = flight.campaign.advertiser.currency, {(each.width, each.height) for each in creatives}
    placements = [
        each
        for each in Placement.objects.filter(archived_at=None, currency=currency)
        if (each.width, each.height) in sizes
    ]
    if not placements:
        raise ValidationError({"creatives": f"none has the size of a placement in {currency}"})
    seen = seen_shares(now)
    return {
        each.key: (each, _offers_at(each, flight, creatives, settings, seen.get(each.id, 1.0)))
        for each in placements
        if each.key in asked
    }


def _offers_at(
    placement: Placement, flight: Flight, creatives: Sequence[Creative], settings: AdSettings, seen: float
) -> list[Offer]:
    size = placement.width, placement.height
    fitting = {1 << place: each for place, each in enumerate(creatives) if (each.width, each.height) == size}
    ids = [each.id for each in fitting.values()]
    counts = {
        each.creative_id: (each.impressions, each.clicks, each.conversions)
        for each in CreativeCount.objects.filter(placement_id=placement.id, creative_id__in=ids)
    }
    found = rates_at(placement.id, ids, counts, [flight.post_view_hours > 0] * len(ids), settings)
    paid = {BidKind.CPM: np.full(len(ids), 1e-3), BidKind.CPC: found.clicked, BidKind.CPA: found.bought}
    rates = zip(found.clicked, found.bought, paid[BidKind(flight.bid_kind)], strict=True)
    offers = [
        Offer(bit, each.quality, float(click), float(conversion), float(rate), seen)
        for (bit, each), (click, conversion, rate) in zip(fitting.items(), rates, strict=True)
    ]
    return sorted(offers, key=lambda each: each.quality * each.rate, reverse=True)
