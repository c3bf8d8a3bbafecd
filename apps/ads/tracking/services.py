"""What became of a placed ad: seen, viewable, clicked; each once, each judged, and billed where that was bought.

The delivery's row is claimed by one conditional UPDATE, so a token that is used many times at once counts once. The
budget and the ledger follow in the same transaction.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils import timezone

from apps.ads.budgets.services import Reservation, bill, give_back
from apps.ads.campaigns.models import BidKind
from apps.ads.settings import AdSettings, current_settings
from apps.ads.tracking.models import TO_LOG, DeliveryStatus, EventKind
from apps.ads.tracking.own import is_own
from apps.ads.tracking.tokens import Token
from apps.ads.tracking.traffic import OWN, click_problem, visitor_problem
from tenancy.scope import current_tenant_id

MOST_RETURNED = 1_000  # at a time
COLUMNS = (
    "delivery_id",
    "flight_id",
    "bid_kind",
    "price_micros",
    "reserved_micros",
    "day",
    "status",
    "click_url",
    "post_click_days",
    "post_view_hours",
    "expires_at",
    "subject_key",
    "impression_at",
    "viewable_at",
    "clicked_at",
)
# Locked, so that everything below is judged by what is true until the commit.
FIND = f"SELECT {', '.join(COLUMNS)} FROM ads_delivery WHERE tenant_id = %s AND delivery_id = %s FOR UPDATE"
CLICKS = """
    SELECT count(*) FROM ads_delivery
    WHERE tenant_id = %s AND subject_key = %s AND placed_at > %s AND clicked_at > %s"""
CLAIM = """
    UPDATE ads_delivery SET {column} = %(now)s, expires_at = greatest(expires_at, %(expires_at)s),
        to_log = CASE WHEN subject_key IS NULL THEN 0 ELSE to_log | %(to_log)s END
    WHERE tenant_id = %(tenant)s AND delivery_id = %(delivery)s AND {column} IS NULL AND status <> 'returned'"""
SETTLE = "UPDATE ads_delivery SET status = %s WHERE tenant_id = %s AND delivery_id = %s"
FILTER = """
    INSERT INTO ads_filteredevent AS known (tenant_id, delivery_id, kind, reason, flight_id, count, hour)
    VALUES (%s, %s, %s, %s, %s, 1, date_trunc('hour', %s::timestamptz, 'UTC'))
    ON CONFLICT (tenant_id, delivery_id, kind, reason, hour) DO UPDATE SET count = known.count + 1"""
# A conversion that was credited is billed, however long that takes; one that came in time is credited within minutes.
EXPIRED = f"""
    UPDATE ads_delivery SET status = 'returned' FROM (
        SELECT delivery_id AS expired_id FROM ads_delivery
        WHERE tenant_id = %(tenant)s AND status = 'open' AND expires_at <= %(now)s
            AND (bid_kind <> 'cpa' OR (converted_at IS NULL AND expires_at <= %(now)s - interval '3 minutes'))
        ORDER BY expires_at LIMIT {MOST_RETURNED} FOR UPDATE SKIP LOCKED
    ) AS expired WHERE tenant_id = %(tenant)s AND delivery_id = expired_id
    RETURNING delivery_id, flight_id, bid_kind, price_micros, reserved_micros, day"""
COLUMN = {
    EventKind.IMPRESSION: "impression_at",
    EventKind.VIEWABLE: "viewable_at",
    EventKind.CLICK: "clicked_at",
}
# Why an event that counts is not billed: the flight's money was spent before it came.
UNPAID = "unpaid"
BOUGHT = {EventKind.IMPRESSION: BidKind.CPM, EventKind.CLICK: BidKind.CPC}


class UnknownDelivery(Exception):
    """The token is genuine, and what it names is not there any more."""


@dataclass(frozen=True)
class Visitor:
    """Who uses a token, as far as the connection tells."""

    user_agent: str
    address: str


@dataclass(frozen=True)
class Outcome:
    """`filtered` says why the event counts for nothing, or UNPAID; `billed_micros` is 0 where it was not what was
    bought."""

    click_url: str
    filtered: str | None = None
    billed_micros: int = 0

    @property
    def is_counted(self) -> bool:
        return self.filtered in (None, UNPAID)


def record(token: Token, kind: EventKind, visitor: Visitor) -> Outcome:
    """Take one event of a placed ad. Raises UnknownDelivery."""
    now, settings = timezone.now(), current_settings()
    delivery = _find(token.delivery_id)
    if problem := _problem(delivery, token, kind, visitor, now, settings):
        _filter(delivery["delivery_id"], delivery["flight_id"], kind, problem, now)
        return Outcome(delivery["click_url"], problem)
    _claim(delivery, kind, now, settings)
    if delivery["bid_kind"] != BOUGHT.get(kind) or delivery["status"] != DeliveryStatus.OPEN:
        return Outcome(delivery["click_url"])
    amount = charge(_reservation(delivery), kind, at=now)
    return Outcome(delivery["click_url"], UNPAID if amount is None else None, amount or 0)


def charge(reservation: Reservation, kind: str, *, at: datetime) -> int | None:
    """Bill an open delivery whose row the transaction holds, for an event that counts; the amount in micro-units. Where
    the money is spent it is None: what was reserved goes back, and the event is noted as UNPAID."""
    amount = bill(reservation, at=at)
    if amount is None:
        give_back([reservation])
        _filter(reservation.delivery_id, reservation.flight_id, kind, UNPAID, timezone.now())
    status = DeliveryStatus.RETURNED if amount is None else DeliveryStatus.BILLED
    with connection.cursor() as cursor:
        cursor.execute(SETTLE, [status, current_tenant_id(), reservation.delivery_id])
    return amount


def return_expired(now: datetime | None = None) -> int:
    """Give the reservations of ads that nobody saw or clicked in time back to their budgets; how many there were, a
    thousand at most."""
    with connection.cursor() as cursor:
        cursor.execute(EXPIRED, {"tenant": current_tenant_id(), "now": now or timezone.now()})
        reservations = [Reservation(*row) for row in cursor.fetchall()]
    give_back(reservations)
    return len(reservations)


def _find(delivery_id: UUID) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(FIND, [current_tenant_id(), delivery_id])
        row = cursor.fetchone()
    if row is None:
        raise UnknownDelivery(f"there is no delivery {delivery_id}")
    return dict(zip(COLUMNS, row, strict=True))


def _problem(
    delivery: dict[str, Any], token: Token, kind: EventKind, visitor: Visitor, now: datetime, settings: AdSettings
) -> str | None:
    """Why an event counts for nothing, the plainest reason first."""
    if delivery[COLUMN[kind]] is not None:
        return "replayed"
    if token.is_expired or delivery["status"] == "returned" or now >= delivery["expires_at"]:
        return "expired"
    if problem := visitor_problem(visitor.user_agent, visitor.address, settings):
        return problem
    if is_own(delivery["flight_id"], delivery["subject_key"], visitor.address):
        return OWN
    if kind == EventKind.VIEWABLE:
        return "not_seen" if delivery["impression_at"] is None else None
    if kind == EventKind.CLICK:
        clicks = _clicks_of_subject(delivery["subject_key"], now)
        return click_problem(delivery, now=now, clicks_of_subject=clicks, settings=settings)
    return None


def _clicks_of_subject(subject_key: bytes | None, now: datetime) -> int:
    if subject_key is None:
        return 0
    with connection.cursor() as cursor:
        since = now - timedelta(hours=1)
        cursor.execute(CLICKS, [current_tenant_id(), subject_key, now - timedelta(days=2), since])
        return int(cursor.fetchone()[0])


def _claim(delivery: dict[str, Any], kind: EventKind, now: datetime, settings: AdSettings) -> None:
    """Mark the event, and keep the reservation as long as what was bought may still come."""
    values = {
        "now": now,
        "tenant": current_tenant_id(),
        "delivery": delivery["delivery_id"],
        "expires_at": now + _time_left(delivery, kind, settings),
        "to_log": TO_LOG[kind],
    }
    with connection.cursor() as cursor:
        cursor.execute(CLAIM.format(column=COLUMN[kind]), values)


def _time_left(delivery: dict[str, Any], kind: EventKind, settings: AdSettings) -> timedelta:
    if kind == EventKind.CLICK:
        return timedelta(days=delivery["post_click_days"])
    if kind == EventKind.VIEWABLE:
        return timedelta(0)
    # Only a conversion can follow from a view alone.
    view_hours = delivery["post_view_hours"] if delivery["bid_kind"] == BidKind.CPA else 0
    return max(timedelta(minutes=settings.click_minutes), timedelta(hours=view_hours))


def _filter(delivery_id: UUID, flight_id: UUID, kind: str, reason: str, now: datetime) -> None:
    row = (delivery_id, kind, reason, flight_id, now)
    with connection.cursor() as cursor:
        cursor.execute(FILTER, [current_tenant_id(), *row])


def _reservation(delivery: dict[str, Any]) -> Reservation:
    names = ("delivery_id", "flight_id", "bid_kind", "price_micros", "reserved_micros", "day")
    return Reservation(*(delivery[name] for name in names))
