"""Impressions, clicks and conversions join the behaviour log, where segments, sequences and other reports find them.

What a browser reports only marks the delivery's row; a task writes the events of many rows at once. An ad that was
placed without a subject has nobody whose behaviour it could be, and stays out. The events name no item: a creative is
none of the catalogue.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from uuid_utils.compat import uuid7

from apps.ads.tracking.models import TO_LOG, EventKind
from behavior.clock import to_micros
from behavior.direct import JudgedEvent, store_judged
from behavior.models import TimeQuality
from tenancy.scope import current_tenant_id

SOURCE = "ads"
SLICE = 1_000  # deliveries

TAKE = """
    UPDATE ads_delivery SET to_log = 0 FROM (
        SELECT delivery_id AS taken_id, to_log AS kinds FROM ads_delivery
        WHERE tenant_id = %(tenant)s AND to_log > 0 ORDER BY delivery_id LIMIT %(slice)s FOR UPDATE SKIP LOCKED
    ) AS taken WHERE tenant_id = %(tenant)s AND delivery_id = taken_id
    RETURNING kinds, delivery_id, subject_key, consent, flight_id, creative_id, placement_id,
        impression_at, clicked_at"""


def log_deliveries(*, limit: int = SLICE) -> int:
    """Write the events of the next deliveries that something happened to; how many deliveries there were. Marks and
    events are of one transaction, so each event is written once."""
    with connection.cursor() as cursor:
        cursor.execute(TAKE, {"tenant": current_tenant_id(), "slice": limit})
        rows = cursor.fetchall()
    store_judged([event for row in rows for event in _events_of(*row)], source=SOURCE)
    return len(rows)


def ad_event(
    kind: str,
    *,
    of: UUID,
    delivery_id: UUID,
    subject_key: bytes,
    consent: int,
    at: datetime,
    properties: dict[str, Any],
    **values: Any,
) -> JudgedEvent:
    """An event `ad_<kind>` of the log, one for each `of`. It names the decision that placed the ad."""
    return JudgedEvent(
        event_id=uuid7(),
        message_id=f"ads:{kind}:{of}",
        type=f"ad_{kind}",
        subject={},
        subject_key=subject_key,
        occurred_at=to_micros(at),
        time_quality=TimeQuality.SERVER,
        decision_id=delivery_id,
        consent=consent,
        properties=properties,
        **values,
    )


def _events_of(
    kinds: int,
    delivery_id: UUID,
    subject_key: bytes,
    consent: int,
    flight_id: UUID,
    creative_id: UUID,
    placement_id: UUID,
    impression_at: datetime,
    clicked_at: datetime,
) -> Iterator[JudgedEvent]:
    properties = {"flight": str(flight_id), "creative": str(creative_id), "placement": str(placement_id)}
    for kind, at in ((EventKind.IMPRESSION, impression_at), (EventKind.CLICK, clicked_at)):
        if kinds & TO_LOG[kind]:
            yield ad_event(
                kind.value,
                of=delivery_id,
                delivery_id=delivery_id,
                subject_key=bytes(subject_key),
                consent=consent,
                at=at,
                properties=properties,
            )
