"""What a flight would have got of the last week's requests, had it bid in them: a forecast of its delivery.

Each sampled request is an auction against the score that won it then, the flight's own left out. Rates are those that
the flight's auctions would start from; caps and what is left of the budgets cut what is won. Pacing and the answers of
others to a new bidder are left out.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.utils import timezone

from apps.ads.auctions.index import TargetingIndex
from apps.ads.auctions.pricing import price_of_event, value_of
from apps.ads.audiences.selectors import audiences_of_subjects
from apps.ads.budgets.models import FlightBudget
from apps.ads.campaigns.models import BidKind, Creative, Flight, Placement
from apps.ads.campaigns.targeting import named_in, needs_identity, normal
from apps.ads.engine import Prior, clearing_price, smoothed_rates
from apps.ads.forecasts.selectors import DAYS, Asked, sample_requests, seen_shares
from apps.ads.models import CreativeCount
from apps.ads.settings import AdSettings, current_settings

# Multiples of the flight's bid for which the forecast is made.
BIDS = (0.5, 0.75, 1.0, 1.5, 2.0)


@dataclass(frozen=True)
class Offer:
    """What the flight brings to one placement: `rate` is the chance of what is paid for, of one impression."""

    quality: float
    click_rate: float
    conversion_rate: float
    rate: float
    seen: float


@dataclass
class Outlook:
    """What the flight gets by its end with one bid; `limited_by` says what kept it from more."""

    bid_micros: int
    impressions: float = 0.0
    clicks: float = 0.0
    conversions: float = 0.0
    spend_micros: float = 0.0
    won_share: float = 0.0
    limited_by: str | None = None

    def to_dict(self) -> dict[str, Any]:
        counts = ("impressions", "clicks", "conversions", "spend_micros")
        return asdict(self) | {name: round(getattr(self, name)) for name in counts}


@dataclass
class Forecast:
    """`requests` and `matching` are counts of a week; `lost` says how many of the others lost for which reason."""

    days: float
    requests: int
    matching: int
    lost: dict[str, int]
    outlooks: list[Outlook]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"outlooks": [each.to_dict() for each in self.outlooks]}


@dataclass
class _Day:
    """What was won on one day of the week."""

    impressions: float = 0.0
    clicks: float = 0.0
    conversions: float = 0.0
    spend: float = 0.0


@dataclass
class _Matching:
    """Requests that the flight may compete for, each with its placement and offer."""

    found: list[tuple[Asked, Placement, Offer]] = field(default_factory=list)
    lost: dict[str, float] = field(default_factory=lambda: defaultdict(float))


def forecast(flight: Flight, now: datetime | None = None) -> Forecast:
    """For a flight of any status, from the requests of the last week. Raises ValidationError where there were none, or
    where the flight has nothing to show."""
    now, settings = now or timezone.now(), current_settings()
    asked = sample_requests(flight.id, now)
    if not asked:
        raise ValidationError({"requests": f"there were none in the last {DAYS} days, so nothing can be foretold"})
    offers = _offers(flight, settings, now)
    matching = _match(flight, asked, offers, settings)
    starts = max(flight.starts_at, now)
    days = max((flight.ends_at - starts) / timedelta(days=1), 0.0)
    budget = FlightBudget.objects.get(flight_id=flight.id)
    # More may be promised than is left, since little of it will be asked for.
    left = max(budget.budget_micros - budget.spent_micros - budget.reserved_micros, 0)
    bids = [max(int(flight.bid_micros * each), 1) for each in BIDS]
    outlooks = [outlook_of(flight, bid, matching.found, days=days, left=left, zone=settings.zone) for bid in bids]
    return Forecast(
        days=days,
        requests=round(sum(each.weight for each in asked)),
        matching=round(sum(each.weight for each, _, _ in matching.found)),
        lost={reason: round(count) for reason, count in matching.lost.items()},
        outlooks=outlooks,
    )


def _offers(flight: Flight, settings: AdSettings, now: datetime) -> dict[str, tuple[Placement, Offer]]:
    """By key of the placement, what the best of the flight's creatives that fit it would bring."""
    creatives = list(Creative.objects.filter(flight_id=flight.id, archived_at=None))
    if not creatives:
        raise ValidationError({"creatives": "the flight has none; make one first, so that its size is known"})
    counts = {
        (each.creative_id, each.placement_id): each
        for each in CreativeCount.objects.filter(creative_id__in=[each.id for each in creatives])
    }
    seen = seen_shares(now)
    currency = flight.campaign.advertiser.currency
    offers = {}
    for placement in Placement.objects.filter(archived_at=None, currency=currency):
        fitting = [each for each in creatives if (each.width, each.height) == (placement.width, placement.height)]
        found = [
            _offer(flight, each, counts.get((each.id, placement.id)), settings, seen.get(placement.id, 1.0))
            for each in fitting
        ]
        if found:
            offers[placement.key] = placement, max(found, key=lambda each: each.quality * each.rate)
    if not offers:
        raise ValidationError({"creatives": f"none has the size of a placement in {currency}"})
    return offers


def _offer(flight: Flight, creative: Creative, count: CreativeCount | None, settings: AdSettings, seen: float) -> Offer:
    impressions, clicks, conversions = (count.impressions, count.clicks, count.conversions) if count else (0, 0, 0)
    (clicked,) = smoothed_rates([clicks], [impressions], Prior(settings.prior_click_rate, settings.prior_weight))
    (converted,) = smoothed_rates([conversions], [clicks], Prior(settings.prior_conversion_rate, settings.prior_weight))
    paid = {BidKind.CPM: 1e-3, BidKind.CPC: clicked, BidKind.CPA: clicked * converted}
    return Offer(creative.quality, float(clicked), float(converted), float(paid[BidKind(flight.bid_kind)]), seen)


