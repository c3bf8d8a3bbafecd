"""A tenant with something to advertise, and readers."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import F
from django.utils import timezone

from apps.ads.auctions.asking import Ask
from apps.ads.auctions.services import Placed, decide
from apps.ads.auctions.snapshot import forget_snapshots
from apps.ads.budgets.models import FlightBudget
from apps.ads.campaigns.models import Advertiser, Campaign, Creative, Flight, FlightStatus, Placement
from apps.ads.campaigns.services import create, review, set_status
from apps.ads.tracking.models import Delivery, EventKind, FilteredEvent
from apps.ads.tracking.services import Outcome, Visitor, record
from apps.ads.tracking.tokens import Token
from behavior.subjects import read_subject

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
READER = Visitor(BROWSER, "198.51.100.7")
UNIT = 1_000_000  # micro-units


def make_campaign(currency: str = "EUR") -> Campaign:
    advertiser = create(Advertiser, actor="test", name="Tents Ltd", currency=currency)
    return create(Campaign, actor="test", name="Autumn", advertiser_id=advertiser.id)


def make_placement(key: str = "top", **values: Any) -> Placement:
    values = {"name": key, "width": 300, "height": 250, "currency": "EUR"} | values
    return create(Placement, actor="test", key=key, **values)


def flight_values(**values: Any) -> dict[str, Any]:
    now = timezone.now()
    return {
        "name": "Flight",
        "starts_at": now - timedelta(hours=1),
        "ends_at": now + timedelta(days=10),
        "bid_kind": "cpm",
        "bid_micros": 2 * UNIT,
        "budget_micros": 100 * UNIT,
        "pacing": "asap",
    } | values


def make_creative(flight: Flight, **values: Any) -> Creative:
    values = {
        "name": "Banner",
        "width": 300,
        "height": 250,
        "text": "Sleep outside",
        "click_url": "https://tents.example/autumn",
    } | values
    creative = create(Creative, actor="test", flight_id=flight.id, **values)
    return review(creative_id=creative.id, approve=True, actor="test")


def make_live_flight(campaign: Campaign | None = None, creative: dict[str, Any] | None = None, **values: Any) -> Flight:
    campaign = campaign or make_campaign()
    flight = create(Flight, actor="test", campaign_id=campaign.id, **flight_values(**values))
    make_creative(flight, **(creative or {}))
    flight = set_status(flight_id=flight.id, status=FlightStatus.LIVE, actor="test")
    forget_snapshots()
    return flight


def token_of(delivery_id: UUID) -> Token:
    return Token(delivery_id, timezone.now() + timedelta(hours=1))


def see(delivery_id: UUID, visitor: Visitor = READER) -> Outcome:
    return record(token_of(delivery_id), EventKind.IMPRESSION, visitor)


def click(delivery_id: UUID, visitor: Visitor = READER) -> Outcome:
    return record(token_of(delivery_id), EventKind.CLICK, visitor)


def ask(user: str | None = "u1", *, consent: bool = True, placements: tuple[str, ...] = ("top",), **values: Any) -> Ask:
    subject = read_subject({"user_id": user}) if user and consent else None
    return Ask(placements, subject, user_agent=BROWSER, has_consent=consent, **values)


def decide_one(request: Ask | None = None) -> Placed:
    (placed,) = decide(request or ask())
    return placed


def flight_of(placed: Placed) -> Any:
    return placed.lead.ad.flight_id if placed.lead else None


def place(user: str = "u1") -> UUID:
    (placed,) = decide(Ask(("top",), read_subject({"user_id": user}), user_agent=BROWSER, has_consent=True))
    assert placed.lead is not None
    return placed.decision_id


def place_for(kind: str, **values: Any) -> UUID:
    make_placement(auction="first_price")
    make_live_flight(bid_kind=kind, bid_micros=UNIT, budget_micros=50 * UNIT, **values)
    return place()


def later(**span: float) -> None:
    """As if everything so far had happened that much earlier."""
    names = ("placed_at", "expires_at", "impression_at", "clicked_at")
    Delivery.objects.update(**{name: F(name) - timedelta(**span) for name in names})


def budget() -> FlightBudget:
    return FlightBudget.objects.get()


def filtered() -> dict[str, int]:
    return {each.reason: each.count for each in FilteredEvent.objects.all()}
