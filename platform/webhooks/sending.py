"""Sends what waits: signed, to each webhook one message at a time, again and again with growing pauses."""

import hashlib
import hmac
import time
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from tenancy.secrets import decrypt
from tenancy.tasks import task_scope
from webhooks.models import DeliveryStatus, Webhook, WebhookDelivery
from webhooks.posting import DEADLINE, Answer, post

# Pauses after the first attempt, the second, ...; after one more attempt than there are, a delivery has failed.
PAUSES = (
    *(timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30)),
    *(timedelta(hours=2), timedelta(hours=6), timedelta(hours=12)),
)
# While a worker sends, others leave the webhook alone; when it dies, for so long.
LEASE = timedelta(seconds=3 * DEADLINE)
# A tenant's webhooks keep a worker for so long at a time, and a receiver that takes longer than SLOW for one message
# alone; then others have their turn.
MOST_SECONDS = 30.0
SLOW = 1.0  # seconds
KEPT = timedelta(days=30)


@dataclass(frozen=True)
class Turn:
    """A delivery that this worker has to try now."""

    delivery_id: UUID
    webhook_id: UUID
    attempt: int
    url: str
    secret: bytes
    event: str
    body: bytes


def signature_of(secret: bytes, sent_at: int, body: bytes) -> str:
    """Value of X-Sequitur-Signature: `t` is Unix seconds, `v1` the hex HMAC-SHA256 of "<t>.<body>" under the secret."""
    signed = hmac.new(secret, b"%d." % sent_at + body, hashlib.sha256).hexdigest()
    return f"t={sent_at},v1={signed}"


def send_waiting() -> bool:
    """Send until nothing is due or the turn is over; whether something may still be due. For a task that has no scope
    open."""
    ends = time.monotonic() + MOST_SECONDS
    while time.monotonic() < ends:
        with task_scope():
            turn = _take_turn()
        if turn is None:
            return False
        began = time.monotonic()
        answer = _send(turn)
        is_slow = time.monotonic() - began > SLOW
        with task_scope():
            _record(turn, answer, is_slow=is_slow)
        if is_slow:
            break
    return True


def expire_deliveries() -> int:
    """Delete what was delivered or has failed a while ago; how many were."""
    old = WebhookDelivery.objects.filter(created_at__lt=timezone.now() - KEPT)
    return old.exclude(status=DeliveryStatus.WAITING).delete()[0]


def _due(**more: object) -> QuerySet[WebhookDelivery]:
    return WebhookDelivery.objects.filter(status=DeliveryStatus.WAITING, next_attempt_at__lte=timezone.now(), **more)


def _take_turn() -> Turn | None:
    """The webhook that has rested longest among those with something due, and what is due first of it."""
    now = timezone.now()
    webhook = (
        Webhook.objects.select_for_update(skip_locked=True)
        .filter(Q(resting_until=None) | Q(resting_until__lte=now), Exists(_due(webhook=OuterRef("id"))), is_active=True)
        .order_by(F("resting_until").asc(nulls_first=True), "id")
        .first()
    )
    delivery = _due(webhook=webhook).order_by("next_attempt_at", "id").first() if webhook else None
    if webhook is None or delivery is None:
        return None
    webhook.resting_until = now + LEASE
    webhook.save(update_fields=["resting_until"])
    delivery.attempts += 1
    delivery.tried_at = now
    delivery.save(update_fields=["attempts", "tried_at"])
    return Turn(
        delivery_id=delivery.id,
        webhook_id=webhook.id,
        attempt=delivery.attempts,
        url=webhook.url,
        secret=decrypt(bytes(webhook.secret)),
        event=delivery.event,
        body=delivery.body.encode(),
    )


def _send(turn: Turn) -> Answer:
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Sequitur",
        "X-Sequitur-Event": turn.event,
        "X-Sequitur-Delivery": str(turn.delivery_id),
        "X-Sequitur-Signature": signature_of(turn.secret, int(time.time()), turn.body),
    }
    return post(turn.url, turn.body, headers)


def _record(turn: Turn, answer: Answer, *, is_slow: bool) -> None:
    now = timezone.now()
    changes: dict[str, object] = {"answer": answer.words[:100]}
    if answer.is_good:
        changes["status"] = DeliveryStatus.DELIVERED
    elif turn.attempt > len(PAUSES):
        changes["status"] = DeliveryStatus.FAILED
    else:
        changes["next_attempt_at"] = now + PAUSES[turn.attempt - 1]
    # Whoever replayed it meanwhile, or took it over when the lease was up, has the last word.
    WebhookDelivery.objects.filter(id=turn.delivery_id, status=DeliveryStatus.WAITING, attempts=turn.attempt).update(
        **changes
    )
    webhook = Webhook.objects.filter(id=turn.webhook_id)
    if answer.is_good:
        # Behind the others that have something due.
        webhook.update(failures=0, resting_until=now if is_slow else None)
        return
    failures = webhook.values_list("failures", flat=True).first() or 0
    webhook.update(failures=failures + 1, resting_until=now + PAUSES[min(failures, len(PAUSES) - 1)])
