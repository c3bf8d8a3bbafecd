"""Three advertisers with live flights, and today's readers of the shop's pages: what they saw, clicked and bought.

All of it goes through the same doors as a client's data, and only where it is missing.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import numpy as np
from django.utils import timezone

from apps.ads.auctions.asking import Ask
from apps.ads.auctions.services import decide
from apps.ads.campaigns.models import Advertiser, Campaign, Creative, Flight, FlightStatus, Placement
from apps.ads.campaigns.services import create, review, set_status
from apps.ads.tracking.models import EventKind
from apps.ads.tracking.services import Visitor, record
from apps.ads.tracking.tokens import Token
from behavior.services import store_events
from behavior.subjects import read_subject
from tenancy.scope import tenant_scope

ACTOR = "demo"
UNIT = 1_000_000  # micro-units
CURRENCY = "EUR"
READERS = 400
SEED = 11
PLACES = {"top": (728, 90), "side": (300, 250)}
COUNTRIES, KEYWORDS = ("DE", "AT", "CH"), ("tent", "boots", "stove", "map")
BROWSERS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Mobile Safari/537.36",
)
BOT = "Mozilla/5.0 (compatible; Examplebot/1.0)"
# Of those who see an ad, click it, and buy: more than in life, so that few readers fill the pages.
CLICKS, PURCHASES = 0.08, 0.3
# Whoever clicks sooner has not read what it says, and is not billed for.
READING_SECONDS = 0.6


@dataclass(frozen=True)
class Made:
    """A flight and what it shows, on every placement."""

    advertiser: str
    name: str
    text: str
    values: dict[str, Any] = field(default_factory=dict)


FLIGHTS = (
    Made(
        "Tents Ltd",
        "Tents for readers of tents",
        "Sleep outside: two-person tents from 89 euros",
        {
            "bid_kind": "cpc",
            "bid_micros": UNIT // 2,
            "budget_micros": 40 * UNIT,
            "targeting": {"include": {"keywords": ["tent"]}},
            "goal_kind": "clicks",
            "goal": 60,
        },
    ),
    Made(
        "Tents Ltd",
        "Everybody in Germany",
        "The autumn sale has begun",
        {
            "bid_kind": "cpm",
            "bid_micros": 4 * UNIT,
            "budget_micros": 25 * UNIT,
            "daily_budget_micros": 3 * UNIT,
            "targeting": {"include": {"countries": ["DE"]}},
            "cap_impressions": 3,
        },
    ),
    Made(
        "Trail Coffee",
        "Coffee for the trail",
        "Ground this morning, brewed on your stove",
        {"bid_kind": "cpa", "bid_micros": 20 * UNIT, "budget_micros": 4_000 * UNIT},
    ),
    Made(
        "Alpine Maps",
        "Maps on phones",
        "Every path of the Alps, also without a network",
        {
            "bid_kind": "cpc",
            "bid_micros": 3 * UNIT // 10,
            "budget_micros": 50 * UNIT,
            "targeting": {"include": {"devices": ["mobile"]}},
            "pacing": "asap",
        },
    ),
)
# Left for the operator to approve and to start.
WAITING = Made("Alpine Maps", "Winter maps", "Ski routes of the Alps", FLIGHTS[-1].values)

State = dict[str, Any]
Say = Callable[[str], None]


def fill_ads(tenant_id: int, *, state: State, save: Callable[[], None], say: Say) -> None:
    """Placements, advertisers, flights and today's readers; each once, also where a run was ended between them."""
    if "ads" not in state:
        with tenant_scope(tenant_id):
            _open_market()
        state["ads"] = {}
        save()
    if "clicks" in state["ads"]:
        return
    clicks = _read_pages(tenant_id)
    state["ads"] = {"clicks": clicks}
    save()
    say(f"Ads: {len(FLIGHTS)} live flights, {READERS} readers with {clicks} clicks")


def _open_market() -> None:
    taken = {*Placement.objects.values_list("key", flat=True)}
    for key, (width, height) in PLACES.items():
        if key in taken:
            continue
        create(
            Placement,
            actor=ACTOR,
            key=key,
            name=key.title(),
            width=width,
            height=height,
            currency=CURRENCY,
            floor_micros=UNIT // 10,
        )
    campaigns = {name: _campaign(name) for name in dict.fromkeys(made.advertiser for made in FLIGHTS)}
    for made in FLIGHTS:
        _start(_flight(made, campaigns[made.advertiser]))
    _flight(WAITING, campaigns[WAITING.advertiser])


def _campaign(advertiser: str) -> Campaign:
    owner = create(Advertiser, actor=ACTOR, name=advertiser, currency=CURRENCY)
    return create(Campaign, actor=ACTOR, name="Autumn", advertiser_id=owner.id)


def _flight(made: Made, campaign: Campaign) -> Flight:
    now = timezone.now()
    values = {"starts_at": now - timedelta(hours=1), "ends_at": now + timedelta(days=14)} | made.values
    flight = create(Flight, actor=ACTOR, campaign_id=campaign.id, name=made.name, **values)
    for key, (width, height) in PLACES.items():
        create(
            Creative,
            actor=ACTOR,
            flight_id=flight.id,
            name=key.title(),
            width=width,
            height=height,
            text=made.text,
            click_url="https://shop.example/",
        )
    return flight


def _start(flight: Flight) -> None:
    for creative in flight.creatives.all():
        review(creative_id=creative.id, approve=True, actor=ACTOR)
    set_status(flight_id=flight.id, status=FlightStatus.LIVE, actor=ACTOR)


def _read_pages(tenant_id: int) -> int:
    """Each reader opens one page with every placement; the number of clicks."""
    chance = np.random.default_rng(SEED)
    seen: list[tuple[UUID, str, Visitor]] = []
    for number in range(READERS):
        with tenant_scope(tenant_id):
            seen += _open_page(f"u-{number}", number, chance)
    time.sleep(READING_SECONDS)
    clicks = [each for each in seen if chance.random() < CLICKS]
    for delivery_id, user, visitor in clicks:
        with tenant_scope(tenant_id):
            record(_token(delivery_id), EventKind.CLICK, visitor)
            if chance.random() < PURCHASES:
                _buy(delivery_id, user, round(float(chance.uniform(20, 200)), 2))
    return len(clicks)


def _open_page(user: str, number: int, chance: np.random.Generator) -> list[tuple[UUID, str, Visitor]]:
    agent = BOT if number % 40 == 39 else BROWSERS[number % 2]
    ask = Ask(
        placements=tuple(PLACES),
        subject=read_subject({"user_id": user}),
        context={"country": str(chance.choice(COUNTRIES)), "language": "de"},
        keywords=(str(chance.choice(KEYWORDS)),),
        user_agent=agent,
        has_consent=True,
        may_train=True,
    )
    visitor = Visitor(agent, f"198.51.100.{number % 250 + 1}")
    placed = [each.decision_id for each in decide(ask) if each.lead]
    for delivery_id in placed:
        record(_token(delivery_id), EventKind.IMPRESSION, visitor)
    return [(delivery_id, user, visitor) for delivery_id in placed]


def _buy(delivery_id: UUID, user: str, value: float) -> None:
    purchase = {
        "message_id": f"ad-{delivery_id}",
        "type": "purchase",
        "subject": {"user_id": user},
        "item_id": "o0310",
        "value": value,
        "currency": CURRENCY,
        "decision_id": str(delivery_id),
    }
    store_events(events=[purchase], source=ACTOR)


def _token(delivery_id: UUID) -> Token:
    return Token(delivery_id, timezone.now() + timedelta(hours=1))
