"""Reads of assessments together with what became of their transactions."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from apps.risk.assessments.selectors import BY_MODEL_OF_FRAUDS
from apps.risk.engine import FEATURES
from decisions.counting import first_id_since
from decisions.kpi import Period
from serving.models import Deployment
from tenancy.scope import current_tenant_id

DAY = timedelta(days=1)
# Assessments of a period whose scores and features are compared.
SAMPLE = 4_000
# A decision's id is made moments before `decided_at`.
SLACK = timedelta(minutes=10)
IN_PERIOD = """
    tenant_id = %(tenant)s AND decision_id >= %(first_id)s AND decision_id < %(last_id)s"""
IS_FRAUD = "coalesce(fraud_known_at <= %(now)s AND (cleared_at IS NULL OR cleared_at > %(now)s), false)"
# A young transaction counts nowhere but in `transactions`: of its frauds only the quick ones are known.
WEEKS = f"""
    WITH judged AS (
        SELECT date_trunc('week', occurred_at AT TIME ZONE 'UTC')::date AS week,
            occurred_at <= %(mature_until)s AS matured, items -> 0 ->> 'id' <> 'approve' AS flagged,
            {IS_FRAUD} AS fraud,
            CASE WHEN currency = %(currency)s OR given_amount IS NOT NULL THEN amount ELSE 0 END AS amount
        FROM (
            SELECT decision_id, occurred_at, amount, currency, given_amount, fraud_known_at, cleared_at
            FROM risk_transaction WHERE {IN_PERIOD}
        ) AS transaction JOIN (
            SELECT decision_id, items FROM decisions_decision
            WHERE {IN_PERIOD} AND decided_at >= %(start)s AND decided_at < %(end)s
        ) AS decision USING (decision_id)
    )
    SELECT week, count(*), count(*) FILTER (WHERE matured), count(*) FILTER (WHERE matured AND flagged),
        count(*) FILTER (WHERE matured AND fraud), count(*) FILTER (WHERE matured AND flagged AND fraud),
        coalesce(sum(amount) FILTER (WHERE matured AND flagged AND fraud), 0),
        coalesce(sum(amount) FILTER (WHERE matured AND NOT flagged AND fraud), 0)
    FROM judged GROUP BY week ORDER BY week"""
# Chosen by a hash of the id, so that every hour of the period has its part and a page that is loaded again agrees.
SAMPLED = f"""
    FROM (
        SELECT decision_id FROM risk_transaction WHERE {IN_PERIOD}
        ORDER BY uuid_hash(decision_id), decision_id LIMIT %(sample)s
    ) AS chosen JOIN decisions_decision USING (decision_id)
    WHERE tenant_id = %(tenant)s AND decided_at >= %(start)s AND decided_at < %(end)s"""
SCORES = f"(items -> 0 ->> 'score')::float8, CASE WHEN {BY_MODEL_OF_FRAUDS} THEN model_version END"


@dataclass(frozen=True)
class Week:
    """How right the verdicts on a week's transactions were (week of `occurred_at`, from Monday, UTC).

    `matured` of its assessed transactions are older than the label delay; `flagged` (not approved), `frauds` and
    `caught` count among these, and so do the values, in the desk's currency, without what had no rate.
    """

    begins: date
    assessments: int
    matured: int
    flagged: int
    frauds: int
    caught: int
    value_caught: float
    value_lost: float
    is_mature: bool

    @property
    def open(self) -> int:
        return self.assessments - self.matured

    @property
    def precision(self) -> float | None:
        return self.caught / self.flagged if self.flagged else None

    @property
    def recall(self) -> float | None:
        return self.caught / self.frauds if self.frauds else None


@dataclass(frozen=True)
class Sample:
    """features (n, len(FEATURES)) of assessments, NaN where there is none, and scores (m,) of the live version."""

    scores: NDArray[np.float64]
    features: NDArray[np.float64]


def weeks(period: Period, *, label_delay_days: float, currency: str, now: datetime) -> list[Week]:
    """Of the transactions that were assessed in the period, oldest week first; one query."""
    mature_until = now - timedelta(days=label_delay_days)
    rows = _query(WEEKS, period, mature_until=mature_until, currency=currency, now=now)
    return [Week(*(*row, datetime.combine(row[0] + 7 * DAY, time(), UTC) <= mature_until)) for row in rows]


def sample_of(period: Period, deployment: Deployment | None) -> Sample:
    """At most SAMPLE of the period's assessments, by chance; one query, or two where the deployment is of the period.

    Scores of another version, or of points, are on another scale; without a live version those of points are taken.
    """
    rows = _query(f"SELECT {SCORES}, request -> 'features' {SAMPLED}", period, sample=SAMPLE)
    answers: Sequence[tuple[Any, ...]] = [row[:2] for row in rows]
    start, end = bounds(period)
    if deployment and start < deployment.promoted_at < end:
        # A version that went live a moment ago would be next to nothing of a sample of the whole period.
        since = first_id_since(deployment.promoted_at)
        answers = _query(f"SELECT {SCORES} {SAMPLED}", period, sample=SAMPLE, first_id=since)
    version = deployment.live_version_id if deployment else None
    scores = [score for score, answered_by in answers if answered_by == version]
    kept = [json.loads(features) if isinstance(features, str) else features for _, _, features in rows]
    table = np.array([[each.get(name) for name in FEATURES] for each in kept], dtype=np.float64)
    return Sample(np.array(scores, dtype=np.float64), table.reshape(len(rows), len(FEATURES)))


def four_weeks_before(period: Period) -> Period:
    return Period(period.since - 28 * DAY, period.since - DAY)


def _query(sql: str, period: Period, **values: Any) -> Sequence[tuple[Any, ...]]:
    start, end = bounds(period)
    bound: dict[str, Any] = {
        "tenant": current_tenant_id(),
        "first_id": first_id_since(start),
        "last_id": first_id_since(end),
        "start": start - SLACK,
        "end": end + SLACK,
    } | values
    with connection.cursor() as cursor:
        cursor.execute(sql, bound)
        return cursor.fetchall()


def bounds(period: Period) -> tuple[datetime, datetime]:
    return datetime.combine(period.since, time(), UTC), datetime.combine(period.until + DAY, time(), UTC)
