"""Delivery and spend by any of CUTS, read from the deliveries and the ledger themselves.

An event counts in the hour in which it happened; a conversion in that of its purchase, however late the log has it.
Traffic that counts for nothing or is not paid for is kept by the hour: that of the first hour counts whole. An hour
that two spans share counts in the later one, and so it does of two days, since in some zones they begin within it.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.db import connection

from apps.ads.tracking.services import UNPAID
from tenancy.scope import current_tenant_id

CUTS = ("advertiser", "campaign", "flight", "creative", "placement", "country", "device", "day", "hour")
MOST_ROWS = 10_000
KEYS = {
    "advertiser": "advertiser.id::text",
    "campaign": "campaign.id::text",
    "flight": "flight_id::text",
}
# Of what happened, where the flight does not tell the cut.
PARTS = {
    "creative": "creative_id::text",
    "placement": "placement_id::text",
    "country": "country",
    "device": "device",
    "day": "to_char(moment AT TIME ZONE %(zone)s, 'YYYY-MM-DD')",
    # As a moment: at the end of summer time two hours have one name.
    "hour": "date_trunc('hour', moment, %(zone)s)",
}
# An hour in which the span ends is another's, unless it is the one under way, of a span until now.
HOURS = """tenant_id = %(tenant)s AND hour >= date_trunc('hour', %(since)s, 'UTC') AND hour < %(until)s
            AND (hour < date_trunc('hour', %(until)s, 'UTC') OR %(until)s > now() - interval '1 minute')"""
UNNAMED = "SELECT NULL::text, NULL::text LIMIT 0"
NAMES = {
    "advertiser": "SELECT id::text, name FROM ads_advertiser WHERE tenant_id = %(tenant)s",
    "campaign": "SELECT id::text, name FROM ads_campaign WHERE tenant_id = %(tenant)s",
    "flight": "SELECT id::text, name FROM ads_flight WHERE tenant_id = %(tenant)s",
    "creative": "SELECT id::text, name FROM ads_creative WHERE tenant_id = %(tenant)s",
    "placement": "SELECT id::text, key FROM ads_placement WHERE tenant_id = %(tenant)s",
    "country": UNNAMED,
    "device": UNNAMED,
    "day": UNNAMED,
    "hour": UNNAMED,
}
# One row of `happened` for each thing that happened, with its moment. They are counted before flights are joined: on
# tables that are not analysed yet the planner would read all of them again for each flight.
REPORT = """
    WITH happened AS (
        SELECT flight_id, creative_id, placement_id, country, device, event.*
        FROM ads_delivery CROSS JOIN LATERAL (VALUES
            (placed_at, 1, 0, 0, 0, 0, 0::bigint, 0::bigint, 0::bigint, 0::bigint),
            (impression_at, 0, 1, 0, 0, 0, 0, 0, 0, 0),
            (viewable_at, 0, 0, 1, 0, 0, 0, 0, 0, 0),
            (clicked_at, 0, 0, 0, 1, 0, 0, 0, 0, 0)
        ) AS event (moment, placed, seen, viewable, clicked, converted, revenue, spent, filtered, unpaid)
        WHERE tenant_id = %(tenant)s AND placed_at >= %(since)s - interval '32 days' AND placed_at < %(until)s
            AND moment >= %(since)s AND moment < %(until)s
        UNION ALL
        SELECT delivery.flight_id, creative_id, placement_id, country, device,
            moment, 0, 0, 0, 0, converted, revenue, spent, filtered, unpaid
        FROM (
            SELECT delivery_id, occurred_at, 1, value_micros, 0, 0, 0
            FROM ads_attributedconversion
            WHERE tenant_id = %(tenant)s AND occurred_at >= %(since)s AND occurred_at < %(until)s
            UNION ALL
            SELECT delivery_id, billed_at, 0, 0, amount_micros, 0, 0
            FROM ads_ledgerentry WHERE tenant_id = %(tenant)s AND billed_at >= %(since)s AND billed_at < %(until)s
            UNION ALL
            SELECT delivery_id, hour + interval '30 minutes', 0, 0, 0,
                CASE WHEN reason <> %(unpaid)s THEN count ELSE 0 END,
                CASE WHEN reason = %(unpaid)s THEN count ELSE 0 END FROM ads_filteredevent
            WHERE {hours}
        ) AS event (delivery_id, moment, converted, revenue, spent, filtered, unpaid)
            JOIN ads_delivery AS delivery ON delivery.tenant_id = %(tenant)s
                AND delivery.delivery_id = event.delivery_id
    ), counted AS MATERIALIZED (
        SELECT flight_id, {part} AS part, sum(placed) AS placed, sum(seen) AS seen, sum(viewable) AS viewable,
            sum(clicked) AS clicked, sum(converted) AS converted, sum(revenue) AS revenue, sum(spent) AS spent,
            sum(filtered) AS filtered, sum(unpaid) AS unpaid
        FROM happened WHERE %(flight)s::uuid IS NULL OR flight_id = %(flight)s GROUP BY 1, 2
    )
    SELECT {key} AS key, currency, sum(placed)::bigint, sum(seen)::bigint, sum(viewable)::bigint,
        sum(clicked)::bigint, sum(converted)::bigint, sum(filtered)::bigint, sum(unpaid)::bigint,
        sum(revenue)::bigint, sum(spent)::bigint
    FROM counted
        JOIN ads_flight AS flight ON flight.tenant_id = %(tenant)s AND flight.id = flight_id
        JOIN ads_campaign AS campaign ON campaign.tenant_id = %(tenant)s AND campaign.id = flight.campaign_id
        JOIN ads_advertiser AS advertiser
            ON advertiser.tenant_id = %(tenant)s AND advertiser.id = campaign.advertiser_id
    WHERE %(campaign)s::uuid IS NULL OR campaign.id = %(campaign)s
    GROUP BY 1, 2 ORDER BY 1, 2 LIMIT %(limit)s"""
FILTERED = f"""
    SELECT kind, reason, sum(count)::bigint FROM ads_filteredevent
    WHERE {HOURS} AND reason <> %(unpaid)s
        AND (%(flight)s::uuid IS NULL OR flight_id = %(flight)s)
        AND (%(campaign)s::uuid IS NULL OR flight_id IN (
            SELECT id FROM ads_flight WHERE tenant_id = %(tenant)s AND campaign_id = %(campaign)s))
    GROUP BY kind, reason ORDER BY kind, reason"""


@dataclass(frozen=True)
class ReportRow:
    """Counts of one cut; amounts in micro-units of `currency`; `filtered` are events that count for nothing, `unpaid`
    clicks and conversions that count and found no money. Rates are None where there is nothing to divide by."""

    key: str
    name: str
    currency: str
    placed: int
    impressions: int
    viewable: int
    clicks: int
    conversions: int
    filtered: int
    unpaid: int
    revenue_micros: int
    spend_micros: int

    @property
    def ctr(self) -> float | None:
        return _ratio(self.clicks, self.impressions)

    @property
    def cvr(self) -> float | None:
        return _ratio(self.conversions, self.clicks)

    @property
    def cpa_micros(self) -> float | None:
        return _ratio(self.spend_micros, self.conversions)

    @property
    def roas(self) -> float | None:
        return _ratio(self.revenue_micros, self.spend_micros)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"ctr": self.ctr, "cvr": self.cvr, "cpa_micros": self.cpa_micros, "roas": self.roas}


COLUMNS = (*ReportRow.__dataclass_fields__, "ctr", "cvr", "cpa_micros", "roas")


def report(
    *,
    by: str,
    since: datetime,
    until: datetime,
    zone: str = "UTC",
    flight_id: UUID | None = None,
    campaign_id: UUID | None = None,
) -> list[ReportRow]:
    """One row for each value of the cut `by` (of CUTS) and currency, from `since` until before `until`; hours and days
    are those of `zone`. Raises ValidationError where there are more than MOST_ROWS."""
    values: dict[str, Any] = {
        "tenant": current_tenant_id(),
        "since": since,
        "until": until,
        "zone": zone,
        "flight": flight_id,
        "campaign": campaign_id,
        "unpaid": UNPAID,
        "limit": MOST_ROWS + 1,
    }
    with connection.cursor() as cursor:
        cursor.execute(NAMES[by], values)
        names = dict(cursor.fetchall())
        cursor.execute(REPORT.format(key=KEYS.get(by, "part"), part=PARTS.get(by, "NULL"), hours=HOURS), values)
        rows = [(_key(key, zone), *row) for key, *row in cursor.fetchall()]
    if len(rows) > MOST_ROWS:
        problem = f"makes more than {MOST_ROWS:,} rows; choose a shorter time, another cut, or one campaign or flight"
        raise ValidationError({"by": problem})
    return [ReportRow(key, names.get(key, key or "unknown"), *row) for key, *row in rows]


def filtered_traffic(
    *, since: datetime, until: datetime, flight_id: UUID | None = None, campaign_id: UUID | None = None
) -> list[dict[str, Any]]:
    """{kind, reason, count} of the traffic that counted for nothing."""
    values: dict[str, Any] = {
        "tenant": current_tenant_id(),
        "since": since,
        "until": until,
        "flight": flight_id,
        "campaign": campaign_id,
        "unpaid": UNPAID,
    }
    with connection.cursor() as cursor:
        cursor.execute(FILTERED, values)
        return [{"kind": kind, "reason": reason, "count": count} for kind, reason, count in cursor.fetchall()]


def _key(key: str | datetime, zone: str) -> str:
    """An hour is told with its offset, such as 2026-10-25 02:00+01:00."""
    return key if isinstance(key, str) else key.astimezone(ZoneInfo(zone)).isoformat(" ", "minutes")


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
