"""The gateway answers always; what changes is the rung of the ladder, and the answer says so."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from serving import gateway
from serving.artifacts import resolve_artifact
from serving.breaker import CircuitBreaker
from serving.models import ModelVersion, VersionStatus
from serving.selectors import LINE_SECONDS
from serving.services import promote, rollback
from tenancy.models import Tenant
from tenancy.scope import tenant_scope

Publish = Callable[..., ModelVersion]
RequestAfter = Callable[..., Any]


def go_live(tenant: Tenant, version: ModelVersion) -> None:
    with tenant_scope(tenant.id):
        promote(version=version, actor="test")


def folder_of(version: ModelVersion) -> Path:
    return resolve_artifact(version.tenant_id, version.artifact)


def test_the_live_version_answers(tenant: Tenant, publish: Publish, request_after: RequestAfter) -> None:
    version = publish(tenant)
    go_live(tenant, version)
    with tenant_scope(tenant.id):
        answer = gateway.predict("next-item", request_after("item-03", "item-04"))
    assert (answer.model_version, answer.degraded) == (version.id, None)
    assert answer.prediction["items"][0] == "item-05"


def test_a_broken_live_artifact_falls_back_to_the_previous_version(
    tenant: Tenant, publish: Publish, request_after: RequestAfter
) -> None:
    first, second = publish(tenant, 1), publish(tenant, 2)
    go_live(tenant, first)
    go_live(tenant, second)
    (folder_of(second) / "model.safetensors").write_bytes(b"not a model")
    with tenant_scope(tenant.id):
        answer = gateway.predict("next-item", request_after("item-03"))
    assert (answer.model_version, answer.degraded) == (first.id, "previous_version")
    assert answer.prediction["items"]


def test_without_any_network_the_rules_of_an_artifact_answer(
    tenant: Tenant, publish: Publish, request_after: RequestAfter
) -> None:
    version = publish(tenant)
    go_live(tenant, version)
    (folder_of(version) / "model.safetensors").unlink()
    with tenant_scope(tenant.id):
        answer = gateway.predict("next-item", request_after("item-03"))
    assert (answer.model_version, answer.degraded) == (version.id, "rules")
    assert answer.prediction["items"][0] == "item-04"


def test_a_refused_version_lends_its_rules_only(tenant: Tenant, publish: Publish, request_after: RequestAfter) -> None:
    version = publish(tenant, status=VersionStatus.REFUSED)
    with tenant_scope(tenant.id):
        answer = gateway.predict("next-item", request_after("item-03"))
    assert (answer.model_version, answer.degraded) == (version.id, "rules")


def test_without_artifacts_the_answer_is_no_model(
    tenant: Tenant, publish: Publish, request_after: RequestAfter
) -> None:
    with tenant_scope(tenant.id):
        assert gateway.predict("next-item", request_after("item-03")).degraded == "no_model"
    version = publish(tenant, model="other-line")
    go_live(tenant, version)
    shutil.rmtree(folder_of(version))
    with tenant_scope(tenant.id):
        answer = gateway.predict("other-line", request_after("item-03"))
        assert (answer.prediction, answer.model_version, answer.degraded) == (None, None, "no_model")
        assert gateway.find_rules("other-line") is None


def test_promotion_and_rollback_take_effect_within_two_seconds(
    tenant: Tenant, publish: Publish, request_after: RequestAfter
) -> None:
    first, second = publish(tenant, 1), publish(tenant, 2)
    go_live(tenant, first)

    def answering() -> Any:
        with tenant_scope(tenant.id):
            return gateway.predict("next-item", request_after("item-03")).model_version

    assert answering() == first.id
    go_live(tenant, second)
    time.sleep(LINE_SECONDS)
    assert answering() == second.id
    with tenant_scope(tenant.id):
        rollback(model="next-item", actor="test")
    time.sleep(LINE_SECONDS)
    assert answering() == first.id


def test_a_version_that_points_at_another_tenants_artifact_is_not_used(
    tenant: Tenant, other_tenant: Tenant, publish: Publish, request_after: RequestAfter
) -> None:
    theirs = publish(other_tenant)
    mine = publish(tenant)
    go_live(tenant, mine)
    with tenant_scope(tenant.id):
        ModelVersion.objects.filter(id=mine.id).update(artifact=theirs.artifact)
        answer = gateway.predict("next-item", request_after("item-03"))
    assert answer.degraded == "no_model"


@pytest.mark.parametrize("path", ["../../etc", "/etc", "{other}/x", "{own}/../{other}/x", "{own}/link"])
def test_paths_outside_the_tenants_folder_are_refused(tenant: Tenant, other_tenant: Tenant, path: str) -> None:
    own = Path(settings.ARTIFACTS) / str(tenant.id)
    own.mkdir(parents=True, exist_ok=True)
    (own / "link").symlink_to(Path(settings.ARTIFACTS) / str(other_tenant.id))
    with pytest.raises(ValueError, match="not one of tenant"):
        resolve_artifact(tenant.id, path.format(own=tenant.id, other=other_tenant.id))


def test_a_request_that_the_model_refuses_is_degraded_and_not_an_error(
    tenant: Tenant, publish: Publish, request_after: RequestAfter
) -> None:
    go_live(tenant, publish(tenant))
    with tenant_scope(tenant.id):
        answer = gateway.predict("next-item", request_after("item-03") | {"times": [], "count": 0})
    assert answer.degraded == "no_model"


def test_an_open_breaker_lets_one_probe_through_at_a_time() -> None:
    breaker = CircuitBreaker(misses=2, probe_seconds=0.05)
    assert breaker.allows()
    breaker.failed()
    assert breaker.allows()
    breaker.failed()
    assert not breaker.allows()
    time.sleep(0.06)
    assert [breaker.allows(), breaker.allows()] == [True, False]
    breaker.succeeded()
    assert [breaker.allows(), breaker.allows()] == [True, True]
