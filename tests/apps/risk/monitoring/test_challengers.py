"""A challenger is asked in the shadow: nothing that was answered changes, whatever becomes of it."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from apps.risk.assessments.settings import change_settings, current_settings
from apps.risk.monitoring.challengers import ask_challenger, expire_shadow_scores, find_challenger, named_versions
from apps.risk.monitoring.comparison import compare
from apps.risk.monitoring.counts import Counts
from apps.risk.monitoring.models import ShadowScore
from decisions.kpi import Figures, Period
from decisions.models import Decision
from ml.evaluation.classification import area_under_roc, average_precision
from ml.simulation.transactions import TransactionWorld, simulate_transactions
from ml.tasks.registry import TASKS
from serving.artifacts import artifact_sha256, relative_path, run_folder
from serving.models import ModelVersion, RunStatus, TrainingRun, VersionStatus
from serving.services import promote
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.risk.monitoring.rows import Row, give, id_at

WORLD = TransactionWorld(customers=60, days=45, seed=3)
SETTINGS = {"days": 45, "epochs": 1, "trees": 10, "threads": 1}


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("challenger") / "artifact"
    TASKS["anomaly"].fit(simulate_transactions(WORLD).columns, SETTINGS, out, progress=lambda progress: None)
    return out


def make_version(tenant: Tenant, number: int, artifact: Path | None, status: str = "candidate") -> ModelVersion:
    """A version of the line; without an artifact its folder is missing."""
    run = TrainingRun.objects.create(
        model="risk", task="anomaly", status=RunStatus.SUCCEEDED, finished_at=timezone.now()
    )
    folder = run_folder(tenant.id, "risk", run.id) / "1"
    if artifact:
        shutil.copytree(artifact, folder)
    return ModelVersion.objects.create(
        model="risk",
        number=number,
        task="anomaly",
        run=run,
        artifact=relative_path(folder),
        artifact_sha256=artifact_sha256(folder) if artifact else "0" * 64,
        status=status,
    )


@pytest.fixture
def desk(tenant: Tenant) -> Tenant:
    """Version 1 is live and has answered forty assessments of the last minute; all are asked in the shadow."""
    with tenant_scope(tenant.id):
        live = make_version(tenant, 1, None)
        promote(version=live, actor="test")
        change_settings({"shadow_share": 1.0}, actor="test")
        moment = timezone.now() - timedelta(seconds=60)
        give(
            Row(moment + timedelta(seconds=number), moment, number / 40, amount=number + 1.0, model_version=live.id)
            for number in range(40)
        )
    return tenant


def answers() -> list[tuple[object, ...]]:
    return list(Decision.objects.order_by("decision_id").values_list("decision_id", "items", "request", "degraded"))


def test_each_assessment_is_asked_once_and_no_answer_changes(desk: Tenant, artifact: Path) -> None:
    with tenant_scope(desk.id):
        challenger = make_version(desk, 2, artifact)
        before = answers()
    for expected in (40, 0):
        with tenant_scope(desk.id):
            assert ask_challenger() == expected
    with tenant_scope(desk.id):
        scores = ShadowScore.objects.filter(version=challenger.id)
        assert scores.count() == 40
        assert all(0 <= each.score <= 1 for each in scores)
        assert answers() == before


def test_a_broken_challenger_costs_nothing_but_its_scores(desk: Tenant) -> None:
    with tenant_scope(desk.id):
        make_version(desk, 2, None)
        before = answers()
        assert ask_challenger() == 40
        assert ask_challenger() == 0
        assert not ShadowScore.objects.exists()
        assert answers() == before


def test_a_share_is_asked_the_same_for_every_challenger(desk: Tenant, artifact: Path) -> None:
    with tenant_scope(desk.id):
        change_settings({"shadow_share": 0.5}, actor="test")
        make_version(desk, 2, artifact)
        assert 5 < ask_challenger() < 35
        change_settings({"shadow_share": 0.0}, actor="test")
        assert ask_challenger() == 0


def test_scores_of_one_tenant_are_nobody_elses(desk: Tenant, artifact: Path, other_tenant: Tenant) -> None:
    with tenant_scope(desk.id):
        make_version(desk, 2, artifact)
        ask_challenger()
    with tenant_scope(other_tenant.id):
        assert not ShadowScore.objects.exists()
        assert find_challenger(current_settings()) is None


def test_the_challenger_is_the_newest_that_passed_or_the_one_that_is_named(desk: Tenant) -> None:
    with tenant_scope(desk.id):
        assert find_challenger(current_settings()) is None
        second, third = make_version(desk, 2, None), make_version(desk, 3, None)
        make_version(desk, 4, None, VersionStatus.REFUSED)
        make_version(desk, 5, None)
        ModelVersion.objects.filter(number=5).update(files_deleted_at=timezone.now())
        assert find_challenger(current_settings()) == third
        change_settings({"challenger_version": 2}, actor="test")
        assert find_challenger(current_settings()) == second
        assert named_versions() == [second.id]
        for number in (4, 9):
            with pytest.raises(ValidationError, match="choose one of 3, 2, 0"):
                change_settings({"challenger_version": number}, actor="test")
        # Named before, and made live meanwhile: other settings are changed all the same.
        ModelVersion.objects.filter(id=second.id).update(status=VersionStatus.LIVE)
        assert change_settings({"daily_capacity": 7}, actor="test").challenger_version == 2
        assert find_challenger(current_settings()) is None


def test_champion_and_challenger_are_compared_on_matured_labels(desk: Tenant) -> None:
    now = datetime.now(UTC)
    chance = np.random.default_rng(5)
    ours, fraud = chance.random(80), chance.random(80) < 0.3
    theirs = np.clip(0.6 * fraud + 0.4 * chance.random(80), 0, 1)
    old = now - timedelta(days=20)
    with tenant_scope(desk.id):
        challenger = make_version(desk, 2, None)
        live = ModelVersion.objects.get(number=1)
        decisions = give(
            Row(now, old if number < 60 else now, float(score), model_version=live.id, fraud_known_at=known)
            for number, (score, known) in enumerate(
                (score, old if bad else None) for score, bad in zip(ours, fraud, strict=True)
            )
        )
        ShadowScore.objects.bulk_create(
            ShadowScore(version=challenger.id, decision_id=decision.decision_id, score=float(score))
            for decision, score in zip(decisions, theirs, strict=True)
        )
        settings = change_settings({"daily_capacity": 10, "review_above": 0.4}, actor="test")
        found = compare(
            live, challenger, Period(now.date(), now.date()), settings, Counts(figures=Figures(lists=40)), now=now
        )
    outcome = fraud[:60].astype(np.int64)
    assert (found.compared, found.matured, found.frauds) == (80, 60, int(outcome.sum()))
    assert found.agreement == pytest.approx(np.mean((ours >= 0.4) == (theirs >= 0.4)))
    assert found.score_shift == pytest.approx((theirs - ours).mean())
    for side, scores in ((found.champion_side, ours[:60]), (found.challenger_side, theirs[:60])):
        assert side.auc == pytest.approx(area_under_roc(scores, outcome))
        assert side.average_precision == pytest.approx(average_precision(scores, outcome))
        # Ten reviews a day for forty assessments: a quarter, the fifteen highest of sixty.
        assert side.precision_at_capacity == pytest.approx(outcome[np.argsort(-scores)[:15]].mean())


def test_neither_an_older_version_nor_points_are_the_champion(desk: Tenant) -> None:
    now = datetime.now(UTC)
    with tenant_scope(desk.id):
        live, challenger = ModelVersion.objects.get(number=1), make_version(desk, 2, None)
        answered = give(
            [
                Row(now, now, 0.4, model_version=live.id),
                Row(now, now, 0.4, model_version=live.id, anomaly=0.99),
                Row(now, now, 0.4, model_version=id_at(now)),
                Row(now, now, 0.4),
            ]
        )
        ShadowScore.objects.bulk_create(
            ShadowScore(version=challenger.id, decision_id=each.decision_id, score=0.01) for each in answered
        )
        today = Period(now.date(), now.date())
        for champion, compared in ((live, 1), (None, 0)):
            found = compare(champion, challenger, today, current_settings(), Counts(), now=now)
            assert found.compared == compared


def test_old_scores_expire(desk: Tenant) -> None:
    old, new = id_at(timezone.now() - timedelta(days=100)), id_at(timezone.now())
    with tenant_scope(desk.id):
        ShadowScore.objects.bulk_create(ShadowScore(version=old, decision_id=each, score=0.5) for each in (old, new))
        assert expire_shadow_scores() == 1
        assert ShadowScore.objects.get().decision_id == new
