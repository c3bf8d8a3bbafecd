"""From costs and capacity to thresholds, on what was assessed of late."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from django.db import connection
from django.utils import timezone
from numpy.typing import NDArray

from apps.risk import engine
from apps.risk.assessments.selectors import BY_MODEL_OF_FRAUDS
from apps.risk.assessments.settings import APPLICATION, RiskSettings
from decisions.counting import first_id_since
from tenancy.scope import current_tenant_id

# Of fewer assessments by a model no threshold can be told from chance.
LEAST = 200
MOST = 50_000
# Scores by points or beside an anomaly are no probabilities. What a rule declines is not up to thresholds; what one
# approves is, since its score may decline it.
SCORES = f"""
    SELECT score, amount, moment, (actions ? 'review')::int, (actions ? 'approve')::int
    FROM (
        SELECT (items->0->>'score')::float8 AS score, (request->>'amount')::float8 AS amount,
            extract(epoch FROM (request->>'occurred_at')::timestamptz)::float8 AS moment,
            jsonb_path_query_array(request, '$.rules[*].action') AS actions
        FROM decisions_decision
        WHERE tenant_id = %(tenant)s AND decision_id >= %(first_id)s AND application = %(application)s
            AND {BY_MODEL_OF_FRAUDS}
        ORDER BY decision_id DESC LIMIT %(most)s
    ) AS newest
    WHERE NOT actions ? 'decline'"""


class TooFewAssessments(Exception):
    """Nothing can be said of thresholds yet."""


@dataclass(frozen=True)
class Scored:
    """Probabilities and amounts of assessments whose transactions span `days`, and which of them a rule asks to review,
    and which one approves; each (n,)."""

    probabilities: NDArray[np.float64]
    amounts: NDArray[np.float64]
    asked: NDArray[np.bool_]
    approved: NDArray[np.bool_]
    days: float


def suggest_thresholds(settings: RiskSettings, *, days: int) -> dict[str, Any]:
    """As `thresholds_of`, on `scored_of_late`."""
    return thresholds_of(settings, scored_of_late(days=days))


def scored_of_late(*, days: int) -> Scored:
    """Of the newest MOST assessments of the last `days` days that a model answered those that no rule declined;
    one query.

    Raises TooFewAssessments.
    """
    values: dict[str, Any] = {
        "tenant": current_tenant_id(),
        "first_id": first_id_since(timezone.now() - timedelta(days=days)),
        "application": APPLICATION,
        "most": MOST,
    }
    with connection.cursor() as cursor:
        cursor.execute(SCORES, values)
        rows = cursor.fetchall()
    if len(rows) < LEAST:
        raise TooFewAssessments(
            f"a model answered {len(rows)} assessments in the last {days} days that no rule declined, "
            f"{LEAST} are needed; train and promote a model of the line risk, or look further back"
        )
    probabilities, amounts, times, asked, approved = np.array(rows, dtype=np.float64).T
    return Scored(probabilities, amounts, asked > 0, approved > 0, _days(times))


def _days(times: NDArray[np.float64]) -> float:
    """How many days of the tenant's business these times (n,) are, at least an hour.

    They are the transactions' own, so that a week that is replayed within minutes is a week. The outer twentieths are
    left out, since a single one that comes late may lie a year back.
    """
    early, late = np.quantile(times, (0.05, 0.95))
    return max(float(late - early) / 0.9, 3600.0) / 86_400.0


def thresholds_of(settings: RiskSettings, scored: Scored) -> dict[str, Any]:
    """The thresholds of least expected cost that the desk's capacity allows, what those in force come to, and the curve
    behind both."""
    suggested, current, curve = engine.thresholds(
        scored.probabilities,
        scored.amounts,
        scored.asked,
        scored.approved,
        days=scored.days,
        daily_capacity=settings.daily_capacity,
        review_above=settings.review_above,
        decline_above=settings.decline_above,
        fraud_share=settings.cost_fraud_share,
        review=settings.cost_review,
        wrong_decline=settings.cost_wrong_decline,
        review_catch_share=settings.review_catch_share,
    )
    return {
        "assessments": len(scored.amounts),
        "suggested": suggested,
        "current": {"review_above": settings.review_above, "decline_above": settings.decline_above} | current,
        "curve": curve,
    }
