"""Shared fixtures. Tests run as the runtime role on a real database and isolate by tenant: each makes its own, commits
what it does, and row-level security keeps the others out."""

import gc
import itertools
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.signals import setting_changed
from django.test import Client
from django.test.signals import root_urlconf_changed
from hypothesis import settings as property_tests

from config.celery import app as celery_app
from tenancy.api_scopes import API_SCOPES
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.services import create_api_key, create_tenant
from tests.database import connected_as, recreate_database
from tests.processes import ALL_QUEUES, Process, running_server, running_worker

_numbers = itertools.count(1)
# Until all has been imported; see `pytest_collection_finish`.
gc.disable()
# What an example takes says more of the machine than of the code.
property_tests.register_profile("suite", deadline=None)
property_tests.load_profile("suite")


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker: Any) -> Iterator[None]:
    """A fresh database, migrated by the owner; the tests then act as the application role."""
    with django_db_blocker.unblock():
        recreate_database()
        yield


@pytest.fixture(autouse=True)
def _no_tasks_of_earlier_tests(request: pytest.FixtureRequest) -> None:
    """A worker would first do all that earlier tests have asked for while there was none."""
    if "start_worker" in request.fixturenames:
        with celery_app.connection_for_write() as broker:
            for queue in (*ALL_QUEUES.split(","), "generate"):
                broker.default_channel.queue_purge(queue)


@pytest.fixture(scope="session", autouse=True)
def _addresses_stay() -> None:
    """Django forgets all addresses when a test names others for a while, and reads hundreds anew; both sorts may lie
    side by side."""
    setting_changed.disconnect(root_urlconf_changed)


@pytest.fixture(scope="session", autouse=True)
def _database_open_to_all_tests(request: pytest.FixtureRequest) -> None:
    """Tests commit for real, so none needs a mark. Folders that need no database stay free of it."""
    if any("tests/ml" not in str(item.path) for item in request.session.items):
        request.getfixturevalue("django_db_setup")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, lest one of them runs on alone at the end of tests in parallel.

    They take turns with those that have the most tests: slow ones mostly wait, and the others can use the time.
    """
    for item in items:
        # The operations of the contract's test share one id, and tests in parallel would run once what has one id.
        if not item.nodeid.endswith(item.name) and item.parent is not None:
            item._id = type(item.id).parse(f"{item.parent.nodeid}::{item.name}")
    count = Counter(item.path for item in items)
    slow = {item.path for item in items for mark in ("slow", "browser") if item.get_closest_marker(mark)}
    waiting = sorted(slow, key=lambda path: (count[path], path))
    busy = sorted(count.keys() - slow, key=lambda path: (-count[path], path))
    turns = itertools.chain(*itertools.zip_longest(waiting, busy))
    place = {path: number for number, path in enumerate(filter(None, turns))}
    items.sort(key=lambda item: place[item.path])


def pytest_collection_finish() -> None:
    """All that has been imported lives until the end, so that no collection of garbage need look through it again."""
    gc.collect()
    gc.freeze()
    gc.enable()


def make_tenant(name: str | None = None) -> Tenant:
    slug = f"tenant-{os.getpid()}-{next(_numbers)}"
    with connected_as("owner"):
        return create_tenant(slug=slug, name=name or slug.replace("-", " ").title())


@pytest.fixture
def tenant() -> Tenant:
    return make_tenant()


@pytest.fixture
def other_tenant() -> Tenant:
    return make_tenant()


@pytest.fixture
def scope(tenant: Tenant) -> Iterator[Tenant]:
    """The body of the test runs inside the tenant's scope (one transaction)."""
    with tenant_scope(tenant.id):
        yield tenant


class ApiClient:
    """JSON in, JSON out, with a tenant's key."""

    def __init__(self, raw_key: str) -> None:
        self.raw_key = raw_key
        self.client = Client(raise_request_exception=False)

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        data = body if isinstance(body, (str, bytes)) else json.dumps(body)
        return self.client.generic(
            method,
            f"/api/v1/{path}",
            b"" if body is None else data,
            content_type="application/json",
            headers={"Authorization": f"Bearer {self.raw_key}"} | headers,
        )

    def get(self, path: str, **headers: str) -> Any:
        return self.request("GET", path, **headers)

    def post(self, path: str, body: Any, **headers: str) -> Any:
        return self.request("POST", path, body, **headers)

    def put(self, path: str, body: Any, **headers: str) -> Any:
        return self.request("PUT", path, body, **headers)

    def patch(self, path: str, body: Any, **headers: str) -> Any:
        return self.request("PATCH", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Any:
        return self.request("DELETE", path, **headers)


def make_client(tenant: Tenant, *scopes: str) -> ApiClient:
    with tenant_scope(tenant.id):
        _, raw_key = create_api_key(name="test", scopes=scopes or list(API_SCOPES))
    return ApiClient(raw_key)


@pytest.fixture
def api(tenant: Tenant) -> ApiClient:
    return make_client(tenant)


@pytest.fixture
def other_api(other_tenant: Tenant) -> ApiClient:
    return make_client(other_tenant)


@pytest.fixture
def client_with_scopes(tenant: Tenant) -> Callable[..., ApiClient]:
    return lambda *scopes: make_client(tenant, *scopes)


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """start_worker(queues="train", environment={...}) starts a real Celery worker; all are ended after the test."""
    with ExitStack() as stack:
        numbers = itertools.count(1)

        def start(queues: str = ALL_QUEUES, environment: dict[str, str] | None = None) -> Process:
            log = tmp_path / f"worker-{next(numbers)}.log"
            return stack.enter_context(running_worker(log, queues, environment))

        yield start


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """start_server(kind="app") starts a real gunicorn and gives its address; all are ended after the test."""
    with ExitStack() as stack:
        numbers = itertools.count(1)

        def start(kind: str = "app", environment: dict[str, str] | None = None) -> str:
            log = tmp_path / f"server-{next(numbers)}.log"
            return stack.enter_context(running_server(log, kind, environment))

        yield start


@pytest.fixture(scope="session")
def workspace() -> Path:
    return Path(settings.TEST_WORKSPACE)
