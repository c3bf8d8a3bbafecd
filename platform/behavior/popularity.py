"""Hourly counts of events per item, kept up to date from what the log received since the last time."""

from django.db import connection

from behavior.models import ItemPopularity
from behavior.positions import move, take
from behavior.storing import settle_log
from tenancy.scope import current_tenant_id

READER = "item popularity"


def refresh_item_popularity() -> None:
    """Count what came since the last refresh, by the hour in which it occurred; each event is counted once.

    The position moves in the same transaction. Nothing happens while another refresh is under way.
    """
    place = take(READER)
    if place is None:
        return
    settled = settle_log()
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {ItemPopularity._meta.db_table} AS known (tenant_id, hour, item_id, type, count) "
            "SELECT %s, date_trunc('hour', occurred_at, 'UTC'), item_id, type, count(*) FROM behavior_event "
            "WHERE tenant_id = %s AND received_at >= %s AND received_at < %s AND item_id IS NOT NULL "
            "GROUP BY 2, 3, 4 ORDER BY 2, 3, 4 "
            "ON CONFLICT (tenant_id, hour, item_id, type) DO UPDATE SET count = known.count + excluded.count",
            [current_tenant_id(), current_tenant_id(), place.position, settled],
        )
    move(place, settled)
