"""Settings, and the threshold that the agents' labels allow."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from uuid_utils.compat import uuid7

from apps.service.conversations.models import Conversation, Message
from apps.service.replies.models import Reply
from apps.service.replies.selectors import sendable_since
from decisions.models import ScenarioChange
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.service.conftest import SENDING
from tests.conftest import ApiClient


def test_sending_is_off_by_default_and_settings_are_replaced_as_a_whole(api: ApiClient, tenant: Tenant) -> None:
    before = api.get("service/settings").json()
    assert (before["send_above"], before["auto_send_intents"]) == (None, [])
    changed = api.put("service/settings", SENDING | {"blocked_topics": ["lawyer"]}).json()
    assert (changed["send_above"], changed["blocked_topics"]) == (0.3, ["lawyer"])
    assert api.put("service/settings", {}).json() == before
    with tenant_scope(tenant.id):
        assert ScenarioChange.objects.count() == 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"send_above": 2}, "send_above"),
        ({"send_above": 0.1, "draft_above": 0.9}, "send_above"),
        ({"error_rate": -1}, "error_rate"),
        ({"blocked_topics": "lawyer"}, "blocked_topics"),
        ({"blocked_topics": [""]}, "blocked_topics[0]"),
        ({"order_event_types": ["Big Letters"]}, "order_event_types[0]"),
        ({"send_all": True}, "send_all"),
    ],
)
def test_settings_that_cannot_be_used_name_their_field(api: ApiClient, change: dict[str, Any], field: str) -> None:
    refused = api.put("service/settings", change)
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["field"] == field
    assert api.get("service/settings").json()["send_above"] is None


def judged(tenant: Tenant, confidences: list[tuple[float, bool]], reason: str = "sending_off") -> None:
    """Drafts that agents accepted as they were, or not."""
    now = timezone.now()
    with tenant_scope(tenant.id):
        conversation = Conversation.objects.create(subject_key=b"k" * 32, channel="web", opened_at=now)
        messages = Message.objects.bulk_create(
            Message(
                conversation=conversation,
                number=number,
                role="customer",
                text="Hello",
                client_id=str(number),
                event_id=uuid7(),
                created_at=now,
            )
            for number, _ in enumerate(confidences, start=1)
        )
        Reply.objects.bulk_create(
            Reply(
                conversation=conversation,
                message=message,
                decision_id=uuid7(),
                status="accepted" if right else "edited",
                action="draft",
                confidence=confidence,
                backend="selection",
                reasons=[{"code": "below_threshold", "text": ""}, {"code": reason, "text": ""}],
                created_at=now,
                settled_at=now,
            )
            for message, (confidence, right) in zip(messages, confidences, strict=True)
        )


def test_too_few_labels_give_no_threshold_and_say_how_many_it_takes(api: ApiClient, tenant: Tenant) -> None:
    judged(tenant, [(0.9, True)] * 58)
    answer = api.get("service/threshold").json()
    assert (answer["send_above"], answer["labels"], answer["needed"]) == (None, 58, 59)
    assert "59 right ones are needed" in answer["reason"]


def test_drafts_that_no_threshold_would_send_say_nothing_of_it(api: ApiClient, tenant: Tenant) -> None:
    judged(tenant, [(0.9, True)] * 60)
    judged(tenant, [(0.95, False)] * 60, reason="missing_slots")
    answer = api.get("service/threshold").json()
    assert (answer["labels"], answer["right"], answer["send_above"]) == (60, 60, 0.9)
    with tenant_scope(tenant.id):
        assert sendable_since(timezone.now() - timedelta(days=1)) == 60


def test_the_threshold_keeps_wrong_drafts_out(api: ApiClient, tenant: Tenant) -> None:
    judged(tenant, [(0.5 + number / 400, number >= 60) for number in range(200)])
    answer = api.get("service/threshold").json()
    assert (answer["labels"], answer["right"]) == (200, 140)
    assert 0.6 < answer["send_above"] <= 0.7
    assert answer["curve"][-1]["coverage"] == 1.0
    assert answer["curve"][-1]["risk"] == pytest.approx(0.3)


def test_where_even_the_surest_are_wrong_there_is_none(api: ApiClient, tenant: Tenant) -> None:
    judged(tenant, [(0.9, number % 3 > 0) for number in range(120)])
    answer = api.get("service/threshold").json()
    assert answer["send_above"] is None
    assert "even the surest" in answer["reason"]
