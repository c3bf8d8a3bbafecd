"""A language model's server, and a worker that writes."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from apps.service.tasks import generate_reply
from tenancy.models import Tenant
from tests.apps.service.replies.stub_server import StubServer, running_stub
from tests.conftest import ApiClient


@pytest.fixture
def stub(settings: Any) -> Iterator[StubServer]:
    """Allowed by the operator of the suite."""
    with running_stub() as server:
        settings.REPLY_SERVERS = [server.url]
        yield server


@pytest.fixture
def model(api: ApiClient, stub: StubServer) -> StubServer:
    """The tenant's replies are written by the stub where no macro fits."""
    backend = {"name": "ours", "kind": "openai_compatible", "base_url": f"{stub.url}/v1", "model": "m", "key": "k-1"}
    answer = api.put("service/backends", {"backends": [backend]})
    assert answer.status_code == 200, answer.content
    return stub


@pytest.fixture
def write(tenant: Tenant) -> Callable[[dict[str, Any]], None]:
    """Does what a worker does with a reply that is under way."""

    def write(reply: dict[str, Any]) -> None:
        generate_reply.apply(kwargs={"reply_id": reply["id"]}, headers={"tenant_id": tenant.id}, throw=True)

    return write
