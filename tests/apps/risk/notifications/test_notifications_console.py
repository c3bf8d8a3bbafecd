"""The console's pages of webhooks and their deliveries, and of the daily e-mail."""

import html
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apps.risk.notifications.models import Digest
from apps.risk.notifications.outbox import EVENTS
from tenancy.models import Role, Tenant
from tenancy.scope import tenant_scope
from tenancy.secrets import decrypt
from tests.apps.risk.notifications.test_webhooks import raise_some
from tests.database import connected_as
from tests.platform.console.furnishing import logged_in, make_operator
from tests.queries import CapturedQueries
from webhooks.models import Webhook, WebhookDelivery
from webhooks.services import create_webhook

HOOKS, DELIVERIES, DIGESTS = (
    "/console/webhooks/webhook/",
    "/console/webhooks/webhookdelivery/",
    "/console/risk/digest/",
)


@pytest.fixture
def console(settings: Any) -> Callable[..., Client]:
    def enter(tenant: Tenant, role: Role, email: str | None = None) -> Client:
        settings.MIDDLEWARE = settings.MIDDLEWARE_BY_PROCESS["console"]
        settings.ROOT_URLCONF = "config.urls_console"
        with connected_as("console"):
            return logged_in(make_operator(tenant, role, email))

    return enter


def get(client: Client, address: str) -> str:
    with connected_as("console"):
        answer = client.get(address)
    assert answer.status_code == 200, answer.status_code
    return html.unescape(answer.content.decode())


def post(client: Client, address: str, **data: Any) -> Any:
    with connected_as("console"):
        return client.post(address, data, follow=True)


def furnish(tenant: Tenant, *transaction_ids: str) -> WebhookDelivery:
    with tenant_scope(tenant.id):
        create_webhook(url="https://example.com/hook", events=list(EVENTS), actor="somebody")
        raise_some(*(transaction_ids or ("t-1",)))
        return WebhookDelivery.objects.get(event="alert.raised")


def test_a_webhook_is_made_and_its_secret_shown_once(tenant: Tenant, console: Callable[..., Client]) -> None:
    client = console(tenant, Role.OPERATOR)
    assert "No webhooks yet" in get(client, HOOKS)
    refused = post(client, f"{HOOKS}add/", url="https://10.0.0.7/", events=["alert.raised"]).content.decode()
    assert "not public" in refused
    answer = post(client, f"{HOOKS}add/", url="https://example.com/hook", events=["alert.raised", "case.opened"])
    assert "no-store" in answer["Cache-Control"]
    secret = re.search(r"whsec_[\w-]+", answer.content.decode())
    with tenant_scope(tenant.id):
        webhook = Webhook.objects.get()
        assert secret
        assert decrypt(bytes(webhook.secret)).decode() == secret[0]
        assert (webhook.events, webhook.created_by) == (
            ["alert.raised", "case.opened"],
            f"operator@{tenant.slug}.example",
        )
    page = get(client, f"{HOOKS}{webhook.id}/change/")
    assert "Nothing was sent to it yet" in page
    assert "whsec_" not in page

    renewed = post(client, f"{HOOKS}{webhook.id}/renew/", _form_submitted="on").content.decode()
    assert "whsec_" in renewed
    assert secret[0] not in renewed
    post(client, f"{HOOKS}{webhook.id}/pause/", _form_submitted="on")
    page = get(client, f"{HOOKS}{webhook.id}/change/")
    assert "Paused" in page
    assert "/pause/" not in page
    post(client, f"{HOOKS}{webhook.id}/resume/", _form_submitted="on")
    assert "Paused" not in get(client, HOOKS)
    post(client, f"{HOOKS}{webhook.id}/remove/", _form_submitted="on")
    assert "No webhooks yet" in get(client, HOOKS)


