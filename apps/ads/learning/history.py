"""What a subject did before an ad was placed, as a model of rates reads it: its last views, purchases and the like, and
the ads that it clicked. Training and auctions read it by one expression of SQL, so that both see the same.
"""

from datetime import datetime
from typing import Any

from django.db import connection

from behavior.models import ALL_CONSENT
from tenancy.scope import current_tenant_id

LENGTH = 20  # events


def history_at(key: str, moment: str) -> str:
    """A statement that gives one row: what the person named by the expression `key` did, oldest first, as far as the
    log held it at `moment`; events with full consent alone. Parameter `tenant`.

    An event is told as "view sku-1", the click of an ad by its creative.
    """
    return f"""
        SELECT coalesce(array_agg(told ORDER BY occurred_at, event_id), ARRAY[]::text[]) FROM (
            SELECT last.* FROM behavior_person(%(tenant)s, ARRAY[{key}]) AS person CROSS JOIN LATERAL (
                SELECT occurred_at, event_id,
                    CASE WHEN type = 'ad_click' THEN properties ->> 'creative' ELSE type || ' ' || item_id END AS told
                FROM behavior_event
                WHERE tenant_id = %(tenant)s AND subject_key = person.key AND occurred_at > person.after
                    AND occurred_at <= least(person.until, {moment}) AND received_at <= {moment}
                    AND consent & {ALL_CONSENT} = {ALL_CONSENT} AND (item_id IS NOT NULL OR type = 'ad_click')
                ORDER BY occurred_at DESC, event_id DESC LIMIT {LENGTH}
            ) AS last ORDER BY last.occurred_at DESC, last.event_id DESC LIMIT {LENGTH}
        ) AS newest"""


HISTORY = history_at("%(key)s::bytea", "%(moment)s::timestamptz")


def history_of(subject_key: bytes, moment: datetime) -> list[str]:
    """What the subject did until then, oldest first, LENGTH events at most; one read."""
    values: dict[str, Any] = {"tenant": current_tenant_id(), "key": subject_key, "moment": moment}
    with connection.cursor() as cursor:
        cursor.execute(HISTORY, values)
        (history,) = cursor.fetchone()
    return list(history)
