"""Learning from purchases what is bought together and how soon it is bought again; off the request's path.

A basket is what one session, or one subject without a session, bought on one day. Confidence is the mean of a Beta
posterior whose prior has the item's overall share as its mean and SHRINKAGE baskets as its weight, so that one
coincidence does not make a pair. Pairs are ranked by added value, confidence less base rate (Tan, Kumar and Srivastava
2002), which holds back what is in every basket anyway.
"""

from datetime import timedelta
from typing import Any

from django.db import connection

from apps.recommendation.lists.settings import ScenarioSettings
from apps.recommendation.models import ItemPair, RepurchaseInterval, Within
from apps.recommendation.scenarios import APPLICATION
from behavior.models import Consent, LogPosition
from behavior.positions import move, take
from behavior.storing import settle_log
from decisions.selectors import scenarios
from tenancy.scope import current_tenant_id

READER = "purchase habits"
# Purchases of so many days before the newest one count.
WINDOW = timedelta(days=365)
SHRINKAGE = 5.0
LEAST_TOGETHER = 2
# A wholesaler's basket says nothing of what goes together, and its pairs grow with the square of its size.
LARGEST_BASKET = 100
PAIRS_KEPT = 50
LEAST_GAPS = 3

BOUGHT = """
    FROM behavior_event
    WHERE tenant_id = %(tenant)s AND type = ANY(%(bought)s) AND item_id IS NOT NULL AND consent & %(consent)s <> 0
        AND occurred_at > (
            SELECT max(occurred_at) FROM behavior_event WHERE tenant_id = %(tenant)s AND type = ANY(%(bought)s)
        ) - %(window)s::interval"""
# Who, and when, make a basket.
BASKETS = {
    Within.BASKET: "coalesce(session_key, subject_key) AS who, (occurred_at AT TIME ZONE 'UTC')::date AS day",
    Within.SUBJECT: "subject_key AS who, DATE 'epoch' AS day",
}
PAIRS = """
    INSERT INTO recommendation_itempair (tenant_id, within, item_id, other_id, together, confidence, added_value)
    WITH bought AS (SELECT DISTINCT {basket}, item_id {bought}),
    basket AS (SELECT who, day FROM bought GROUP BY who, day HAVING count(*) <= %(largest)s),
    held AS (SELECT who, day, item_id FROM bought JOIN basket USING (who, day)),
    every AS MATERIALIZED (SELECT count(*)::float8 AS baskets FROM basket),
    item AS (SELECT item_id, count(*)::float8 AS baskets FROM held GROUP BY item_id),
    pair AS (
        SELECT one.item_id, other.item_id AS other_id, count(*) AS together
        FROM held AS one JOIN held AS other USING (who, day) WHERE one.item_id <> other.item_id
        GROUP BY 1, 2 HAVING count(*) >= %(least)s
    ),
    rule AS (
        SELECT pair.*, other.baskets / every.baskets AS base,
            (together + %(shrinkage)s * other.baskets / every.baskets) / (one.baskets + %(shrinkage)s) AS confidence
        FROM pair JOIN item AS one ON one.item_id = pair.item_id JOIN item AS other ON other.item_id = pair.other_id
            CROSS JOIN every
        WHERE together * every.baskets >= one.baskets * other.baskets
    ),
    ranked AS (
        SELECT *, row_number() OVER strongest AS place FROM rule
        WINDOW strongest AS (PARTITION BY item_id ORDER BY confidence - base DESC, together DESC, other_id)
    )
    SELECT %(tenant)s, %(within)s, item_id, other_id, together, confidence, greatest(confidence - base, 0)
    FROM ranked WHERE place <= %(kept)s"""
INTERVALS = """
    INSERT INTO recommendation_repurchaseinterval (tenant_id, of, name, days, gaps)
    WITH bought AS (SELECT DISTINCT subject_key, item_id, (occurred_at AT TIME ZONE 'UTC')::date AS day {bought}),
    follows AS (
        SELECT item_id, day - lag(day) OVER (PARTITION BY subject_key, item_id ORDER BY day) AS days FROM bought
    ),
    gap AS (SELECT * FROM follows WHERE days IS NOT NULL),
    named AS (
        SELECT 'item' AS of, item_id AS name, days FROM gap
        UNION ALL
        SELECT 'category', category, days
        FROM gap JOIN catalog_item AS item ON item.tenant_id = %(tenant)s AND item.item_id = gap.item_id
            CROSS JOIN unnest(item.categories) AS category
    )
    SELECT %(tenant)s, of, name, percentile_cont(0.5) WITHIN GROUP (ORDER BY days), count(*)
    FROM named GROUP BY of, name HAVING count(*) >= %(least_gaps)s"""


def refresh_purchase_habits() -> None:
    """Count pairs and intervals anew where purchases came since the last time.

    Nothing happens while another refresh is under way; until it ends, readers see what was there before.
    """
    place = take(READER)
    if place is None:
        return
    settled = settle_log()
    bought = purchase_types()
    if not _bought_since(place, bought):
        return
    values: dict[str, Any] = {
        "tenant": current_tenant_id(),
        "bought": bought,
        "consent": Consent.TRAINING,
        "window": WINDOW,
        "largest": LARGEST_BASKET,
        "least": LEAST_TOGETHER,
        "shrinkage": SHRINKAGE,
        "kept": PAIRS_KEPT,
        "least_gaps": LEAST_GAPS,
    }
    ItemPair.objects.all().delete()
    RepurchaseInterval.objects.all().delete()
    with connection.cursor() as cursor:
        # The planner knows nothing of the sizes in between and takes them for small; nested loops would never end.
        cursor.execute("SET LOCAL enable_nestloop = off")
        for within, basket in BASKETS.items():
            cursor.execute(PAIRS.format(basket=basket, bought=BOUGHT), values | {"within": within.value})
        cursor.execute(INTERVALS.format(bought=BOUGHT), values)
        cursor.execute("SET LOCAL enable_nestloop = on")
    move(place, settled)


def purchase_types() -> list[str]:
    """What any of the tenant's recommendation scenarios takes for a purchase."""
    settings: list[dict[str, Any]] = list(scenarios(APPLICATION).values_list("settings", flat=True))
    named = {each for one in settings for each in one.get("bought_types", ())}
    return sorted(named.union(ScenarioSettings().bought_types))


def _bought_since(place: LogPosition, bought: list[str]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM behavior_event WHERE tenant_id = %s AND received_at >= %s AND type = ANY(%s))",
            [current_tenant_id(), place.position, bought],
        )
        return bool(cursor.fetchone()[0])
