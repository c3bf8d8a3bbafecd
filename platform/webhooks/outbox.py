"""What webhooks are to be told, stored in the transaction of what happened; a worker sends it."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone
from uuid_utils.compat import uuid7

from tenancy.scope import current_tenant_id
from tenancy.statements import prepared_cursor
from tenancy.tasks import enqueue
from webhooks.models import WebhookDelivery
from webhooks.tasks import send_webhooks_of_tenant

# An alert is raised behind a lock, and nearly every tenant has few webhooks or none.
LISTENING = "SELECT id, events FROM webhooks_webhook WHERE tenant_id = %s AND is_active"


def tell(told: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Have each webhook told of those of these events that it asked for: two statements, however many there are.

    Each is a registered event (`webhooks.events`) and what its message holds beside `id`, `event` and `created_at`.
    """
    with prepared_cursor() as cursor:
        cursor.execute(LISTENING, [current_tenant_id()])
        listening = cursor.fetchall()
    now = timezone.now()
    deliveries = [
        _delivery(webhook_id, event, data, now)
        for event, data in told
        for webhook_id, events in listening
        if event in events
    ]
    if deliveries:
        WebhookDelivery.objects.bulk_create(deliveries)
        send_soon()


def send_soon() -> None:
    """Let a worker look for what waits, once the transaction has ended."""
    enqueue(send_webhooks_of_tenant)


def _delivery(webhook_id: UUID, event: str, data: dict[str, Any], now: datetime) -> WebhookDelivery:
    id = uuid7()
    body = json.dumps({"id": str(id), "event": event, "created_at": now.isoformat(), **data}, ensure_ascii=False)
    return WebhookDelivery(id=id, webhook_id=webhook_id, event=event, body=body, next_attempt_at=now)
