"""Which version answers is one row per line, changed under a lock and never without a trace."""

import threading
from collections.abc import Callable

import pytest
from django.db import IntegrityError, connection, transaction

from serving.models import Deployment, DeploymentEvent, ModelVersion, VersionStatus
from serving.selectors import deployment_history, live_version
from serving.services import PromotionRefused, StateConflict, promote, rollback
from tenancy.models import Tenant
from tenancy.scope import tenant_scope

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
