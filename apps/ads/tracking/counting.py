"""What rates are learnt from: impressions, clicks and conversions of each creative at each placement."""

from datetime import datetime, timedelta

from django.db import connection
from django.utils import timezone

from tenancy.scope import current_tenant_id

LEARNT_FROM = timedelta(days=14)
COUNT = """
    WITH counted AS MATERIALIZED (
        SELECT creative_id, placement_id, count(*) AS impressions, count(clicked_at) AS clicks,
            count(converted_at) AS conversions
        FROM ads_delivery WHERE tenant_id = %(tenant)s AND placed_at > %(since)s AND impression_at IS NOT NULL
        GROUP BY creative_id, placement_id
    ), forgotten AS (
        DELETE FROM ads_creativecount AS known WHERE tenant_id = %(tenant)s AND NOT EXISTS (
            SELECT FROM counted
            WHERE counted.creative_id = known.creative_id AND counted.placement_id = known.placement_id)
    )
    INSERT INTO ads_creativecount (tenant_id, creative_id, placement_id, impressions, clicks, conversions)
    SELECT %(tenant)s, creative_id, placement_id, impressions, clicks, conversions FROM counted
    ON CONFLICT (tenant_id, creative_id, placement_id) DO UPDATE SET
        impressions = excluded.impressions, clicks = excluded.clicks, conversions = excluded.conversions"""


def count_creatives(now: datetime | None = None) -> None:
    """Count the newest two weeks anew; what was not seen in them is forgotten. All of it is read, so it is done every
    ten minutes; deciding processes read the counts within half a minute."""
    with connection.cursor() as cursor:
        cursor.execute(COUNT, {"tenant": current_tenant_id(), "since": (now or timezone.now()) - LEARNT_FROM})
