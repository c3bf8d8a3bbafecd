"""GET /api/v1/risk/monitoring: figures recomputed from the same rows, drift, and what one tenant sees of another."""

import math
import random
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from apps.risk.assessments.settings import change_settings
from apps.risk.monitoring import selectors
from apps.risk.monitoring.drift import drift_of
from apps.risk.monitoring.report import report
from apps.risk.monitoring.selectors import sample_of
from decisions.counting import refresh_kpi
from decisions.kpi import Period
from serving.models import Deployment, ModelVersion
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.risk.monitoring.rows import Row, give, id_at
from tests.conftest import ApiClient
from tests.queries import CapturedQueries

DAY = timedelta(days=1)


def some_rows(now: datetime, count: int = 150) -> list[Row]:
    """Transactions of six weeks, assessed within the last minutes of the day; some frauds, some of them cleared."""
    chance = random.Random(7)
    rows = [Row(now, now, 0.5)]  # so that the newest week is never empty
    for _ in range(count):
        occurred_at = now - timedelta(seconds=chance.randrange(42 * 86_400))
        known = chance.random() < 0.3
        rows.append(
            Row(
                decided_at=now - timedelta(milliseconds=chance.randrange(1000)),
                occurred_at=occurred_at,
                score=chance.random(),
                verdict=chance.choice(["approve", "approve", "review", "decline"]),
                amount=chance.randrange(1, 400) / 4,
                fraud_known_at=occurred_at + timedelta(days=chance.randrange(1, 12)) if known else None,
                cleared_at=occurred_at + timedelta(days=13) if known and chance.random() < 0.3 else None,
                degraded="rules" if chance.random() < 0.1 else None,
                rule_tells=chance.random() < 0.05,
            )
        )
    return rows


def is_fraud(row: Row, now: datetime) -> bool:
    known, cleared = row.fraud_known_at, row.cleared_at
    return known is not None and known <= now and (cleared is None or cleared > now)


def monday(moment: datetime) -> date:
    return (moment - timedelta(days=moment.weekday())).date()


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def rows(tenant: Tenant, now: datetime) -> list[Row]:
    made = some_rows(now)
    with tenant_scope(tenant.id):
        give(made)
        change_settings({"daily_capacity": 40}, actor="test")
        refresh_kpi(committed_after=timedelta(0))
    return made


def test_counts_are_those_of_the_rows(api: ApiClient, rows: list[Row]) -> None:
    answer = api.get("risk/monitoring")
    assert answer.status_code == 200, answer.content
    total = answer.json()["total"]
    verdicts = {name: sum(row.verdict == name for row in rows) for name in ("approve", "review", "decline")}
    assert total["assessments"] == len(rows)
    assert total["verdicts"] == verdicts
    # What a rule tells of is an alert too, whatever became of the transaction.
    alerts = sum(row.is_alert for row in rows)
    assert alerts > verdicts["review"] + verdicts["decline"]
    assert total["alerts"] == sum(day["alerts"] for day in answer.json()["days"]) == alerts
    assert total["alert_rate"] == pytest.approx(alerts / len(rows))
    assert total["degraded_share"] == pytest.approx(sum(row.degraded is not None for row in rows) / len(rows))
    assert total["capacity_used"] == pytest.approx(verdicts["review"] / (7 * 40))
    assert total["latency_p99_ms"] == pytest.approx(5, rel=0.06)
    assert sum(day["assessments"] for day in answer.json()["days"]) == len(rows)
    assert len(answer.json()["days"]) == 7


def test_weeks_are_right_as_labels_mature_and_young_transactions_are_open(
    api: ApiClient, rows: list[Row], now: datetime
) -> None:
    weeks = api.get("risk/monitoring").json()["weeks"]
    expected: dict[date, list[Row]] = defaultdict(list)
    for row in rows:
        expected[monday(row.occurred_at)].append(row)
    assert [week["begins"] for week in weeks] == [str(begins) for begins in sorted(expected)]
    for week in weeks:
        begins = date.fromisoformat(week["begins"])
        matured = [row for row in expected[begins] if row.occurred_at <= now - 7 * DAY]
        frauds = [row for row in matured if is_fraud(row, now)]
        flagged = [row for row in matured if row.verdict != "approve"]
        caught = [row for row in frauds if row.verdict != "approve"]
        assert (week["assessments"], week["matured"]) == (len(expected[begins]), len(matured))
        assert week["open"] == len(expected[begins]) - len(matured)
        assert (week["flagged"], week["frauds"], week["caught"]) == (len(flagged), len(frauds), len(caught))
        assert week["precision"] == (pytest.approx(len(caught) / len(flagged)) if flagged else None)
        assert week["recall"] == (pytest.approx(len(caught) / len(frauds)) if frauds else None)
        assert week["value_caught"] == pytest.approx(sum(row.amount for row in caught))
        assert week["value_lost"] == pytest.approx(sum(row.amount for row in frauds) - week["value_caught"])
        assert week["is_mature"] == (begins + 7 * DAY <= (now - 7 * DAY).date())
    assert weeks[0]["is_mature"]
    # The newest week is shown as open, never as a precision of zero.
    assert (weeks[-1]["matured"], weeks[-1]["precision"], weeks[-1]["is_mature"]) == (0, None, False)


