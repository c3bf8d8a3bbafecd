"""Keeps the counts behind the KPI of scenarios up to date: new lists are added, and what came of them is judged.

An event counts for the list whose decision it names, if its item was in that list and it came in time: impressions and
clicks within CLICK_WINDOW_MINUTES after the decision, carts and purchases within PURCHASE_WINDOW_DAYS. An event names
one decision, so each conversion counts once, for the list that the client says it came from (the last one touched).

A list of a batch was made long before it is seen, if it ever is. It counts from the first impression, click, cart or
purchase that names it: on that day, and with the windows beginning then.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.utils import timezone

from behavior.clock import EPOCH
from behavior.event_types import PURCHASES
from behavior.models import LogPosition
from behavior.positions import move, take
from behavior.storing import settle_log
from decisions.models import ListCount, ListOutcome, ShownItem
from tenancy.scope import current_tenant_id

LISTS, OUTCOMES = "lists of scenarios", "outcomes of lists"
# A list is committed within moments of `decided_at`, and its id carries nearly the same time.
COMMITTED_AFTER = timedelta(seconds=30)
ID_SLACK = timedelta(minutes=10)
# A client's clock may say that the click came before the list.
CLOCK_SLACK = timedelta(minutes=5)
# An event that arrives later than this after its window is no longer looked for.
LATE = timedelta(days=28)

CLICKS = frozenset({"click", "view"})
CARTS = frozenset({"add_to_cart", "cart"})

# Latencies fall into buckets that grow by a tenth from 0.1 ms to 10 s, the last one open.
FASTEST_MS, SLOWEST_MS, BUCKETS = 0.1, 10_000.0, 120
LATENCIES = {"fastest": FASTEST_MS, "slowest": SLOWEST_MS, "buckets": BUCKETS}

# Whatever names a list of a batch by an event of these types has the e-mail before its eyes.
SHOWING = frozenset({"impression"}) | CLICKS | CARTS | PURCHASES

SHOWN_AT_ONCE = """
    SELECT scenario, latency_ms, degraded, items, decided_at AS shown_at FROM decisions_decision
    WHERE tenant_id = %(tenant)s AND decision_id >= %(first_id)s
        AND decided_at >= %(since)s AND decided_at < %(until)s AND NOT request ? 'batch'"""
# A list whose first event was counted by an earlier refresh is left out, so each is counted once.
SHOWN_LATER = """
    SELECT scenario, latency_ms, degraded, items, first_named.shown_at FROM (
        SELECT decision_id, min(received_at) AS shown_at FROM behavior_event
        WHERE tenant_id = %(tenant)s AND received_at >= %(earliest)s AND received_at < %(until)s
            AND type = ANY(%(showing)s) AND decision_id IN (
                SELECT decision_id FROM behavior_event JOIN decisions_decision USING (tenant_id, decision_id)
                WHERE tenant_id = %(tenant)s AND received_at >= %(since)s AND received_at < %(until)s
                    AND decided_at >= %(earliest)s AND request ? 'batch')
        GROUP BY decision_id HAVING min(received_at) >= %(since)s
    ) AS first_named JOIN decisions_decision USING (decision_id)
    WHERE tenant_id = %(tenant)s AND decided_at >= %(earliest)s"""
COUNT_LISTS = """
    INSERT INTO decisions_listcount AS known (tenant_id, scenario, day, latency_bucket, lists, items, degraded)
    SELECT %(tenant)s, scenario, (shown_at AT TIME ZONE 'UTC')::date,
        width_bucket(
            ln(greatest(latency_ms, %(fastest)s)), ln(%(fastest)s::float8), ln(%(slowest)s::float8), %(buckets)s
        ) - 1 AS bucket,
        count(*), sum(jsonb_array_length(items)), count(degraded)
    FROM ({shown}) AS list
    GROUP BY 2, 3, 4 ORDER BY 2, 3, 4
    ON CONFLICT (tenant_id, scenario, day, latency_bucket) DO UPDATE SET lists = known.lists + excluded.lists,
        items = known.items + excluded.items, degraded = known.degraded + excluded.degraded"""
COUNT_ITEMS = """
    INSERT INTO decisions_shownitem AS known (tenant_id, scenario, day, item_id, lists)
    SELECT %(tenant)s, scenario, (shown_at AT TIME ZONE 'UTC')::date, item ->> 'id', count(*)
    FROM ({shown}) AS list CROSS JOIN jsonb_array_elements(items) AS item
    WHERE item ->> 'id' IS NOT NULL
    GROUP BY 2, 3, 4 ORDER BY 2, 3, 4
    ON CONFLICT (tenant_id, scenario, day, item_id) DO UPDATE SET lists = known.lists + excluded.lists"""
JUDGE_OUTCOMES = """
    WITH touched AS (
        SELECT DISTINCT decision_id FROM behavior_event
        WHERE tenant_id = %(tenant)s AND received_at >= %(since)s AND received_at < %(until)s
            AND decision_id IS NOT NULL
    ),
    list AS MATERIALIZED (
        SELECT decision_id, scenario, decided_at, items, CASE WHEN request ? 'batch' THEN (
                SELECT min(received_at) FROM behavior_event AS event
                WHERE event.tenant_id = %(tenant)s AND event.decision_id = touched.decision_id
                    AND received_at >= %(earliest)s AND received_at < %(until)s AND type = ANY(%(showing)s)
            ) ELSE decided_at END AS shown_at
        FROM touched JOIN decisions_decision USING (decision_id)
        WHERE tenant_id = %(tenant)s AND decided_at >= %(earliest)s
    ),
    followed AS (
        SELECT list.decision_id, scenario, shown_at, type, item_id, value, currency,
            first_value(currency) OVER (
                PARTITION BY list.decision_id ORDER BY type = ANY(%(purchases)s) DESC, occurred_at, event_id
            ) AS paid_in
        FROM list JOIN behavior_event AS event
            ON event.tenant_id = %(tenant)s AND event.decision_id = list.decision_id
                AND event.received_at >= %(earliest)s AND event.received_at < %(until)s
        WHERE items @> jsonb_build_array(jsonb_build_object('id', item_id))
            AND occurred_at >= decided_at - %(clock_slack)s::interval
            AND occurred_at < shown_at + CASE WHEN type = ANY(%(short)s)
                THEN %(click_window)s::interval ELSE %(purchase_window)s::interval END
    )
    INSERT INTO decisions_listoutcome
        (tenant_id, decision_id, scenario, decided_at, seen, clicked, carted, bought, revenue, currency)
    SELECT %(tenant)s, decision_id, scenario, shown_at,
        count(DISTINCT item_id) FILTER (WHERE type = 'impression'),
        count(DISTINCT item_id) FILTER (WHERE type = ANY(%(clicks)s)),
        count(DISTINCT item_id) FILTER (WHERE type = ANY(%(carts)s)),
        count(DISTINCT item_id) FILTER (WHERE type = ANY(%(purchases)s)),
        coalesce(sum(value) FILTER (WHERE type = ANY(%(purchases)s) AND value > 0
            AND currency IS NOT DISTINCT FROM paid_in), 0),
        CASE WHEN bool_or(type = ANY(%(purchases)s)) THEN paid_in END
    FROM followed GROUP BY decision_id, scenario, shown_at, paid_in ORDER BY decision_id
    ON CONFLICT (tenant_id, decision_id) DO UPDATE SET seen = excluded.seen, clicked = excluded.clicked,
        carted = excluded.carted, bought = excluded.bought, revenue = excluded.revenue, currency = excluded.currency"""


@dataclass(frozen=True)
class Windows:
    """How long after a decision an event counts for it."""

    click: timedelta
    purchase: timedelta


def windows() -> Windows:
    return Windows(
        timedelta(minutes=settings.CLICK_WINDOW_MINUTES),
        timedelta(days=settings.PURCHASE_WINDOW_DAYS),
    )


def refresh_kpi(*, committed_after: timedelta = COMMITTED_AFTER) -> None:
    """Count the lists and the events that came since the last refresh.

    Each list is added once: its reader's position moves in the same transaction, and nothing happens while another
    refresh is under way. What came of a list is counted anew whenever an event names it, so an event that comes late
    or twice does no harm.
    """
    outcomes, lists = take(OUTCOMES), take(LISTS)
    if outcomes is None or lists is None:
        return
    until = max(lists.position, timezone.now() - committed_after)
    _execute(
        _counting(SHOWN_AT_ONCE),
        since=lists.position,
        until=until,
        first_id=first_id_since(lists.position - ID_SLACK),
        **LATENCIES,
    )
    move(lists, until)
    settled, allowed = settle_log(), windows()
    _execute(
        (*_counting(SHOWN_LATER), JUDGE_OUTCOMES),
        **LATENCIES,
        since=outcomes.position,
        until=settled,
        earliest=outcomes.position - LATE - allowed.purchase,
        clock_slack=CLOCK_SLACK,
        click_window=allowed.click,
        purchase_window=allowed.purchase,
        showing=list(SHOWING),
        short=["impression", *CLICKS],
        clicks=list(CLICKS),
        carts=list(CARTS),
        purchases=list(PURCHASES),
    )
    move(outcomes, settled)


def recount_kpi() -> None:
    """Forget all counts and make them anew from the decisions and the log, as after a change of the windows."""
    # Both rows are locked first, in the order of a refresh, so that none counts in between.
    places = [take(reader, wait=True) for reader in (OUTCOMES, LISTS)]
    for counted in (ListCount, ShownItem, ListOutcome):
        counted.objects.all().delete()
    for place in filter(None, places):
        move(place, EPOCH)
    refresh_kpi()


def counted_until() -> datetime | None:
    """The time up to which lists are counted; None before the first refresh."""
    return LogPosition.objects.filter(reader=LISTS).values_list("position", flat=True).first()


def _counting(shown: str) -> tuple[str, ...]:
    """Statements that add these lists, and their items, to the counts."""
    return COUNT_LISTS.format(shown=shown), COUNT_ITEMS.format(shown=shown)


def _execute(statements: tuple[str, ...], **values: Any) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement, values | {"tenant": current_tenant_id()})


def first_id_since(moment: datetime) -> UUID:
    """The least id of version 7 that a decision of this time or later can have."""
    return UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)
