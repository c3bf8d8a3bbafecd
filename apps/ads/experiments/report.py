"""What an experiment has shown: for each arm its counts, and how its click rate differs from the first arm's.

Readers were drawn and not impressions, so a reader's impressions stand together: the variance of a rate is that of a
ratio of two sums over readers, by the delta method (A. Deng et al., "Applying the delta method in metric analytics",
KDD 2018, section 3.1).
"""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from apps.ads.experiments.models import Experiment
from tenancy.scope import current_tenant_id

CERTAINTY = 1.959964  # 95 %
LEAST_READERS = 30

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


@dataclass(frozen=True)
class Sums:
    """Over the readers of an arm: how many, and sums of impressions n, clicks c, n n, c c and n c."""

    readers: int = 0
    impressions: float = 0.0
    clicks: float = 0.0
    impressions_squared: float = 0.0
    clicks_squared: float = 0.0
    products: float = 0.0

    @property
    def click_rate(self) -> float | None:
        return self.clicks / self.impressions if self.impressions else None

    @property
    def variance(self) -> float | None:
        """Of the click rate; None for fewer readers than LEAST_READERS."""
        rate = self.click_rate
        if rate is None or self.readers < LEAST_READERS:
            return None
        # The sum over readers of (c - rate n) squared; its mean is 0.
        residual = self.clicks_squared - 2 * rate * self.products + rate * rate * self.impressions_squared
        return self.readers / (self.readers - 1) * max(residual, 0.0) / self.impressions**2


def interval(rate: float, variance: float) -> tuple[float, float]:
    half = CERTAINTY * math.sqrt(variance)
    return rate - half, rate + half


def experiment_report(experiment: Experiment) -> list[dict[str, Any]]:
    """One row an arm, in their order. `ctr_interval` and `difference_interval` (of the click rate less the first
    arm's) hold the truth 95 times of 100; they are None where there are too few readers."""
    found = _read(experiment)
    first, _, _ = found[0]
    return [
        _row(arm["name"], arm["share"], sums, conversions, spend, None if number == 0 else first)
        for number, (arm, (sums, conversions, spend)) in enumerate(zip(experiment.arms, found, strict=True))
    ]


def _row(name: str, share: float, sums: Sums, conversions: int, spend: int, control: Sums | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "arm": name,
        "share": share,
        "readers": sums.readers,
        "impressions": int(sums.impressions),
        "clicks": int(sums.clicks),
        "conversions": conversions,
        "spend_micros": spend,
        "ctr": sums.click_rate,
        "ctr_interval": None,
        "difference": None,
        "difference_interval": None,
        "is_certain": False,
    }
    rate, variance = sums.click_rate, sums.variance
    if rate is None or variance is None:
        return row
    row["ctr_interval"] = list(interval(rate, variance))
    if control is None or control.click_rate is None or control.variance is None:
        return row
    low, high = interval(rate - control.click_rate, variance + control.variance)
    return row | {
        "difference": rate - control.click_rate,
        "difference_interval": [low, high],
        "is_certain": low > 0 or high < 0,
    }


def _read(experiment: Experiment) -> list[tuple[Sums, int, int]]:
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
            arm: (Sums(readers, seen, clicks, *products), int(conversions), int(spend))
            for arm, readers, seen, clicks, conversions, spend, *products in cursor.fetchall()
        }
    return [found.get(number, (Sums(), 0, 0)) for number in range(len(experiment.arms))]