def _match(
    flight: Flight,
    asked: Sequence[Asked],
    offers: Mapping[str, tuple[Placement, Offer]],
    settings: AdSettings,
) -> _Matching:
    index = TargetingIndex([flight.targeting])
    identified = flight.cap_impressions is not None or flight.recency_seconds > 0 or needs_identity(flight.targeting)
    # As they are now: decisions know no audience that nobody asked for then.
    names_audiences = named_in(flight.targeting, "audiences")
    subjects = {each.subject_key for each in asked if each.subject_key} if names_audiences else set()
    audiences = audiences_of_subjects(subjects) if subjects else {}
    matching = _Matching()
    for each in asked:
        offer = offers.get(each.placement)
        if offer is None:
            matching.lost["size"] += each.weight
            continue
        if identified and (each.subject_key is None or not each.has_consent):
            matching.lost["consent"] += each.weight
            continue
        local = each.asked_at.astimezone(settings.zone)
        lost: dict[str, int] = {}
        told = {"placements": [normal(each.placement)], "audiences": audiences.get(each.subject_key or b"", [])}
        facts = {**each.facts, **told}
        if not index.match(1, facts, 24 * local.weekday() + local.hour, lost):
            matching.lost[next(iter(lost))] += each.weight
            continue
        matching.found.append((each, *offer))
    return matching


def outlook_of(
    flight: Flight,
    bid: int,
    matching: Sequence[tuple[Asked, Placement, Offer]],
    *,
    days: float,
    left: int,
    zone: ZoneInfo,
) -> Outlook:
    """What one bid gets in `days` days of which a week was like the matching requests, with `left` micro-units of the
    budget; days of the daily budget are those of `zone`."""
    won = [
        (asked, offer, price)
        for asked, placement, offer in matching
        if (price := _price(flight.bid_kind, bid, asked, placement, offer)) is not None
    ]
    shares = _allowed_by_caps(flight, [(asked, offer) for asked, offer, _ in won])
    # The sample begins and ends within a day: these two are parts of one weekday.
    by_day: dict[int, _Day] = defaultdict(_Day)
    for (asked, offer, price), share in zip(won, shares, strict=True):
        day = by_day[asked.asked_at.astimezone(zone).weekday()]
        impressions = asked.weight * offer.seen * share
        day.impressions += impressions
        day.clicks += impressions * offer.click_rate
        day.conversions += impressions * offer.click_rate * offer.conversion_rate
        day.spend += impressions * offer.rate * price
    total, is_cut = _within_daily_budget(by_day.values(), flight.daily_budget_micros)
    scale = days / DAYS
    limited = "daily_budget" if is_cut else "cap" if any(share < 1 for share in shares) else None
    if total.spend * scale > left:
        scale, limited = left / total.spend, "budget"
    asked_for = sum(asked.weight for asked, _, _ in matching)
    return Outlook(
        bid_micros=bid,
        impressions=total.impressions * scale,
        clicks=total.clicks * scale,
        conversions=total.conversions * scale,
        spend_micros=total.spend * scale,
        won_share=sum(asked.weight for asked, _, _ in won) / asked_for if asked_for else 0.0,
        limited_by=limited,
    )


def _price(bid_kind: str, bid: int, asked: Asked, placement: Placement, offer: Offer) -> int | None:
    """In the unit of the bid; None where another would win, or the floor stands above."""
    value, floor = value_of(bid_kind, bid, offer.rate), float(placement.floor_micros)
    quality = 1.0 if placement.auction == "second_price" else offer.quality
    if value < floor or value * quality <= asked.best:
        return None
    price = clearing_price(value, quality, asked.best, floor, placement.auction)
    return price_of_event(bid_kind, bid, price=price, value=value, rate=offer.rate, floor=floor)


def _allowed_by_caps(flight: Flight, won: Sequence[tuple[Asked, Offer]]) -> list[float]:
    """The share of each that the cap and the least time between two leave."""
    shares = [1.0] * len(won)
    if flight.cap_impressions is not None:
        shares = _allowed(flight.cap_impressions, 3600 * flight.cap_hours, won)
    if flight.recency_seconds:
        shares = list(map(min, shares, _allowed(1, flight.recency_seconds, won)))
    return shares


def _allowed(most: int, seconds: int, won: Sequence[tuple[Asked, Offer]]) -> list[float]:
    """The share of each that is left where a subject sees at most so many in one stretch of so many seconds."""
    stretches = [(asked.subject_key, int(asked.asked_at.timestamp() // seconds)) for asked, _ in won]
    seen: dict[tuple[bytes | None, int], float] = defaultdict(float)
    for stretch, (asked, offer) in zip(stretches, won, strict=True):
        seen[stretch] += asked.weight * offer.seen
    return [min(1.0, most / max(seen[stretch], 1e-9)) for stretch in stretches]


def _within_daily_budget(days: Iterable[_Day], limit: int | None) -> tuple[_Day, bool]:
    """(sum of the days, each cut to the daily budget; whether any was)."""
    total, is_cut = _Day(), False
    for day in days:
        share = 1.0 if limit is None or day.spend <= limit else limit / day.spend
        is_cut = is_cut or share < 1
        total.impressions += share * day.impressions
        total.clicks += share * day.clicks
        total.conversions += share * day.conversions
        total.spend += share * day.spend
    return total, is_cut


def flight_of(flight_id: UUID) -> Flight:
    """With what a forecast needs of its campaign. Raises Flight.DoesNotExist."""
    return Flight.objects.select_related("campaign__advertiser").get(id=flight_id)
