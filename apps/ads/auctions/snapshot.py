"""What a deciding process remembers of a tenant's live flights: read anew within two seconds of a change."""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

import numpy as np
from django.db import connection
from django.utils import timezone
from numpy.typing import NDArray

from apps.ads.auctions.index import TargetingIndex
from apps.ads.auctions.rates import rates_of
from apps.ads.budgets.room import LEFT, has_room
from apps.ads.campaigns.models import BidKind, Placement
from apps.ads.campaigns.targeting import needs_identity
from apps.ads.experiments.splitting import Split, split_of
from apps.ads.settings import AdSettings, current_settings
from tenancy.kept import Kept
from tenancy.scope import current_tenant_id
from tenancy.statements import prepared_cursor

FRESH_SECONDS = 1.0
# Whatever nobody announces (rates that were learnt, what budgets have left) is read after this long.
LONGEST_SECONDS = 30.0

VERSION = "SELECT version FROM ads_snapshotversion WHERE tenant_id = %s AND name = 'snapshot'"
ADS = f"""
    SELECT creative.id, flight.id, flight.name, campaign.advertiser_id, advertiser.currency,
        creative.width, creative.height, creative.text, creative.image_url, creative.click_url, creative.quality,
        flight.bid_kind, flight.bid_micros, flight.targeting, flight.cap_impressions, flight.cap_hours,
        flight.recency_seconds, flight.post_click_days, flight.post_view_hours,
        coalesce(pacing.bid_factor, 1), coalesce(pacing.pass_rate, 1), {LEFT}
    FROM ads_flight AS flight
        JOIN ads_campaign AS campaign ON campaign.tenant_id = %(tenant)s AND campaign.id = flight.campaign_id
        JOIN ads_advertiser AS advertiser
            ON advertiser.tenant_id = %(tenant)s AND advertiser.id = campaign.advertiser_id
        JOIN ads_creative AS creative ON creative.tenant_id = %(tenant)s AND creative.flight_id = flight.id
        JOIN ads_flightbudget AS budget ON budget.tenant_id = %(tenant)s AND budget.flight_id = flight.id
        LEFT JOIN ads_flightpacing AS pacing ON pacing.tenant_id = %(tenant)s AND pacing.flight_id = flight.id
    WHERE flight.tenant_id = %(tenant)s AND flight.status = 'live' AND creative.review = 'approved'
        AND flight.starts_at <= %(now)s AND flight.ends_at > %(now)s
        AND num_nulls(flight.archived_at, campaign.archived_at, advertiser.archived_at, creative.archived_at) = 4
    ORDER BY flight.id, creative.id"""
TARGETING = 13  # column of ADS
BOUNDARY = """
    SELECT min(moment) FROM (
        SELECT %(midnight)s AS moment
        UNION ALL
        SELECT min(starts_at) FROM ads_flight
            WHERE tenant_id = %(tenant)s AND status = 'live' AND starts_at > %(now)s
        UNION ALL
        SELECT min(starts_at) FROM ads_experiment WHERE tenant_id = %(tenant)s AND starts_at > %(now)s
        UNION ALL
        SELECT min(ends_at) FROM ads_experiment WHERE tenant_id = %(tenant)s AND ends_at > %(now)s
        UNION ALL
        SELECT min(ends_at) FROM ads_flight WHERE tenant_id = %(tenant)s AND status = 'live' AND ends_at > %(now)s
    ) AS moments"""
EXPERIMENTS = """
    SELECT id, arms FROM ads_experiment
    WHERE tenant_id = %(tenant)s AND archived_at IS NULL AND starts_at <= %(now)s AND ends_at > %(now)s ORDER BY id"""
COUNTS = (
    "SELECT creative_id, placement_id, impressions, clicks, conversions FROM ads_creativecount WHERE tenant_id = %s"
)


@dataclass(frozen=True, slots=True)
class Ad:
    """One approved creative in its live flight."""

    creative_id: UUID
    flight_id: UUID
    flight_name: str
    advertiser_id: UUID
    currency: str
    width: int
    height: int
    text: str
    image_url: str
    click_url: str
    quality: float
    bid_kind: str
    bid_micros: int
    targeting: Mapping[str, Any]
    cap_impressions: int | None
    cap_hours: int
    recency_seconds: int
    post_click_days: int
    post_view_hours: int
    bid_factor: float
    pass_rate: float
    left_micros: int

    @property
    def paced_bid(self) -> int:
        return int(self.bid_micros * self.bid_factor)

    @property
    def has_room(self) -> bool:
        return has_room(self.left_micros, bid_kind=self.bid_kind, bid_micros=self.paced_bid)

    @property
    def converts_by_view(self) -> bool:
        """Whether what is paid for may come without a click."""
        return self.bid_kind == BidKind.CPA and self.post_view_hours > 0

    @property
    def needs_identity(self) -> bool:
        return self.cap_impressions is not None or self.recency_seconds > 0 or needs_identity(self.targeting)


