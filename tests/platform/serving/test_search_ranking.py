"""The re-ranker through training, gate and gateway: what clicks on rankings teach answers the next ones."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.conf import settings as django_settings
from django.core.exceptions import ValidationError
from django.utils import timezone
from uuid_utils.compat import uuid7

from behavior.models import Event
from decisions.models import Decision
from ml.serving.requests import RankingRequest
from ml.simulation.clicks import NAMES, simulate_clicks, simulate_searches
from serving import gateway, selectors
from serving.gateway import Answer
from serving.models import ModelVersion, RunStatus, TrainingRun
from serving.selectors import model_versions
from serving.services import TooLittleData, request_training
from serving.tasks import train_model
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.tasks import TENANT_HEADER
from tests.processes import Process
from tests.waiting import until

CANDIDATES = 8
REQUEST: RankingRequest = {"features": {"client_rank": [0.0, -1.0], "sequence": [-2.0, 2.0]}}


def fill_rankings(tenant: Tenant, *, first_always_chosen: bool = False, count: int = 900) -> None:
    """Rankings of the last days and the clicks on them, of people who look at place r with probability 1 / r."""
    generator = np.random.default_rng(0)
    searches = simulate_searches(count, candidates=CANDIDATES, exploration=0.5, generator=generator)
    clicks = simulate_clicks(searches.relevance, browsing="positions", power=1.0, generator=generator)
    if first_always_chosen:
        best = searches.features[:, :, NAMES.index("client_rank")].argmax(axis=1)
        clicks = np.arange(CANDIDATES) == best[:, None]
    begin = timezone.now() - timedelta(days=3)
    decisions, events = [], []
    for number in np.flatnonzero(clicks.any(axis=1)):
        decided_at = begin + timedelta(minutes=int(number))
        items = [{"id": f"item-{place}", "rank": place + 1} for place in range(CANDIDATES)]
        features = dict(zip(NAMES, searches.features[number].round(4).T.tolist(), strict=True))
        decision = Decision(
            tenant=tenant,
            decision_id=uuid7(),
            decided_at=decided_at,
            application="recommendation",
            scenario="search-rerank",
            policy="greedy",
            request={"features": features},
            items=items,
            latency_ms=1.0,
        )
        decisions.append(decision)
        events += [
            Event(
                tenant=tenant,
                received_at=decided_at,
                occurred_at=decided_at,
                time_quality="client",
                subject_key=b"s" * 32,
                type="click",
                item_id=f"item-{place}",
                decision_id=decision.decision_id,
                source="test",
            )
            for place in np.flatnonzero(clicks[number])
        ]
    with tenant_scope(tenant.id):
        Decision.objects.bulk_create(decisions)
        Event.objects.bulk_create(events)


def train(tenant: Tenant, **config: Any) -> tuple[TrainingRun, ModelVersion | None]:
    """The run as a worker would do it in this process, and its version."""
    with tenant_scope(tenant.id):
        run = request_training(model="search-ranking", task="search_ranking", config={"epochs": 5} | config)
    train_model.apply(kwargs={"run_id": str(run.id)}, headers={TENANT_HEADER: tenant.id}).get()
    selectors._lines.clear()
    with tenant_scope(tenant.id):
        return TrainingRun.objects.get(id=run.id), model_versions().filter(run=run).first()


def rank(tenant: Tenant) -> Answer[Any]:
    with tenant_scope(tenant.id):
        return gateway.rank("search-ranking", REQUEST)


def test_clicks_train_a_re_ranker_that_then_answers(tenant: Tenant) -> None:
    fill_rankings(tenant)
    assert rank(tenant).degraded == "no_model"

    run, version = train(tenant)

    assert (run.status, run.error) == (RunStatus.SUCCEEDED, "")
    assert [point["epoch"] for point in run.curve] == [1, 2, 3, 4, 5]
    assert version is not None
    assert version.status == "live", version.reasons
    assert set(version.metrics["baselines"]) == {"client_order", "popularity"}
    assert version.metrics["predict_p99_ms"] > 0
    assert (django_settings.SNAPSHOTS / run.snapshot / "features.npy").exists()
    answer = rank(tenant)
    assert (answer.model_version, answer.degraded) == (version.id, None)
    worse, better = answer.prediction["scores"]
    assert better > worse

    # The same again is no better than what answers now, which both holdouts say.
    _, second = train(tenant)
    assert second is not None
    assert second.status == "refused"
    assert "newest_holdout" in second.metrics
    assert rank(tenant).model_version == version.id


def test_a_re_ranker_that_does_not_beat_the_clients_order_is_refused(tenant: Tenant) -> None:
    fill_rankings(tenant, first_always_chosen=True, count=300)

    _, version = train(tenant)

    assert version is not None
    assert version.status == "refused"
    assert any("untrained baseline client_order" in reason for reason in version.reasons if "refused" in reason)
    assert rank(tenant).prediction is None


def test_training_asks_for_enough_rankings_with_clicks(tenant: Tenant) -> None:
    with tenant_scope(tenant.id), pytest.raises(TooLittleData, match="0 rankings have an event that names them"):
        request_training(model="search-ranking", task="search_ranking")


def test_a_setting_of_another_task_is_refused(tenant: Tenant) -> None:
    with tenant_scope(tenant.id), pytest.raises(ValidationError, match="unknown settings encoder"):
        request_training(model="search-ranking", task="search_ranking", config={"encoder": "lstm"})


@pytest.mark.slow
def test_a_worker_ranks_through_the_queue(tenant: Tenant, start_worker: Callable[..., Process], settings: Any) -> None:
    fill_rankings(tenant)
    _, version = train(tenant)
    assert version is not None
    settings.GATEWAY_TRANSPORT = "queue"
    start_worker(queues="infer")

    answer = until(lambda: None if (answer := rank(tenant)).degraded else answer)

    assert answer.model_version == version.id
    assert answer.prediction["scores"][1] > answer.prediction["scores"][0]
