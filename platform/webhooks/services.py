"""Writes of webhooks."""

import secrets
from collections.abc import Collection, Sequence
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from tenancy.secrets import encrypt
from webhooks.events import webhook_events
from webhooks.models import DeliveryStatus, Webhook, WebhookDelivery
from webhooks.outbox import send_soon
from webhooks.posting import check_url

MOST_WEBHOOKS = 10


@transaction.atomic
def create_webhook(*, url: str, events: Sequence[str], actor: str) -> tuple[Webhook, str]:
    """The webhook and its secret, which is shown once. Raises ValidationError that names each field at fault."""
    check_url(url)
    _check_events(events)
    if Webhook.objects.filter(url=url).exists():
        raise ValidationError({"url": "there is a webhook with this address already"})
    if Webhook.objects.count() >= MOST_WEBHOOKS:
        raise ValidationError({"url": f"there are {MOST_WEBHOOKS} webhooks already; remove one first"})
    secret = _new_secret()
    made = Webhook.objects.create(
        url=url, events=sorted(set(events)), secret=encrypt(secret.encode()), created_by=actor
    )
    return made, secret


def change_events(*, webhook_id: UUID, events: Sequence[str]) -> Webhook:
    """What it is told of from now on; what waits is sent all the same. Raises ValidationError that names the field, and
    Webhook.DoesNotExist, as the next ones do."""
    _check_events(events)
    webhook = Webhook.objects.get(id=webhook_id)
    webhook.events = sorted(set(events))
    webhook.save(update_fields=["events"])
    return webhook


def renew_secret(*, webhook_id: UUID) -> str:
    """A new secret, which is shown once; it signs from now on. Raises Webhook.DoesNotExist."""
    webhook = Webhook.objects.get(id=webhook_id)
    secret = _new_secret()
    webhook.secret = encrypt(secret.encode())
    webhook.save(update_fields=["secret"])
    return secret


def switch_webhook(*, webhook_id: UUID, is_active: bool) -> None:
    """Pause it or let it go on: what waits then is sent at once. While it is paused nothing new is kept for it."""
    webhook = Webhook.objects.get(id=webhook_id)
    webhook.is_active, webhook.failures, webhook.resting_until = is_active, 0, None
    webhook.save(update_fields=["is_active", "failures", "resting_until"])
    if is_active:
        send_soon()


def remove_webhook(*, webhook_id: UUID) -> None:
    """Its deliveries go with it."""
    Webhook.objects.filter(id=webhook_id).delete()


def replay_deliveries(*, delivery_ids: Collection[UUID]) -> int:
    """Send these once more, from the first attempt on and with the same id; how many are to be sent."""
    chosen = WebhookDelivery.objects.filter(id__in=delivery_ids)
    Webhook.objects.filter(id__in=chosen.values("webhook_id")).update(failures=0, resting_until=None)
    count = chosen.update(status=DeliveryStatus.WAITING, attempts=0, next_attempt_at=timezone.now(), answer="")
    if count:
        send_soon()
    return count


def _check_events(events: Sequence[str]) -> None:
    known = webhook_events()
    if not events or set(events) - set(known):
        raise ValidationError({"events": f"choose some of {', '.join(known)}"})


def _new_secret() -> str:
    return f"whsec_{secrets.token_urlsafe(32)}"
