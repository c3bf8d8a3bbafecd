"""Experiments in the console: begun with a version that may be tried, read with their arms, stopped and decided."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone

from apps.service.experiments.selectors import named_versions
from apps.service.experiments.services import start
from apps.service.models import Experiment
from serving.models import ModelVersion, RunStatus, TrainingRun
from serving.selectors import live_version
from serving.services import promote
from tenancy.models import Role, Tenant
from tenancy.scope import tenant_scope
from tests.database import connected_as
from tests.platform.console.furnishing import logged_in, make_operator

PAGE = "/console/service/experiment"


def make_version(number: int, *, model: str = "replies", status: str = "candidate") -> ModelVersion:
    run = TrainingRun.objects.create(model=model, task=model, status=RunStatus.SUCCEEDED, report={})
    return ModelVersion.objects.create(
        model=model, number=number, task=model, run=run, artifact=f"1/{model}/{number}", status=status
    )


@pytest.fixture
def versions(tenant: Tenant) -> list[ModelVersion]:
    """The live one, one that may be tried, one that the gate refused, and one of another line."""
    with tenant_scope(tenant.id):
        made = [make_version(1), make_version(2), make_version(3, status="refused"), make_version(4, model="next-item")]
        promote(version=made[0], actor="test")
    return made


@pytest.fixture
def browser(tenant: Tenant, settings: Any) -> Callable[..., str]:
    """browser(path) reads a page as an operator, browser(path, name=...) sends its form."""
    settings.MIDDLEWARE = settings.MIDDLEWARE_BY_PROCESS["console"]
    settings.ROOT_URLCONF = "config.urls_console"
    with connected_as("console"):
        client: Client = logged_in(make_operator(tenant, Role.OPERATOR, f"ann@{tenant.slug}.example"))

    def browser(path: str, **fields: Any) -> str:
        with connected_as("console"):
            answer = client.post(path, fields, follow=True) if fields else client.get(path)
        assert answer.status_code == 200, answer
        return answer.content.decode()

    return browser


def test_an_experiment_is_begun_read_and_decided(
    tenant: Tenant, versions: list[ModelVersion], browser: Callable[..., str]
) -> None:
    with tenant_scope(tenant.id):
        make_version(5)
        ModelVersion.objects.filter(number=5).update(files_deleted_at=timezone.now())
        gone = ModelVersion.objects.get(number=5)
        with pytest.raises(ValidationError, match="files of replies 5 were deleted"):
            start(name="Fifth", challenger_id=gone.id, actor="test")
    form = browser(f"{PAGE}/add/")
    assert str(gone.id) not in form
    assert [str(each.id) in form for each in versions] == [False, True, False, False]
    begun = browser(f"{PAGE}/add/", name="Second", challenger=str(versions[1].id), share="0.5")
    assert "What it has shown" in begun or "was added successfully" in begun
    with tenant_scope(tenant.id):
        experiment = Experiment.objects.get()
        assert (experiment.control, experiment.challenger) == (versions[0], versions[1])
        assert named_versions() == [versions[0].id, versions[1].id]
        assert experiment.started_by == f"ann@{tenant.slug}.example"
    page = browser(f"{PAGE}/{experiment.id}/change/")
    for text in ("What it has shown", "Accepted as they were", "Challenger", "Promote the challenger"):
        assert text in page

    # One runs at a time, and what was filled in is still there.
    again = browser(f"{PAGE}/add/", name="Third", challenger=str(versions[1].id), share="0.5")
    assert "an experiment runs already" in again
    assert 'value="Third"' in again
    assert "share" in browser(f"{PAGE}/add/", name="Third", challenger=str(versions[1].id), share="2")

    browser(f"{PAGE}/{experiment.id}/promote_challenger/", _form_submitted="on")
    with tenant_scope(tenant.id):
        assert live_version("replies") == versions[1]
        experiment.refresh_from_db()
        assert named_versions() == []
    assert (experiment.outcome, experiment.promoted) == ("promoted", "challenger")
    assert "promote_challenger" not in browser(f"{PAGE}/{experiment.id}/change/")
