"""Champion against challenger, on the assessments that both have scored."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from apps.risk import engine
from apps.risk.assessments.selectors import BY_MODEL_OF_FRAUDS
from apps.risk.assessments.settings import RiskSettings
from apps.risk.monitoring.counts import Counts
from apps.risk.monitoring.selectors import IS_FRAUD, SLACK, bounds
from decisions.counting import first_id_since
from decisions.kpi import Period
from serving.models import ModelVersion
from tenancy.scope import current_tenant_id

MOST_COMPARED = 20_000
BOTH = f"""
    SELECT shadow.score, (items -> 0 ->> 'score')::float8, occurred_at <= %(mature_until)s, {IS_FRAUD}
    FROM (
        SELECT decision_id, score FROM risk_shadowscore
        WHERE tenant_id = %(tenant)s AND version = %(version)s
            AND decision_id >= %(first_id)s AND decision_id < %(last_id)s
        ORDER BY decision_id DESC LIMIT %(most)s
    ) AS shadow
    JOIN risk_transaction AS transaction
        ON transaction.tenant_id = %(tenant)s AND transaction.decision_id = shadow.decision_id
    JOIN decisions_decision AS decision
        ON decision.tenant_id = %(tenant)s AND decision.decision_id = shadow.decision_id
            AND decided_at >= %(start)s AND decided_at < %(end)s
            AND model_version = %(champion)s AND {BY_MODEL_OF_FRAUDS}"""


@dataclass(frozen=True)
class Side:
    """On matured labels; None where they hold no fraud, or nothing but frauds."""

    auc: float | None
    average_precision: float | None
    precision_at_capacity: float | None


@dataclass(frozen=True)
class Comparison:
    """`agreement`: share of the compared on which both lie on the same side of `review_above`. `score_shift`: mean of
    the challenger's score minus the champion's; `score_index`: population stability index between the two."""

    challenger: ModelVersion
    compared: int
    matured: int
    frauds: int
    agreement: float | None
    score_shift: float | None
    score_index: float | None
    champion_side: Side
    challenger_side: Side


def compare(
    champion: ModelVersion | None,
    challenger: ModelVersion,
    period: Period,
    settings: RiskSettings,
    total: Counts,
    *,
    now: datetime,
) -> Comparison:
    """Over those of the newest MOST_COMPARED assessments that the challenger scored which the champion has answered;
    none where there is no champion."""
    start, end = bounds(period)
    values: dict[str, Any] = {
        "tenant": current_tenant_id(),
        "version": challenger.id,
        "champion": champion.id if champion else None,
        "first_id": first_id_since(start),
        "last_id": first_id_since(end),
        "start": start - SLACK,
        "end": end + SLACK,
        "now": now,
        "mature_until": now - timedelta(days=settings.label_delay_days),
        "most": MOST_COMPARED,
    }
    with connection.cursor() as cursor:
        cursor.execute(BOTH, values)
        table = np.array(cursor.fetchall(), dtype=np.float64).reshape(-1, 4)
    theirs, ours, matured, fraud = table[:, 0], table[:, 1], table[:, 2] == 1, table[:, 3].astype(np.int64)
    place = _capacity_share(settings, total, len(period.days))
    any_compared = len(table) > 0
    threshold = settings.review_above
    return Comparison(
        challenger=challenger,
        compared=len(table),
        matured=int(matured.sum()),
        frauds=int(fraud[matured].sum()),
        agreement=float(((theirs >= threshold) == (ours >= threshold)).mean()) if any_compared else None,
        score_shift=float((theirs - ours).mean()) if any_compared else None,
        score_index=engine.population_stability_index(engine.reference_of(ours), theirs) if any_compared else None,
        champion_side=_side(ours[matured], fraud[matured], place),
        challenger_side=_side(theirs[matured], fraud[matured], place),
    )


def _capacity_share(settings: RiskSettings, total: Counts, days: int) -> float:
    """Which share of the assessments the desk can review."""
    return min(1.0, settings.daily_capacity * days / total.assessments) if total.assessments else 1.0


def _side(scores: NDArray[np.float64], fraud: NDArray[np.int64], capacity_share: float) -> Side:
    if not 0 < fraud.sum() < len(fraud):
        return Side(None, None, None)
    reviewed = round(capacity_share * len(scores))
    first = np.argsort(-scores, kind="stable")[:reviewed]
    return Side(
        auc=engine.area_under_roc(scores, fraud),
        average_precision=engine.average_precision(scores, fraud),
        precision_at_capacity=float(fraud[first].mean()) if reviewed else None,
    )
