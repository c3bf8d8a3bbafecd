"""What webhooks are to be told, stored in the transaction of what happened; a worker sends it."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone
from uuid_utils.compat import uuid7

from tenancy.tasks import enqueue
from webhooks.models import Webhook, WebhookDelivery
from webhooks.tasks import send_webhooks_of_tenant


def tell(told: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Have each webhook told of those of these events that it asked for: two statements, however many there are.

    Each is a registered event (`webhooks.events`) and what its message holds beside `id`, `event` and `created_at`.
    """
    webhooks = list(Webhook.objects.filter(is_active=True).only("id", "events"))
    now = timezone.now()
    deliveries = [
        _delivery(webhook, event, data, now) for event, data in told for webhook in webhooks if event in webhook.events
    ]
    if deliveries:
        WebhookDelivery.objects.bulk_create(deliveries)
        send_soon()


def send_soon() -> None:
    """Let a worker look for what waits, once the transaction has ended."""
    enqueue(send_webhooks_of_tenant)


def _delivery(webhook: Webhook, event: str, data: dict[str, Any], now: datetime) -> WebhookDelivery:
    id = uuid7()
    body = json.dumps({"id": str(id), "event": event, "created_at": now.isoformat(), **data}, ensure_ascii=False)
    return WebhookDelivery(id=id, webhook=webhook, event=event, body=body, next_attempt_at=now)
