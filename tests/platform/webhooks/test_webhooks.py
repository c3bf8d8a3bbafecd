"""Webhooks: told of what happens, signed, again until it arrives, and never of another tenant."""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.messages import take_messages
from tests.platform.webhooks.receivers import Receiver, http_receiver
from tests.platform.webhooks.sending import deliveries, hook, pass_time, send
from tests.waiting import until
from webhooks.models import Webhook, WebhookDelivery
from webhooks.outbox import tell
from webhooks.sending import KEPT, PAUSES, SLOW, expire_deliveries, signature_of
from webhooks.services import (
    MOST_WEBHOOKS,
    create_webhook,
    remove_webhook,
    renew_secret,
    replay_deliveries,
    switch_webhook,
)

EVENT = "case.opened"


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.WEBHOOKS_TO_PRIVATE_ADDRESSES = True
    with http_receiver() as receiver:
        yield receiver


def happen(*names: str) -> None:
    """In the scope of a tenant."""
    tell([(EVENT, {"case": {"name": name}}) for name in names])


def test_the_signature_is_the_published_one() -> None:
    """Made with: printf '1700000000.{}' | openssl dgst -sha256 -hmac whsec_test"""
    assert signature_of(b"whsec_test", 1_700_000_000, b"{}") == (
        "t=1700000000,v1=35495024f4ef3f94e5a93e22221544c4b75e9a42300cd965ab81cb85cd994e91"
    )


def test_every_message_is_signed_and_names_its_event(tenant: Tenant, receiver: Receiver) -> None:
    _, secret = hook(tenant, receiver.url, [EVENT])
    with tenant_scope(tenant.id):
        happen("c-1", "c-2")
    send(tenant)
    assert len(receiver.requests) == 2
    for _, headers, body in receiver.requests:
        sent_at, signature = (part.partition("=")[2] for part in headers["X-Sequitur-Signature"].split(","))
        expected = hmac.new(secret.encode(), sent_at.encode() + b"." + body, hashlib.sha256).hexdigest()
        assert signature == expected
        assert abs(int(sent_at) - time.time()) < 60
        assert headers["X-Sequitur-Event"] == EVENT
        assert headers["X-Sequitur-Delivery"] == json.loads(body)["id"]
    assert {each.status for each in deliveries(tenant)} == {"delivered"}


def test_a_worker_sends_soon_after(tenant: Tenant, receiver: Receiver, start_worker: Callable[..., Any]) -> None:
    hook(tenant, receiver.url, [EVENT])
    start_worker(queues="webhooks", environment={"WEBHOOKS_TO_PRIVATE_ADDRESSES": "1"}).wait_for_output("ready")
    with tenant_scope(tenant.id):
        happen("t-1")
    until(lambda: len(receiver.requests) == 1)


# Again until it arrives ----------------------------------------------------------------------------------------------


def test_a_refused_message_comes_again_with_the_same_id(tenant: Tenant, receiver: Receiver) -> None:
    hook(tenant, receiver.url, [EVENT])
    receiver.statuses = [500, 302]
    with tenant_scope(tenant.id):
        happen("t-1")
    send(tenant)
    send(tenant)
    (waiting,) = deliveries(tenant)
    assert (waiting.status, waiting.attempts, waiting.answer) == ("waiting", 1, "HTTP 500")
    assert len(receiver.requests) == 1

    pass_time(tenant, PAUSES[0])
    send(tenant)
    assert deliveries(tenant)[0].answer == "HTTP 302"
    pass_time(tenant, PAUSES[0])
    send(tenant)
    assert len(receiver.requests) == 2
    pass_time(tenant, PAUSES[1])
    send(tenant)
    (arrived,) = deliveries(tenant)
    assert (arrived.status, arrived.attempts, arrived.answer) == ("delivered", 3, "HTTP 204")
    assert [path for path, _, _ in receiver.requests] == ["/hook"] * 3
    assert len(set(receiver.bodies)) == 1


def test_after_a_slow_answer_others_have_their_turn_and_then_it_goes_on(tenant: Tenant, receiver: Receiver) -> None:
    hook(tenant, receiver.url, [EVENT])
    receiver.seconds = SLOW + 0.1
    with tenant_scope(tenant.id):
        happen("t-1", "t-2")
    take_messages("webhooks", tenant)
    send(tenant)
    assert sorted(each.status for each in deliveries(tenant)) == ["delivered", "waiting"]
    assert [sent.task for sent in take_messages("webhooks", tenant)] == ["webhooks.send_of_tenant"]
    with http_receiver() as quick:
        hook(tenant, quick.url, [EVENT])
        with tenant_scope(tenant.id):
            happen("t-3")
        send(tenant)
        assert len(quick.requests) == 1
    assert len(receiver.requests) == 2
    send(tenant)
    assert {each.status for each in deliveries(tenant)} == {"delivered"}
    take_messages("webhooks", tenant)
    send(tenant)
    assert take_messages("webhooks", tenant) == [], "nothing is left"


