"""What a flight would have got of the last week's requests, had it bid in them: a forecast of its delivery.

Each sampled request is an auction against the score that won it then, the flight's own left out; of a page's places it
wins one at most. Rates are those that the flight's auctions would start from. Experiments that run at its start keep it
to its arm's readers; caps and what is left of the budgets cut what is won. Pacing and the answers of others to a new
bidder are left out.
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
from apps.ads.campaigns.models import Creative, Flight, Placement
from apps.ads.campaigns.targeting import named_in, needs_identity, normal
from apps.ads.engine import clearing_price
from apps.ads.experiments.splitting import Split, hidden_from, split_of
from apps.ads.forecasts.offers import Offer, offers_of
from apps.ads.forecasts.selectors import DAYS, Asked, arms_of_experiments, sample_requests
from apps.ads.settings import AdSettings, current_settings

# Multiples of the flight's bid for which the forecast is made.
BIDS = (0.5, 0.75, 1.0, 1.5, 2.0)


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
    starts = max(flight.starts_at, now)
    creatives = list(Creative.objects.filter(flight_id=flight.id, archived_at=None).order_by("id"))
    offers = offers_of(flight, creatives, {each.placement for each in asked}, settings, now)
    matching = _match(flight, asked, offers, _splits(flight, creatives, starts), settings)
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


def _splits(flight: Flight, creatives: Sequence[Creative], moment: datetime) -> list[Split]:
    bits = {str(each.id): 1 << place for place, each in enumerate(creatives)}
    bits[str(flight.id)] = (1 << len(creatives)) - 1
    return [split_of(id, arms, bits) for id, arms in arms_of_experiments(flight.campaign_id, moment)]


def _match(
    flight: Flight,
    asked: Sequence[Asked],
    offers: Mapping[str, tuple[Placement, list[Offer]]],
    splits: Sequence[Split],
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
        if each.placement not in offers:
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
        hidden = hidden_from(splits, each.subject_key or each.decision_id.bytes)
        placement, fitting = offers[each.placement]
        shown = next((offer for offer in fitting if not offer.bit & hidden), None)
        if shown is None:
            matching.lost["experiment"] += each.weight
            continue
        matching.found.append((each, placement, shown))
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
    beaten = [
        (asked, offer, price)
        for asked, placement, offer in matching
        if (price := _price(flight.bid_kind, bid, asked, placement, offer)) is not None
    ]
    # No flight is shown at two places of one page: the first that it wins is its place.
    first: dict[tuple[datetime, bytes | None], tuple[Asked, Offer, int]] = {}
    for each in beaten:
        first.setdefault((each[0].asked_at, each[0].subject_key), each)
    won = list(first.values())
    shares = _allowed_by_caps(flight, [(asked, offer) for asked, offer, _ in won])
    # The sample begins and ends within a day: these two are parts of one weekday.
    by_day: dict[int, _Day] = defaultdict(_Day)
    for (asked, offer, price), share in zip(won, shares, strict=True):
        day = by_day[asked.asked_at.astimezone(zone).weekday()]
        impressions = asked.weight * offer.seen * share
        day.impressions += impressions
        day.clicks += impressions * offer.click_rate
        day.conversions += impressions * offer.conversion_rate
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
        won_share=sum(asked.weight for asked, _, _ in beaten) / asked_for if asked_for else 0.0,
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
