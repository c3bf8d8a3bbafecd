"""Conversions: events of the behaviour log, each credited to the newest ad that its subject clicked, or else saw, of a
flight whose conversions are such events: the flight's `conversion_event`, or purchases where it names none.

The log is followed by its time of receipt. An event that names the decision of an ad counts for it; others count by
subject, where that agreed to it. A click counts for the flight's `post_click_days`, a view alone for its
`post_view_hours`. Each conversion is an event of the log itself. What it costs is billed afterwards, so that no budget
waits while many are credited.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from apps.ads.budgets.services import Reservation
from apps.ads.campaigns.models import MICROS
from apps.ads.tracking.event_log import SOURCE, ad_event
from apps.ads.tracking.models import CONVERSION
from apps.ads.tracking.services import charge
from behavior.clock import OLDEST_LIVE
from behavior.direct import JudgedEvent, store_judged
from behavior.event_types import PURCHASES
from behavior.models import Consent
from behavior.positions import move, take
from behavior.storing import settle_log_for
from tenancy.scope import current_tenant_id

READER = "ads conversions"
SLICE = 5_000  # events
BILLED_AT_ONCE = 100
MOST_REVENUE = 10**15  # micro-units of one event

EVENTS = """
    SELECT event_id, received_at, type, occurred_at, subject_key, decision_id, currency, consent,
        least(greatest(coalesce(value, 0) * coalesce(quantity, 1) * 1e6, 0), %(most)s)::bigint
    FROM behavior_event
    WHERE tenant_id = %(tenant)s AND received_at >= %(since)s AND received_at < %(until)s AND type = ANY(%(types)s)
    ORDER BY received_at, event_id LIMIT %(slice)s"""
# An ad is placed until its flight ends, or is archived, and is credited with what happens in 31 days after that.
# `since` is a time of receipt, which may be as much later as the log allows.
TYPES = f"""
    SELECT DISTINCT conversion_event FROM ads_flight
    WHERE tenant_id = %(tenant)s AND conversion_event <> '' AND status <> 'draft'
        AND least(ends_at, archived_at) > %(since)s - interval '31 days {OLDEST_LIVE} microseconds'"""
BY_CLICK = "coalesce(clicked_at BETWEEN %(at)s - make_interval(days => post_click_days) AND %(at)s, false)"
BY_VIEW = "coalesce(impression_at BETWEEN %(at)s - make_interval(hours => post_view_hours) AND %(at)s, false)"
RECENT = "placed_at BETWEEN %(at)s - interval '31 days' AND %(at)s"
# Last touch: the decision that the event names comes first, then clicks before views, then the newest. Whose a delivery
# is depends on when it was placed, since devices change hands. The array, and OFFSET, keep the planner from joining in
# bulk what is to be looked up key by key.
TOUCH = f"""
    SELECT delivery_id, flight_id, CASE WHEN {BY_CLICK} THEN 'click' ELSE 'view' END,
        (SELECT currency FROM ads_placement WHERE tenant_id = %(tenant)s AND id = placement_id)
    FROM ads_delivery
    WHERE tenant_id = %(tenant)s
        AND delivery_id = ANY (ARRAY(
            SELECT %(decision)s::uuid
            UNION ALL
            SELECT delivery_id FROM behavior_person(%(tenant)s, ARRAY[%(subject)s::bytea]) AS person
                CROSS JOIN LATERAL (
                    SELECT delivery_id FROM ads_delivery
                    WHERE tenant_id = %(tenant)s AND subject_key = person.key AND placed_at > person.after
                        AND placed_at <= person.until AND {RECENT} OFFSET 0
                ) AS placed))
        AND {RECENT} AND ({BY_CLICK} OR {BY_VIEW})
        AND EXISTS (SELECT FROM ads_flight WHERE tenant_id = %(tenant)s AND id = flight_id
            AND conversion_event = ANY(%(types)s))
    ORDER BY delivery_id IS NOT DISTINCT FROM %(decision)s DESC, {BY_CLICK} DESC,
        coalesce(clicked_at, impression_at) DESC LIMIT 1
    FOR UPDATE"""
ATTRIBUTE = """
    INSERT INTO ads_attributedconversion (tenant_id, event_id, delivery_id, flight_id, touch, value_micros, occurred_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""
COUNT = """
    UPDATE ads_delivery SET converted_at = coalesce(converted_at, %s), conversions = conversions + 1,
        revenue_micros = revenue_micros + %s
    WHERE tenant_id = %s AND delivery_id = %s"""
# Those whose row somebody holds come next time: waiting for them with budgets in hand could be a deadlock.
UNPAID = """
    SELECT converted_at, delivery_id, flight_id, bid_kind, price_micros, reserved_micros, day FROM ads_delivery
    WHERE tenant_id = %s AND status = 'open' AND bid_kind = 'cpa' AND converted_at IS NOT NULL
    ORDER BY flight_id LIMIT %s FOR UPDATE SKIP LOCKED"""


@dataclass(frozen=True)
class Achievement:
    """One event of the log that may be an ad's merit."""

    event_id: UUID
    type: str
    occurred_at: datetime
    subject_key: bytes
    decision_id: UUID | None
    currency: str | None
    consent: int
    value_micros: int

    @property
    def types(self) -> list[str]:
        """The `conversion_event` of flights that may claim it."""
        return [self.type, ""] if self.type in PURCHASES else [self.type]


def settle_conversions(*, limit: int = SLICE) -> int:
    """Credit the next events of the log that flights ask for; how many were read. 0 means that nothing is left, that
    the log was busy, or that another process is at it. The position moves in the same transaction, so a slice that is
    repeated changes nothing."""
    place = take(READER)
    if place is None:
        return 0
    settled = settle_log_for(place.position)
    if settled is None:
        return 0
    values: dict[str, Any] = {
        "tenant": current_tenant_id(),
        "since": place.position,
        "until": settled,
        "slice": limit,
        "most": MOST_REVENUE,
    }
    with connection.cursor() as cursor:
        cursor.execute(TYPES, values)
        values["types"] = sorted(PURCHASES.union(*cursor.fetchall()))
        cursor.execute(EVENTS, values)
        events = cursor.fetchall()
        if len(events) == limit:
            # What was received at one moment stays together; the events before it are settled now.
            settled = events[-1][1] + timedelta(microseconds=1)
            cursor.execute(EVENTS, values | {"until": settled, "slice": None})
            events = cursor.fetchall()
    credited = [_credit(Achievement(event_id, *rest)) for event_id, _, *rest in events]
    store_judged([event for event in credited if event], source=SOURCE)
    move(place, settled)
    return len(events)


def bill_conversions(*, limit: int = BILLED_AT_ONCE) -> int:
    """Bill the next credited deliveries that pay for a conversion, in order of flight; how many there were. What is to
    be billed stands in the deliveries, so a process that dies leaves it to the next."""
    with connection.cursor() as cursor:
        cursor.execute(UNPAID, [current_tenant_id(), limit])
        rows = cursor.fetchall()
    for converted_at, *reserved in rows:
        charge(Reservation(*reserved), CONVERSION, at=converted_at)
    return len(rows)


def _credit(achieved: Achievement) -> JudgedEvent | None:
    """What the log is told of the conversion; None where no ad may claim it, or one has done so before."""
    tenant, key = current_tenant_id(), bytes(achieved.subject_key)
    # Who somebody is counts only where it may; else the decision that the event names does alone.
    known = key if achieved.consent & Consent.PERSONALISATION else None
    with connection.cursor() as cursor:
        values = {
            "tenant": tenant,
            "decision": achieved.decision_id,
            "subject": known,
            "at": achieved.occurred_at,
            "types": achieved.types,
        }
        cursor.execute(TOUCH, values)
        row: tuple[Any, ...] | None = cursor.fetchone()
        if row is None:
            return None
        delivery, flight, touch, currency = row
        # What was paid in another currency cannot be added to the advertiser's.
        revenue = achieved.value_micros if achieved.currency in (None, currency) else 0
        conversion = (achieved.event_id, delivery, flight, touch, revenue, achieved.occurred_at)
        cursor.execute(ATTRIBUTE, [tenant, *conversion])
        if cursor.rowcount == 0:
            return None
        cursor.execute(COUNT, [achieved.occurred_at, revenue, tenant, delivery])
    return ad_event(
        "conversion",
        of=achieved.event_id,
        delivery_id=delivery,
        subject_key=key,
        consent=achieved.consent,
        at=achieved.occurred_at,
        properties={"flight": str(flight), "touch": touch, "event": str(achieved.event_id)},
        value=achieved.value_micros / MICROS,
        currency=achieved.currency,
    )