def test_the_log_shows_what_was_sent_and_replays_it(tenant: Tenant, console: Callable[..., Client]) -> None:
    delivery = furnish(tenant)
    with tenant_scope(tenant.id):
        WebhookDelivery.objects.filter(id=delivery.id).update(status="failed", attempts=8, answer="HTTP 503")
    client = console(tenant, Role.OPERATOR)
    assert "HTTP 503" in get(client, f"{HOOKS}{delivery.webhook_id}/change/")
    assert "HTTP 503" in get(client, f"{DELIVERIES}?status=failed")
    assert "HTTP 503" not in get(client, f"{DELIVERIES}?status=delivered")
    assert '"transaction_id": "t-1"' in get(client, f"{DELIVERIES}{delivery.id}/change/")

    def state() -> tuple[str, int]:
        with tenant_scope(tenant.id):
            found = WebhookDelivery.objects.get(id=delivery.id)
        return found.status, found.attempts

    post(client, f"{DELIVERIES}{delivery.id}/replay/", _form_submitted="on")
    assert state() == ("waiting", 0)
    with tenant_scope(tenant.id):
        WebhookDelivery.objects.update(status="failed", attempts=8)
    page = post(client, DELIVERIES, action="replay_selected", _selected_action=str(delivery.id)).content.decode()
    assert "1 are on their way" in page
    assert state() == ("waiting", 0)


def test_viewers_see_and_only_operators_act(tenant: Tenant, console: Callable[..., Client]) -> None:
    delivery = furnish(tenant)
    client = console(tenant, Role.VIEWER)
    assert "example.com" in get(client, HOOKS)
    assert "/replay/" not in get(client, f"{DELIVERIES}{delivery.id}/change/")
    with connected_as("console"):
        assert client.get(f"{HOOKS}add/").status_code == 403
        assert client.get(DIGESTS).status_code == 403
    for name in ("pause", "renew", "remove"):
        post(client, f"{HOOKS}{delivery.webhook_id}/{name}/", _form_submitted="on")
    with tenant_scope(tenant.id):
        kept = Webhook.objects.get()
        assert kept.is_active
        assert WebhookDelivery.objects.count() == 2
        WebhookDelivery.objects.update(status="failed")
    post(client, f"{DELIVERIES}{delivery.id}/replay/", _form_submitted="on")
    with tenant_scope(tenant.id):
        assert set(WebhookDelivery.objects.values_list("status", flat=True)) == {"failed"}


def test_an_operator_has_a_daily_email_of_ones_own(tenant: Tenant, console: Callable[..., Client]) -> None:
    anna, ben = (console(tenant, Role.OPERATOR, f"{name}@{tenant.slug}.example") for name in ("anna", "ben"))
    assert "No daily e-mail" in get(anna, DIGESTS)
    post(anna, f"{DIGESTS}add/", hour="7")
    with tenant_scope(tenant.id):
        digest = Digest.objects.get()
        assert (digest.email, digest.hour) == (f"anna@{tenant.slug}.example", 7)
    assert "07:00" in get(anna, DIGESTS)
    assert "No daily e-mail" in get(ben, DIGESTS)
    post(ben, f"{DIGESTS}{digest.id}/end/", _form_submitted="on")
    post(anna, f"{DIGESTS}{digest.id}/change/", hour="19")
    with tenant_scope(tenant.id):
        assert Digest.objects.get().hour == 19
    post(anna, f"{DIGESTS}{digest.id}/end/", _form_submitted="on")
    with tenant_scope(tenant.id):
        assert not Digest.objects.exists()


def test_the_pages_cost_the_same_for_few_and_for_many(tenant: Tenant, console: Callable[..., Client]) -> None:
    delivery = furnish(tenant)
    client = console(tenant, Role.OPERATOR)
    addresses = (HOOKS, DELIVERIES, f"{HOOKS}{delivery.webhook_id}/change/")

    def queries() -> list[int]:
        counts = []
        for address in addresses:
            get(client, address)
            with connected_as("console"), CapturedQueries() as captured:
                client.get(address)
            counts.append(len(captured))
        return counts

    few = queries()
    with tenant_scope(tenant.id):
        raise_some(*(f"more-{number}" for number in range(30)))
    assert queries() == few


def test_another_tenants_pages_show_and_change_nothing(
    tenant: Tenant, other_tenant: Tenant, console: Callable[..., Client]
) -> None:
    delivery = furnish(tenant)
    client = console(other_tenant, Role.ADMIN)
    assert "No webhooks yet" in get(client, HOOKS)
    assert "Nothing was sent yet" in get(client, DELIVERIES)
    assert post(client, f"{HOOKS}{delivery.webhook_id}/remove/", _form_submitted="on").status_code == 404
    assert post(client, f"{DELIVERIES}{delivery.id}/replay/", _form_submitted="on").status_code == 404
    with tenant_scope(tenant.id):
        assert Webhook.objects.exists()
