"""Which version answers is one row per line, changed under a lock and never without a trace."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from ml.serving.requests import NextItemRequest
from serving.artifacts import resolve_artifact
from serving.models import Deployment, DeploymentEvent, ModelVersion, RunStatus, TrainingRun, VersionStatus
from serving.replay import VersionGone, replay
from serving.selectors import deployment_history, live_version
from serving.services import PromotionRefused, StateConflict, promote, rollback
from serving.tasks import sweep_versions_of_tenant
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.tasks import TENANT_HEADER

Publish = Callable[..., ModelVersion]


def statuses() -> list[str]:
    return list(ModelVersion.objects.order_by("number").values_list("status", flat=True))


def test_promote_and_roll_back_swap_and_are_recorded(tenant: Tenant, publish: Publish) -> None:
    first, second = publish(tenant, 1), publish(tenant, 2)
    with tenant_scope(tenant.id):
        promote(version=first, actor="ann@example.com")
        promote(version=second, actor="ann@example.com")
        assert statuses() == ["retired", "live"]

        rollback(model="next-item", actor="bob@example.com")
        assert live_version("next-item") == first
        assert statuses() == ["live", "retired"]

        rollback(model="next-item", actor="bob@example.com")
        assert live_version("next-item") == second
        history = list(deployment_history("next-item"))
    assert [(event.action, event.actor, event.to_version_id) for event in reversed(history)] == [
        ("promote", "ann@example.com", first.id),
        ("promote", "ann@example.com", second.id),
        ("rollback", "bob@example.com", first.id),
        ("rollback", "bob@example.com", second.id),
    ]
    assert history[-1].from_version is None


def test_a_refused_version_is_not_promoted(tenant: Tenant, publish: Publish) -> None:
    version = publish(tenant, status=VersionStatus.REFUSED, reasons=["refused: ndcg@10 0.1 against 0.2"])
    with tenant_scope(tenant.id):
        with pytest.raises(PromotionRefused, match="against"):
            promote(version=version, actor="ann@example.com")
        assert live_version("next-item") is None
        assert not DeploymentEvent.objects.exists()


def test_a_live_version_is_not_promoted_again(tenant: Tenant, publish: Publish) -> None:
    version = publish(tenant)
    with tenant_scope(tenant.id):
        promote(version=version, actor="ann@example.com")
        with pytest.raises(StateConflict, match="live already"):
            promote(version=version, actor="ann@example.com")
        assert DeploymentEvent.objects.count() == 1


def test_rollback_without_a_previous_version_says_so(tenant: Tenant, publish: Publish) -> None:
    with tenant_scope(tenant.id):
        with pytest.raises(StateConflict, match="no previous version"):
            rollback(model="next-item", actor="ann@example.com")
        promote(version=publish(tenant), actor="ann@example.com")
        with pytest.raises(StateConflict, match="no previous version"):
            rollback(model="next-item", actor="ann@example.com")


def test_promotions_at_the_same_time_come_one_after_the_other(tenant: Tenant, publish: Publish) -> None:
    versions = [publish(tenant, number) for number in range(1, 5)]

    def go_live(version: ModelVersion) -> None:
        try:
            with tenant_scope(tenant.id):
                promote(version=version, actor="test")
        finally:
            connection.close()

    threads = [threading.Thread(target=go_live, args=[version]) for version in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with tenant_scope(tenant.id):
        assert sorted(statuses()) == ["live", "retired", "retired", "retired"]
        events = list(deployment_history("next-item").order_by("created_at"))
        deployment = Deployment.objects.get()
    assert [event.from_version_id for event in events] == [None, *(event.to_version_id for event in events[:-1])]
    assert deployment.live_version_id == events[-1].to_version_id


def test_a_deployment_can_not_point_at_another_tenants_version(
    tenant: Tenant, other_tenant: Tenant, publish: Publish
) -> None:
    theirs, mine = publish(other_tenant), publish(tenant)
    with tenant_scope(tenant.id):
        promote(version=mine, actor="test")
        with pytest.raises(ModelVersion.DoesNotExist):
            promote(version=theirs, actor="test")
    with pytest.raises(IntegrityError), tenant_scope(tenant.id), transaction.atomic():
        Deployment.objects.update(live_version=theirs.id)
    with tenant_scope(tenant.id):
        assert live_version("next-item") == mine


def swept(tenant: Tenant) -> list[int]:
    """Numbers of the versions whose files are there after a sweep."""
    sweep_versions_of_tenant.apply(headers={TENANT_HEADER: tenant.id}, throw=True)
    with tenant_scope(tenant.id):
        versions = list(ModelVersion.objects.order_by("number"))
        there = [each.number for each in versions if resolve_artifact(tenant.id, each.artifact).is_dir()]
        assert there == [each.number for each in versions if each.files_deleted_at is None]
    return there


def test_files_of_versions_that_nothing_asks_are_deleted(
    tenant: Tenant, publish: Publish, settings: Any, request_after: Callable[..., NextItemRequest]
) -> None:
    settings.KEPT_VERSIONS = 2
    candidate, retired, refused = VersionStatus.CANDIDATE, VersionStatus.RETIRED, VersionStatus.REFUSED
    made = [candidate, candidate, candidate, candidate, retired, retired, refused, refused]
    versions = [publish(tenant, number, status=status) for number, status in enumerate(made, start=1)]
    with tenant_scope(tenant.id):
        ModelVersion.objects.exclude(number=4).update(created_at=timezone.now() - timedelta(days=31))
        promote(version=versions[0], actor="test")
        promote(version=versions[1], actor="test")

    # Previous, live, a young candidate, the two newest that passed, and the newest, which has the rules.
    assert swept(tenant) == [1, 2, 4, 5, 6, 8]
    with tenant_scope(tenant.id):
        with pytest.raises(StateConflict, match=r"files of next-item 3 were deleted on .*; train the line again"):
            promote(version=versions[2], actor="test")
        with pytest.raises(VersionGone):
            replay(versions[2].id, request_after("item-01"))
        assert rollback(model="next-item", actor="test").live_version == versions[0]
    assert swept(tenant) == [1, 2, 4, 5, 6, 8]


def test_a_line_that_is_being_trained_keeps_its_files(tenant: Tenant, publish: Publish, settings: Any) -> None:
    settings.KEPT_VERSIONS = 1
    for number in (1, 2):
        publish(tenant, number, status=VersionStatus.RETIRED)
    with tenant_scope(tenant.id):
        run = TrainingRun.objects.create(model="next-item", task="next_item")
    assert swept(tenant) == [1, 2]
    with tenant_scope(tenant.id):
        TrainingRun.objects.filter(id=run.id).update(status=RunStatus.CANCELLED)
    assert swept(tenant) == [2]
