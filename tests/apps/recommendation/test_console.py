"""The console's pages of this application: batches, data sufficiency."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from apps.recommendation.batches import services as batches
from apps.recommendation.models import Batch, BatchStatus
from apps.recommendation.services import create_default_scenarios
from apps.recommendation.tasks import finish_batch, make_chunk, plan_batch
from decisions.models import Scenario
from serving.models import ModelVersion
from tenancy.models import Role, Tenant
from tenancy.scope import tenant_scope
from tenancy.tasks import TENANT_HEADER
from tests.database import connected_as
from tests.platform.console.furnishing import logged_in, make_operator

Post = Callable[..., None]
LIST = "/console/recommendation/batch/"
ASKED = {"scenario": "email", "count": "2", "format": "csv", "filter": "{}", "params": "{}"}


@pytest.fixture
def console(settings: Any) -> Callable[[Tenant, Role], Client]:
    """console(tenant, Role.ANALYST) is the browser of a member; from then on the process is the console."""

    def enter(tenant: Tenant, role: Role) -> Client:
        settings.MIDDLEWARE = settings.MIDDLEWARE_BY_PROCESS["console"]
        settings.ROOT_URLCONF = "config.urls_console"
        with connected_as("console"):
            return logged_in(make_operator(tenant, role))

    return enter


@pytest.fixture
def known(shop: Tenant, live_model: ModelVersion, post_events: Post) -> Tenant:
    for number in range(3):
        post_events("item-01", "item-02", user_id=f"reader-{number}")
    with tenant_scope(shop.id):
        create_default_scenarios()
    return shop


def get(client: Client, address: str, **data: str) -> Any:
    with connected_as("console"):
        return client.get(address, data)


def post(client: Client, address: str, **data: str) -> Any:
    with connected_as("console"):
        return client.post(address, data, follow=True)


def work(tenant: Tenant, batch_id: UUID, *tasks: Any) -> None:
    for task in tasks or (plan_batch, make_chunk, finish_batch):
        task.apply(kwargs={"batch_id": str(batch_id)}, headers={TENANT_HEADER: tenant.id}, throw=True)


def only_batch(tenant: Tenant) -> Batch:
    with tenant_scope(tenant.id):
        return Batch.objects.get()


def test_a_batch_is_started_followed_and_downloaded(known: Tenant, console: Callable[[Tenant, Role], Client]) -> None:
    client = console(known, Role.OPERATOR)
    assert "No batches yet" in get(client, LIST).content.decode()
    assert 'value="email" selected' in get(client, f"{LIST}add/").content.decode()

    page = post(client, f"{LIST}add/", **ASKED).content.decode()
    assert "The batch is queued" in page
    assert 'http-equiv="refresh"' in page
    batch = only_batch(known)
    work(known, batch.id, plan_batch)
    page = get(client, f"{LIST}{batch.id}/change/").content.decode()
    assert "0 of 3 subjects" in page
    assert 'role="progressbar"' in page
    assert 'class="console-progress"' in get(client, LIST).content.decode()

    work(known, batch.id, make_chunk, finish_batch)
    page = get(client, f"{LIST}{batch.id}/change/").content.decode()
    assert "Succeeded" in page
    assert 'http-equiv="refresh"' not in page
    answer = get(client, f"{LIST}{batch.id}/download/")
    assert answer["Content-Disposition"].startswith('attachment; filename="email-')
    assert b"reader-1" in b"".join(answer.streaming_content)


def test_what_the_service_refuses_is_said_beside_its_field(
    known: Tenant, console: Callable[[Tenant, Role], Client]
) -> None:
    client = console(known, Role.ANALYST)
    assert "is no operator" in post(client, f"{LIST}add/", **ASKED | {"filter": '{"equals": 1}'}).content.decode()
    assert (
        "temperature: must be"
        in post(client, f"{LIST}add/", **ASKED | {"params": '{"temperature": -1}'}).content.decode()
    )
    assert "must be a JSON object" in post(client, f"{LIST}add/", **ASKED | {"params": "[1]"}).content.decode()
    post(client, f"{LIST}add/", **ASKED)
    assert "has a batch under way already" in post(client, f"{LIST}add/", **ASKED).content.decode()
    assert only_batch(known).status == BatchStatus.QUEUED


@pytest.mark.parametrize(
    ("role", "starts", "downloads"),
    [(Role.VIEWER, False, False), (Role.ANALYST, True, False), (Role.OPERATOR, True, True)],
)
def test_starting_is_for_analysts_and_raw_ids_are_for_operators(
    role: Role, starts: bool, downloads: bool, known: Tenant, console: Callable[[Tenant, Role], Client]
) -> None:
    with tenant_scope(known.id):
        batch = batches.request_batch(scenario="home", count=1)
    work(known, batch.id)
    client = console(known, role)

    assert get(client, f"{LIST}{batch.id}/change/").status_code == 200
    answer = get(client, f"{LIST}{batch.id}/download/")
    assert (answer.status_code == 200) == downloads
    assert downloads or answer.status_code == 403
    post(client, f"{LIST}{batch.id}/cancel/", _form_submitted="on")
    assert only_batch(known).file_bytes is not None
    post(client, f"{LIST}{batch.id}/delete_file/", _form_submitted="on")
    assert (only_batch(known).file_bytes is None) == downloads
    post(client, f"{LIST}add/", **ASKED)
    with tenant_scope(known.id):
        assert (Batch.objects.count() == 2) == starts


def test_a_running_batch_is_cancelled_by_analysts(known: Tenant, console: Callable[[Tenant, Role], Client]) -> None:
    with tenant_scope(known.id):
        batch = batches.request_batch(scenario="home", count=1)
    work(known, batch.id, plan_batch)
    address = f"{LIST}{batch.id}/cancel/"
    post(console(known, Role.VIEWER), address, _form_submitted="on")
    assert only_batch(known).status == BatchStatus.RUNNING
    post(console(known, Role.ANALYST), address, _form_submitted="on")
    assert only_batch(known).status == BatchStatus.CANCELLED


def test_another_business_cannot_reach_it(
    known: Tenant, other_tenant: Tenant, console: Callable[[Tenant, Role], Client]
) -> None:
    with tenant_scope(known.id):
        batch = batches.request_batch(scenario="home", count=1)
        scenario = Scenario.objects.get(key="home")
    work(known, batch.id)
    client = console(other_tenant, Role.ADMIN)
    assert str(batch.id) not in get(client, LIST).content.decode()
    assert get(client, f"{LIST}{batch.id}/download/").status_code == 404
    post(client, f"{LIST}{batch.id}/delete_file/", _form_submitted="on")
    assert only_batch(known).file_bytes is not None
    address = f"/console/recommendation/scenariodata/{scenario.id}/change/"
    assert get(client, address).status_code == 302


def test_each_scenario_has_a_page_that_says_what_is_missing(
    known: Tenant, console: Callable[[Tenant, Role], Client]
) -> None:
    client = console(known, Role.VIEWER)
    page = get(client, "/console/recommendation/scenariodata/").content.decode()
    assert "Insufficient" in page
    assert "Events that name an item: 994 more events" in page
    with tenant_scope(known.id):
        scenario = Scenario.objects.get(key="home")
    page = get(client, f"/console/recommendation/scenariodata/{scenario.id}/change/").content.decode()
    assert "The scenario can not do its work yet" in page
    assert "994 more events. Send events with POST /api/v1/events" in page
    assert "100 %" in page
    sidebar = get(client, "/console/").content.decode()
    assert 'href="/console/recommendation/scenariodata/"' in sidebar
    assert f'href="{LIST}"' in sidebar
