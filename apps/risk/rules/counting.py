"""How often rules and lists hit, counted by day from the decisions.

An assessment's decision holds one item whose `rules` are the keys of the hits; its request's `shadow_rules` are those
in shadow, as objects with a key.
"""

from datetime import date, timedelta

from django.db import connection
from django.db.models import Sum
from django.utils import timezone

from apps.risk.rules.models import RuleHits
from behavior.positions import move, take
from decisions.counting import first_id_since
from tenancy.scope import current_tenant_id

READER = "hits of risk rules"
# A decision is committed within moments of `decided_at`, and its id carries nearly the same time.
COMMITTED_AFTER = timedelta(seconds=30)
ID_SLACK = timedelta(minutes=10)
COUNT = """
    INSERT INTO risk_rulehits AS known (tenant_id, key, day, live, shadow)
    SELECT %(tenant)s, hit.key, (decided_at AT TIME ZONE 'UTC')::date,
        count(*) FILTER (WHERE hit.is_live), count(*) FILTER (WHERE NOT hit.is_live)
    FROM decisions_decision
        CROSS JOIN LATERAL (
            SELECT jsonb_array_elements_text(items -> 0 -> 'rules') AS key, true AS is_live
            WHERE jsonb_typeof(items -> 0 -> 'rules') = 'array'
            UNION ALL
            SELECT jsonb_array_elements(request -> 'shadow_rules') ->> 'key', false
            WHERE jsonb_typeof(request -> 'shadow_rules') = 'array'
        ) AS hit
    WHERE tenant_id = %(tenant)s AND application = 'risk' AND decision_id >= %(first_id)s
        AND decided_at >= %(since)s AND decided_at < %(until)s
    GROUP BY 2, 3 ORDER BY 2, 3
    ON CONFLICT (tenant_id, key, day) DO UPDATE
        SET live = known.live + excluded.live, shadow = known.shadow + excluded.shadow"""


def count_hits(*, committed_after: timedelta = COMMITTED_AFTER) -> None:
    """Count the decisions since the last time. Each counts once; nothing happens while another
    count is under way."""
    place = take(READER)
    if place is None:
        return
    until = max(place.position, timezone.now() - committed_after)
    first_id = first_id_since(place.position - ID_SLACK)
    with connection.cursor() as cursor:
        cursor.execute(
            COUNT,
            {"tenant": current_tenant_id(), "since": place.position, "until": until, "first_id": first_id},
        )
    move(place, until)


def hits_since(day: date) -> dict[str, dict[str, int]]:
    """{"live", "shadow"} by key of a rule or list, from this day on."""
    counted = RuleHits.objects.filter(day__gte=day).values("key").annotate(lives=Sum("live"), shadows=Sum("shadow"))
    return {row["key"]: {"live": row["lives"], "shadow": row["shadows"]} for row in counted}
