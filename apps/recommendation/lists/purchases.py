"""Reads for the lists that rest on purchases and on the subject's own items."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection

from apps.recommendation.lists.candidates import Candidate, Cause, Ranked
from apps.recommendation.lists.settings import ScenarioSettings
from apps.recommendation.models import Within
from behavior.models import Consent
from behavior.selectors import EVENTS_OF_PERSON
from tenancy.scope import current_tenant_id

# An item is due again from this share of its interval on.
DUE_FROM = 0.8

PAIRED = """
    SELECT other_id, sum(added_value) AS score,
        (array_agg(item_id ORDER BY added_value DESC, item_id))[1] AS strongest, max(confidence) AS confidence
    FROM recommendation_itempair WHERE tenant_id = %(tenant)s AND within = %(within)s AND item_id = ANY(%(seeds)s)
    GROUP BY other_id ORDER BY score DESC, confidence DESC, other_id LIMIT %(limit)s"""
OWN = f"""
    FROM {EVENTS_OF_PERSON} WHERE type = ANY(%(types)s)
        AND item_id IS NOT NULL AND consent & %(consent)s <> 0 GROUP BY item_id"""
VIEWED = f"""
    SELECT item_id, max(occurred_at) AS viewed_at {OWN} ORDER BY viewed_at DESC, item_id LIMIT %(limit)s"""
# The usual interval of the item, else of the best known of its categories, else of this subject with the item. Each
# LIMIT makes a probe instead of a walk through all items.
DUE = f"""
    WITH own AS (
        SELECT item_id, max(occurred_at) AS newest, count(DISTINCT (occurred_at AT TIME ZONE 'UTC')::date) AS days,
            extract(epoch FROM max(occurred_at) - min(occurred_at)) / 86400 AS span
        {OWN}
    ),
    usual AS (
        SELECT own.*,
            greatest(coalesce(by_item.days, by_category.days, span / nullif(own.days - 1, 0)), 1) AS usual_days
        FROM own
            LEFT JOIN LATERAL (
                SELECT days FROM recommendation_repurchaseinterval AS known
                WHERE known.tenant_id = %(tenant)s AND known.of = 'item' AND known.name = own.item_id LIMIT 1
            ) AS by_item ON true
            LEFT JOIN LATERAL (
                SELECT categories FROM catalog_item WHERE tenant_id = %(tenant)s AND item_id = own.item_id LIMIT 1
            ) AS item ON true
            LEFT JOIN LATERAL (
                SELECT days FROM recommendation_repurchaseinterval AS known
                WHERE known.tenant_id = %(tenant)s AND known.of = 'category' AND known.name = ANY(item.categories)
                ORDER BY gaps DESC, name LIMIT 1
            ) AS by_category ON true
        WHERE coalesce(by_item.days, by_category.days, span / nullif(own.days - 1, 0)) IS NOT NULL
    ),
    due AS (SELECT item_id, extract(epoch FROM %(now)s - newest) / 86400 / usual_days AS elapsed FROM usual)
    SELECT item_id, least(elapsed, 1 / elapsed)::float8 AS score FROM due WHERE elapsed >= %(due_from)s
    ORDER BY score DESC, item_id LIMIT %(limit)s"""


def bought_with(seeds: Sequence[str], within: Within, limit: int) -> Ranked:
    """Items that are bought besides the seeds, by what the seeds add to their chance; several seeds add up.

    The weight of the cause is the confidence of the strongest seed.
    """
    code = "bought_together" if within == Within.BASKET else "also_bought"
    rows = _query(PAIRED, within=within.value, seeds=list(seeds), limit=limit)
    return Ranked(
        [Candidate(item_id, score, Cause(code, confidence, seed)) for item_id, score, seed, confidence in rows]
    )


def recently_viewed(keys: Sequence[bytes], settings: ScenarioSettings, limit: int) -> Ranked:
    """The subject's viewed items, each once, the newest first; the score is one through the place."""
    rows = _query(VIEWED, **_own(keys, settings.viewed_types), limit=limit)
    return Ranked(
        [
            Candidate(item_id, 1 / place, Cause("recently_viewed", 1 / place))
            for place, (item_id, _) in enumerate(rows, start=1)
        ]
    )


def due_again(keys: Sequence[bytes], settings: ScenarioSettings, now: datetime, limit: int) -> Ranked:
    """Items that the subject bought and that are due again; the score is 1 when just one interval has passed, and
    falls to either side, so that what was given up long ago comes last."""
    rows = _query(DUE, **_own(keys, settings.bought_types), now=now, due_from=DUE_FROM, limit=limit)
    return Ranked([Candidate(item_id, score, Cause("buy_again", score)) for item_id, score in rows])


def _own(keys: Sequence[bytes], types: Sequence[str]) -> dict[str, Any]:
    return {"keys": list(keys), "types": list(types), "consent": Consent.PERSONALISATION}


def _query(sql: str, **values: Any) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values | {"tenant": current_tenant_id()})
        return cursor.fetchall()
