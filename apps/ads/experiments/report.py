"""What an experiment has shown: for each arm its counts, and how its click rate differs from the first arm's."""

from datetime import datetime
from typing import Any

from django.db import connection

from apps.ads.experiments.models import Experiment
from decisions.experiments import Ratio, difference
from tenancy.scope import current_tenant_id

# A delivery without a subject was drawn by itself.
ARMS = """
    SELECT arm, count(*), sum(seen), sum(clicks), sum(conversions), sum(spend)::bigint,
        sum(seen * seen), sum(clicks * clicks), sum(seen * clicks)
    FROM (
        SELECT member.arm, coalesce(delivery.subject_key, uuid_send(delivery_id)) AS reader,
            count(impression_at)::float8 AS seen, count(clicked_at)::float8 AS clicks,
            sum(conversions)::float8 AS conversions, coalesce(sum(ledger.amount_micros), 0) AS spend
        FROM unnest(%(members)s::uuid[], %(arms)s::int[]) AS member(id, arm)
            JOIN ads_delivery AS delivery ON delivery.tenant_id = %(tenant)s
                AND member.id IN (delivery.flight_id, delivery.creative_id)
            LEFT JOIN ads_ledgerentry AS ledger USING (tenant_id, delivery_id)
        WHERE placed_at >= %(since)s AND placed_at < %(until)s AND impression_at IS NOT NULL
        GROUP BY 1, 2
    ) AS reader GROUP BY arm"""


def experiment_report(experiment: Experiment) -> list[dict[str, Any]]:
    """One row an arm, in their order. `ctr_interval` and `difference_interval` (of the click rate less the first
    arm's) hold the truth 95 times of 100; they are None where there are too few readers."""
    found = _read(experiment)
    first, _, _ = found[0]
    return [
        _row(arm["name"], arm["share"], clicks, conversions, spend, None if number == 0 else first)
        for number, (arm, (clicks, conversions, spend)) in enumerate(zip(experiment.arms, found, strict=True))
    ]


def _row(name: str, share: float, clicks: Ratio, conversions: int, spend: int, control: Ratio | None) -> dict[str, Any]:
    interval = clicks.interval
    against = difference(clicks, control) if control else None
    return {
        "arm": name,
        "share": share,
        "readers": clicks.units,
        "impressions": int(clicks.whole),
        "clicks": int(clicks.part),
        "conversions": conversions,
        "spend_micros": spend,
        "ctr": clicks.value,
        "ctr_interval": list(interval) if interval else None,
        "difference": against[0] if against else None,
        "difference_interval": list(against[1]) if against else None,
        "is_certain": against is not None and not against[1][0] <= 0 <= against[1][1],
    }


def _read(experiment: Experiment) -> list[tuple[Ratio, int, int]]:
    members = [(member, number) for number, arm in enumerate(experiment.arms) for member in arm["members"]]
    until: datetime = experiment.archived_at or experiment.ends_at
    values: dict[str, Any] = {
        "tenant": current_tenant_id(),
        "members": [member for member, _ in members],
        "arms": [number for _, number in members],
        "since": experiment.starts_at,
        "until": min(until, experiment.ends_at),
    }
    with connection.cursor() as cursor:
        cursor.execute(ARMS, values)
        found = {
            arm: (Ratio(readers, seen, clicks, *products), int(conversions), int(spend))
            for arm, readers, seen, clicks, conversions, spend, *products in cursor.fetchall()
        }
    return [found.get(number, (Ratio(), 0, 0)) for number in range(len(experiment.arms))]
