"""The console as its operators use it: in the console's database role, with its middleware and addresses."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from tenancy.models import Role, Tenant
from tests.database import connected_as
from tests.platform.console.furnishing import Furnished, logged_in, make_operator


@pytest.fixture(autouse=True)
def _console_process(settings: Any) -> Iterator[None]:
    settings.MIDDLEWARE = settings.MIDDLEWARE_BY_PROCESS["console"]
    settings.ROOT_URLCONF = "config.urls_console"
    with connected_as("console"):
        yield


@pytest.fixture
def as_role(tenant: Tenant) -> Callable[[Role], Client]:
    """as_role(Role.ANALYST) is the browser of a member of the tenant with this role."""
    return lambda role: logged_in(make_operator(tenant, role))


@pytest.fixture
def furnished(tenant: Tenant) -> Furnished:
    return Furnished(tenant)