def test_what_never_arrives_has_failed_and_can_be_replayed(tenant: Tenant, receiver: Receiver) -> None:
    hook(tenant, receiver.url, [EVENT])
    receiver.statuses = [503] * (len(PAUSES) + 1)
    with tenant_scope(tenant.id):
        happen("t-1")
    for _ in range(len(PAUSES) + 3):
        send(tenant)
        pass_time(tenant, max(PAUSES))
    (failed,) = deliveries(tenant)
    assert (failed.status, failed.attempts) == ("failed", len(PAUSES) + 1)

    with tenant_scope(tenant.id):
        assert replay_deliveries(delivery_ids=[failed.id]) == 1
    send(tenant)
    (arrived,) = deliveries(tenant)
    assert (arrived.status, arrived.attempts) == ("delivered", 1)
    with tenant_scope(tenant.id):
        assert Webhook.objects.get().failures == 0


def test_a_webhook_that_fails_rests_and_the_others_go_on(tenant: Tenant, receiver: Receiver) -> None:
    with http_receiver() as broken:
        hook(tenant, broken.url, [EVENT])
        broken.statuses = [500] * 9
        hook(tenant, receiver.url, [EVENT])
        with tenant_scope(tenant.id):
            happen("t-1", "t-2", "t-3")
        send(tenant)
    assert (len(broken.requests), len(receiver.requests)) == (1, 3)


def test_two_workers_send_nothing_twice(tenant: Tenant, receiver: Receiver) -> None:
    hook(tenant, receiver.url, [EVENT])
    with tenant_scope(tenant.id):
        happen(*(f"t-{number}" for number in range(8)))

    def work() -> None:
        try:
            send(tenant)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    send(tenant)
    assert len(receiver.bodies) == len(set(receiver.bodies)) == 8


def test_a_paused_webhook_keeps_what_waits_and_is_told_nothing_new(tenant: Tenant, receiver: Receiver) -> None:
    webhook, _ = hook(tenant, receiver.url, [EVENT])
    with tenant_scope(tenant.id):
        happen("t-1")
        switch_webhook(webhook_id=webhook.id, is_active=False)
        happen("t-2")
    send(tenant)
    assert receiver.requests == []
    with tenant_scope(tenant.id):
        switch_webhook(webhook_id=webhook.id, is_active=True)
    send(tenant)
    assert [json.loads(body)["case"]["name"] for body in receiver.bodies] == ["t-1"]


def test_old_deliveries_go_and_a_removed_webhook_takes_its_own_along(tenant: Tenant, receiver: Receiver) -> None:
    webhook, _ = hook(tenant, receiver.url, [EVENT])
    with tenant_scope(tenant.id):
        happen("t-1", "t-2")
    send(tenant)
    with tenant_scope(tenant.id):
        happen("t-3")
        WebhookDelivery.objects.update(created_at=timezone.now() - KEPT - timedelta(days=1))
        assert expire_deliveries() == 2
        remove_webhook(webhook_id=webhook.id)
        assert not WebhookDelivery.objects.exists()


# Secrets and tenants -------------------------------------------------------------------------------------------------


def test_a_secret_is_kept_encrypted_and_can_be_renewed(tenant: Tenant, receiver: Receiver) -> None:
    webhook, first = hook(tenant, receiver.url, [EVENT])
    with tenant_scope(tenant.id):
        assert first.encode() not in bytes(Webhook.objects.get().secret)
        second = renew_secret(webhook_id=webhook.id)
        happen("t-1")
    send(tenant)
    assert first != second
    _, headers, body = receiver.requests[0]
    sent_at = int(headers["X-Sequitur-Signature"].split(",")[0].removeprefix("t="))
    assert headers["X-Sequitur-Signature"] == signature_of(second.encode(), sent_at, body)


def test_another_tenant_is_told_nothing_and_changes_nothing(
    tenant: Tenant, other_tenant: Tenant, receiver: Receiver
) -> None:
    webhook, _ = hook(tenant, receiver.url, [EVENT])
    with tenant_scope(other_tenant.id):
        happen("t-1")
        with pytest.raises(Webhook.DoesNotExist):
            renew_secret(webhook_id=webhook.id)
        remove_webhook(webhook_id=webhook.id)
    send(other_tenant)
    assert receiver.requests == []
    with tenant_scope(tenant.id):
        assert Webhook.objects.exists()


def test_bad_webhooks_are_refused_with_the_field(scope: Tenant) -> None:
    for url, events, field in (
        ("https://example.com/", [], "events"),
        ("https://example.com/", ["everything"], "events"),
        ("http://example.com/", [EVENT], "url"),
    ):
        with pytest.raises(ValidationError) as refusal:
            create_webhook(url=url, events=events, actor="somebody")
        assert list(refusal.value.message_dict) == [field]
    for number in range(MOST_WEBHOOKS):
        create_webhook(url=f"https://example.com/{number}", events=[EVENT], actor="somebody")
    for url in ("https://example.com/0", "https://example.com/more"):
        with pytest.raises(ValidationError):
            create_webhook(url=url, events=[EVENT], actor="somebody")
