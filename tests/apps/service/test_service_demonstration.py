"""The demonstration's service desk has something on each of its pages, and is filled once."""

from typing import Any

from apps.service.conversations.models import Conversation
from apps.service.demonstrations.desk import CONVERSATIONS, TODAY, fill_service, work_at_service
from apps.service.replies.models import Reply
from apps.service.replies.settings import read_settings
from apps.service.replies.thresholds import suggest_threshold
from serving.models import RunStatus
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.conftest import ApiClient


def test_the_service_desk_is_filled_once(tenant: Tenant, api: ApiClient) -> None:
    said: list[str] = []
    doors: dict[str, Any] = {"state": {}, "save": lambda: None, "say": said.append}
    run = fill_service(tenant.id, **doors)
    assert run is not None
    assert run.status == RunStatus.QUEUED
    assert fill_service(tenant.id, **doors) == run
    work_at_service(tenant.id, **doors)
    work_at_service(tenant.id, **doors)
    with tenant_scope(tenant.id):
        assert Conversation.objects.count() == CONVERSATIONS + len(TODAY)
        assert set(Reply.objects.values_list("status", flat=True)) >= {"accepted", "edited", "rejected", "handed_off"}
        suggestion = suggest_threshold(read_settings())
    assert suggestion.labels >= CONVERSATIONS
    assert suggestion.send_above is not None, suggestion.reason
    report = api.get("service/reports").json()
    assert len(report["rows"]) == 7
    assert all(row["first_response_p50"] and row["acceptance"] for row in report["rows"][:-1])
    assert len(said) == 2
