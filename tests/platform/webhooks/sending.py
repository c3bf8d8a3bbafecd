"""What tests of webhooks do: make one, have a worker send, let time pass."""

from collections.abc import Sequence
from datetime import timedelta

from django.db.models import F

from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.tasks import TENANT_HEADER
from webhooks.models import Webhook, WebhookDelivery
from webhooks.services import create_webhook
from webhooks.tasks import send_webhooks_of_tenant


def hook(tenant: Tenant, url: str, events: Sequence[str]) -> tuple[Webhook, str]:
    with tenant_scope(tenant.id):
        return create_webhook(url=url, events=events, actor="somebody")


def send(tenant: Tenant) -> None:
    """What the worker does."""
    send_webhooks_of_tenant.apply(headers={TENANT_HEADER: tenant.id}, throw=True)


def pass_time(tenant: Tenant, by: timedelta) -> None:
    """As if the last attempts had been made so long before."""
    with tenant_scope(tenant.id):
        WebhookDelivery.objects.update(next_attempt_at=F("next_attempt_at") - by)
        Webhook.objects.update(resting_until=F("resting_until") - by)


def deliveries(tenant: Tenant) -> list[WebhookDelivery]:
    with tenant_scope(tenant.id):
        return list(WebhookDelivery.objects.order_by("id"))