@dataclass(frozen=True)
class Worth:
    """What each ad is worth at one placement; arrays (ads,). `values` are micro-units for a thousand impressions,
    `rates` the expected paid events of one impression; those that reach the floor are `sellable`. `misfits` counts ads
    that cannot stand there, by reason."""

    values: NDArray[np.float64]
    scores: NDArray[np.float64]
    rates: NDArray[np.float64]
    sellable: NDArray[np.bool_]
    misfits: Mapping[str, int]
    described: dict[tuple[int, str | None], str] = field(default_factory=dict)


@dataclass
class Snapshot:
    """Live ads and all placements of one tenant at one moment, indexed. Threads share it; only `refused` changes: a bit
    set of ads whose budget has refused since."""

    version: int
    read_at: float
    boundary: datetime
    settings: AdSettings
    ads: list[Ad]
    placements: dict[str, Placement]
    counts: dict[tuple[UUID, UUID], tuple[int, int, int]]
    experiments: list[tuple[UUID, list[dict[str, Any]]]] = field(default_factory=list)
    refused: int = 0
    worths: dict[str, Worth] = field(default_factory=dict)

    @property
    def has_passed(self) -> bool:
        """A flight or an experiment has begun or ended since, or a day with daily budgets of its own has begun."""
        return self.boundary <= datetime.now(UTC)

    def prepare(self, placements: Iterable[str]) -> None:
        """Find now what the next request would wait for; `placements` are keys of those that will be asked for."""
        _ = self.index, self.of_shape, self.splits, self.identified, self.unable, self.paced, self.longest_memory
        for key in placements:
            if key in self.placements:
                self.worth_at(self.placements[key])

    @cached_property
    def index(self) -> TargetingIndex:
        return TargetingIndex(ad.targeting for ad in self.ads)

    @cached_property
    def of_shape(self) -> dict[tuple[int, int, str], int]:
        """Ads by width, height and currency."""
        found: dict[tuple[int, int, str], int] = {}
        for position, ad in enumerate(self.ads):
            shape = (ad.width, ad.height, ad.currency)
            found[shape] = found.get(shape, 0) | 1 << position
        return found

    @cached_property
    def identified(self) -> int:
        """Ads that cannot be shown without knowing to whom."""
        return sum(1 << position for position, ad in enumerate(self.ads) if ad.needs_identity)

    @cached_property
    def unable(self) -> int:
        """Ads whose budget could not pay what they bid."""
        return sum(1 << position for position, ad in enumerate(self.ads) if not ad.has_room)

    @cached_property
    def longest_memory(self) -> timedelta:
        """How far back the caps of these ads look; nothing where none has one."""
        hours = max((ad.cap_hours for ad in self.ads if ad.cap_impressions is not None), default=0)
        return max(timedelta(hours=hours), timedelta(seconds=max((ad.recency_seconds for ad in self.ads), default=0)))

    @cached_property
    def of_flight(self) -> dict[UUID, int]:
        found: dict[UUID, int] = {}
        for position, ad in enumerate(self.ads):
            found[ad.flight_id] = found.get(ad.flight_id, 0) | 1 << position
        return found

    @cached_property
    def splits(self) -> list[Split]:
        """Of the experiments that run."""
        ads = {str(flight): bits for flight, bits in self.of_flight.items()}
        ads |= {str(ad.creative_id): 1 << position for position, ad in enumerate(self.ads)}
        return [split_of(experiment, arms, ads) for experiment, arms in self.experiments]

    @cached_property
    def is_personal(self) -> list[bool]:
        """By position of the ad: what it is paid for follows from a click, and so from what models say of clicks."""
        return [ad.bid_kind != BidKind.CPM and not ad.converts_by_view for ad in self.ads]

    @cached_property
    def pass_rates(self) -> NDArray[np.float64]:
        return np.array([ad.pass_rate for ad in self.ads])

    @cached_property
    def paced(self) -> bool:
        return bool((self.pass_rates < 1).any())

    @cached_property
    def flight_number(self) -> list[int]:
        """By position of the ad: ads of one flight share a number."""
        numbers = {flight: number for number, flight in enumerate(self.of_flight)}
        return [numbers[ad.flight_id] for ad in self.ads]

    @cached_property
    def flight_numbers(self) -> NDArray[np.int64]:
        """(ads,): the same."""
        return np.array(self.flight_number, dtype=np.int64)

    @cached_property
    def flight_names(self) -> list[str]:
        """Ids of the ads' flights as text, by position."""
        return [str(ad.flight_id) for ad in self.ads]

    @cached_property
    def most_ads_of_flight(self) -> int:
        return max((bits.bit_count() for bits in self.of_flight.values()), default=1)

    def worth_at(self, placement: Placement) -> Worth:
        """Of a placement, found once for a snapshot."""
        if placement.key not in self.worths:
            self.worths[placement.key] = _worth(self, placement)
        return self.worths[placement.key]

    def describe(self, position: int, worth: Worth, lost: str | None) -> str:
        """An ad as decisions keep it of an auction that it lost for this reason, or won: JSON, written once."""
        if (position, lost) not in worth.described:
            ad = self.ads[position]
            told = {
                "flight": str(ad.flight_id),
                "name": ad.flight_name[:60],
                "creative": str(ad.creative_id),
                "bid_micros": ad.paced_bid,
                "value_micros": round(float(worth.values[position])),
                "score": round(float(worth.scores[position]), 3),
                "lost": lost,
            }
            worth.described[position, lost] = json.dumps(told)
        return worth.described[position, lost]