def test_one_tenant_sees_nothing_of_another(other_api: ApiClient, rows: list[Row]) -> None:
    body = other_api.get("risk/monitoring").json()
    assert (body["total"]["assessments"], body["weeks"], body["drift"]["sampled"]) == (0, [], 0)
    assert body["total"]["alert_rate"] is body["challenger"] is body["drift"]["against"] is None


def psi(then: np.ndarray, now: np.ndarray) -> float:
    """Of two samples, by ten bins at the deciles of the first, with half a case added to each bin and one for NaN."""
    edges = np.unique(np.sort(then)[np.ceil(np.arange(1, 10) / 10 * len(then)).astype(int) - 1])
    shares = []
    for values in (then, now):
        counts = [0.5] * (len(edges) + 2)
        for value in values:
            counts[sum(value > edge for edge in edges)] += 1
        shares.append([count / sum(counts) for count in counts])
    return sum((new - old) * math.log(new / old) for old, new in zip(*shares, strict=True))


def test_drift_of_a_day_against_the_weeks_before(scope: Tenant, now: datetime) -> None:
    # Partitions exist from this month on, so the day that drifts is tomorrow.
    tomorrow = now + DAY
    chance = np.random.default_rng(3)
    then, later = chance.beta(1, 6, 300), chance.beta(2, 4, 300)
    give(Row(now, now, float(score), feature=float(score > 0.1)) for score in then)
    give(Row(tomorrow, now, float(score), feature=float(score > 0.9)) for score in later)
    period = Period(tomorrow.date(), tomorrow.date())
    drift = report(period).drift
    assert drift.against == "four weeks before"
    assert drift.score is not None
    assert drift.score.index == pytest.approx(psi(then, later), rel=1e-6)
    assert drift.score.band == "drifted"
    assert drift.features[0].band == "drifted"
    assert (sum(drift.histogram), sum(drift.reference_histogram)) == (300, 300)
    # The same sample again: the page agrees with itself.
    assert np.array_equal(sample_of(period, None).scores, sample_of(period, None).scores)


def test_scores_are_those_of_the_live_version(scope: Tenant, now: datetime) -> None:
    """Those of an older version, of points and of points beside an anomaly are on scales of their own."""
    live, older = (
        ModelVersion(number=number, model="risk", id=version) for number, version in enumerate((id_at(now), id_at(now)))
    )
    give(
        [
            Row(now, now, 0.2),
            Row(now, now, 0.3, model_version=live.id, anomaly=0.99),
            Row(now, now, 0.4, model_version=older.id),
            Row(now, now, 0.9, model_version=live.id),
        ]
    )
    today = Period(now.date(), now.date())
    deployment = Deployment(model="risk", live_version=live, promoted_at=now - 7 * DAY)
    assert sample_of(today, deployment).scores.tolist() == [0.9]
    assert sorted(sample_of(today, None).scores) == [0.2, 0.3]
    assert len(sample_of(today, deployment).features) == 4


def test_of_a_version_that_just_went_live_scores_are_drawn_since_then(
    scope: Tenant, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selectors, "SAMPLE", 20)
    live, tomorrow = ModelVersion(number=2, model="risk", id=id_at(now)), now + DAY
    give(Row(now, now, 0.5, model_version=id_at(now)) for _ in range(180))
    give(Row(tomorrow, now, 0.1, model_version=live.id) for _ in range(20))
    both = Period(now.date(), tomorrow.date())
    deployment = Deployment(model="risk", live_version=live, promoted_at=tomorrow - timedelta(seconds=1))
    sample = sample_of(both, deployment)
    assert sample.scores.tolist() == [0.1] * 20
    assert len(sample.features) == 20


def test_a_version_that_was_just_promoted_has_not_drifted(scope: Tenant, now: datetime) -> None:
    live = ModelVersion(number=2, model="risk", id=id_at(now), artifact=f"{scope.id}/risk/none/1")
    give(Row(now, now, 0.5, model_version=id_at(now)) for _ in range(200))
    tomorrow = now + DAY
    give(Row(tomorrow, now, 0.1, model_version=live.id) for _ in range(200))
    deployment = Deployment(model="risk", live_version=live, promoted_at=tomorrow)
    drift = drift_of(Period(tomorrow.date(), tomorrow.date()), deployment)
    assert (drift.against, drift.score, drift.features[0].band) == ("four weeks before", None, "steady")


def test_more_rows_and_days_ask_no_more_of_the_database(api: ApiClient, rows: list[Row], tenant: Tenant) -> None:
    def queries(path: str) -> int:
        with CapturedQueries() as captured:
            assert api.get(path).status_code == 200
        return len(captured)

    api.get("risk/monitoring")  # notes that the key was used
    before = queries("risk/monitoring")
    with tenant_scope(tenant.id):
        give(some_rows(datetime.now(UTC), 60))
    assert before == queries("risk/monitoring?since=2026-09-01&until=2026-11-25") <= 20


@pytest.mark.parametrize(
    ("query", "field"),
    [("since=yesterday", "since"), ("since=2026-03-02&until=2026-03-01", "since"), ("until=1890-01-01", "until")],
)
def test_a_period_that_cannot_be_used_is_refused(api: ApiClient, query: str, field: str) -> None:
    answer = api.get(f"risk/monitoring?{query}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)


def test_scope(client_with_scopes: Callable[..., ApiClient]) -> None:
    assert client_with_scopes("risk:write").get("risk/monitoring").status_code == 403
    assert client_with_scopes("risk:read").get("risk/monitoring").status_code == 200
