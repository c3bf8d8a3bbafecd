"""What a flight's creatives bring to the placements that were asked for: their rates, as an auction would take them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from django.core.exceptions import ValidationError

from apps.ads.auctions.rates import Pair, Rates, rates_of
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
    places = [each for each in placements if each.key in asked]
    fitting = [
        (place, 1 << number, each)
        for place in places
        for number, each in enumerate(creatives)
        if (each.width, each.height) == (place.width, place.height)
    ]
    found = _rates(flight, [(each.id, place.id) for place, _, each in fitting], settings)
    paid = {BidKind.CPM: np.full(len(fitting), 1e-3), BidKind.CPC: found.clicked, BidKind.CPA: found.bought}
    rates = zip(found.clicked, found.bought, paid[BidKind(flight.bid_kind)], strict=True)
    seen = seen_shares(now)
    offers: dict[str, tuple[Placement, list[Offer]]] = {each.key: (each, []) for each in places}
    for (place, bit, each), (click, conversion, rate) in zip(fitting, rates, strict=True):
        offer = Offer(bit, each.quality, float(click), float(conversion), float(rate), seen.get(place.id, 1.0))
        offers[place.key][1].append(offer)
    for _, of_place in offers.values():
        of_place.sort(key=lambda each: each.quality * each.rate, reverse=True)
    return offers


def _rates(flight: Flight, pairs: Sequence[Pair], settings: AdSettings) -> Rates:
    """As an auction finds them, of all placements at once: a read and a question for each would be thousands."""
    counts = {
        (each.creative_id, each.placement_id): (each.impressions, each.clicks, each.conversions)
        for each in CreativeCount.objects.filter(creative_id__in={creative for creative, _ in pairs})
    }
    return rates_of(pairs, counts, [flight.post_view_hours > 0] * len(pairs), settings)