_versions: Kept[int] = Kept(FRESH_SECONDS)
_snapshots: dict[int, Snapshot] = {}
_reading: dict[int, threading.Lock] = defaultdict(threading.Lock)


def current_snapshot() -> Snapshot:
    """The tenant's live ads as they were at most about a second ago.

    While one thread reads them anew the others go on with the ones before, unless a flight has begun or ended since.
    """
    version, tenant_id = _versions.get("snapshot", _read_version), current_tenant_id()
    known = _snapshots.get(tenant_id)
    if known is not None and _is_current(known, version):
        return known
    reading = _reading[tenant_id]
    if not reading.acquire(blocking=known is None or known.has_passed):
        assert known is not None
        return known
    try:
        known = _snapshots.get(tenant_id)
        if known is None or not _is_current(known, version):
            fresh = read_snapshot(version)
            fresh.prepare([] if known is None else list(known.worths))
            known = _snapshots[tenant_id] = fresh
        return known
    finally:
        reading.release()


def forget_snapshots() -> None:
    """Everything is read anew, by this process."""
    _versions.clear()
    _snapshots.clear()


def read_snapshot(version: int = 0) -> Snapshot:
    settings, now = current_settings(), timezone.now()
    local = now.astimezone(settings.zone)
    midnight = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    values: dict[str, Any] = {"tenant": current_tenant_id(), "now": now, "day": local.date(), "midnight": midnight}
    with connection.cursor() as cursor:
        cursor.execute(ADS, values)
        ads = [_ad(row) for row in cursor.fetchall()]
        cursor.execute(BOUNDARY, values)
        (boundary,) = cursor.fetchone()
        cursor.execute(COUNTS, [values["tenant"]])
        counts = {(creative, placement): tuple(row) for creative, placement, *row in cursor.fetchall()}
        cursor.execute(EXPERIMENTS, values)
        experiments = [(experiment, json.loads(arms)) for experiment, arms in cursor.fetchall()]
    # A page that asks for an archived one besides gets its other ads.
    placements = {each.key: each for each in Placement.objects.all()}
    return Snapshot(version, time.monotonic(), boundary, settings, ads, placements, counts, experiments)


def _read_version() -> int:
    with prepared_cursor() as cursor:
        cursor.execute(VERSION, [current_tenant_id()])
        row = cursor.fetchone()
    return row[0] if row else 0


def _is_current(known: Snapshot, version: int) -> bool:
    is_old = time.monotonic() - known.read_at > LONGEST_SECONDS
    return known.version == version and not (is_old or known.has_passed) and known.settings == current_settings()


def _ad(row: tuple[Any, ...]) -> Ad:
    values = list(row)
    # Django has the driver leave JSON as text.
    values[TARGETING] = json.loads(values[TARGETING])
    return Ad(*values)


def _worth(snapshot: Snapshot, placement: Placement) -> Worth:
    ads, settings = snapshot.ads, snapshot.settings
    pairs = [(ad.creative_id, placement.id) for ad in ads]
    found = rates_of(pairs, snapshot.counts, [ad.converts_by_view for ad in ads], settings)
    is_cpm = np.array([ad.bid_kind == BidKind.CPM for ad in ads], dtype=bool)
    is_cpa = np.array([ad.bid_kind == BidKind.CPA for ad in ads], dtype=bool)
    rates = np.where(is_cpm, 1e-3, np.where(is_cpa, found.bought, found.clicked))
    bids = np.array([ad.paced_bid for ad in ads], dtype=np.float64)
    # A CPM bid is a value already, exact to the micro-unit.
    values = np.where(is_cpm, bids, bids * rates * 1000)
    quality = np.array([ad.quality for ad in ads], dtype=np.float64)
    scores = values if placement.auction == "second_price" else values * quality
    sellable = (values > 0) & (values >= placement.floor_micros)
    return Worth(values, scores, rates, sellable, _misfits(ads, placement))


def _misfits(ads: Iterable[Ad], placement: Placement) -> dict[str, int]:
    size = placement.width, placement.height
    found = {
        "currency": sum(ad.currency != placement.currency for ad in ads),
        "size": sum(ad.currency == placement.currency and (ad.width, ad.height) != size for ad in ads),
    }
    return {reason: count for reason, count in found.items() if count}
