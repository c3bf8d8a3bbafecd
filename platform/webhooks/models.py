"""Addresses of the client that are told of events, and what was sent to them."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from tenancy.models import TenantOwned


class Webhook(TenantOwned):
    """An address of the client that is told of events.

    `secret` signs and is encrypted at rest. After `failures` in a row nothing is sent until `resting_until`, which also
    keeps a second worker away while one is sending.
    """

    url = models.CharField(max_length=500)
    events = ArrayField(models.CharField(max_length=50))
    secret = models.BinaryField(editable=False)
    is_active = models.BooleanField(default=True)
    failures = models.PositiveIntegerField(default=0)
    resting_until = models.DateTimeField(null=True)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "url"], name="webhook_url")]

    def __str__(self) -> str:
        return self.url


class DeliveryStatus(models.TextChoices):
    WAITING = "waiting", "Waiting"
    DELIVERED = "delivered", "Delivered"
    FAILED = "failed", "Failed"


class WebhookDelivery(TenantOwned):
    """One message to one webhook. It is stored with what it tells of, so that neither is without the other."""

    webhook = models.ForeignKey(
        Webhook, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="deliveries"
    )
    event = models.CharField(max_length=50)
    body = models.TextField(help_text="as it is signed and sent")
    status = models.CharField(max_length=10, choices=DeliveryStatus.choices, default=DeliveryStatus.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField()
    answer = models.CharField(max_length=100, blank=True, help_text="of the last attempt")
    tried_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "webhook deliveries"
        indexes = [
            models.Index(
                fields=["tenant", "webhook", "next_attempt_at"],
                condition=models.Q(status="waiting"),
                name="webhook_delivery_due",
            ),
            models.Index("tenant", "webhook", models.F("created_at").desc(), name="webhook_delivery_newest"),
            models.Index("tenant", models.F("created_at").desc(), name="webhook_delivery_log"),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.id}"
