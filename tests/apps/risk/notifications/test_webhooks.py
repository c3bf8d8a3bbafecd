"""What webhooks are told of alerts and cases."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from uuid_utils.compat import uuid7

from apps.risk.cases import services as desk
from apps.risk.cases.models import Case
from apps.risk.cases.raising import NewAlert, raise_alerts
from apps.risk.notifications.outbox import EVENTS
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.secrets import public_subject_id, subject_key
from tests.platform.webhooks.receivers import Receiver, http_receiver
from tests.platform.webhooks.sending import hook, send

ALL = list(EVENTS)


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.WEBHOOKS_TO_PRIVATE_ADDRESSES = True
    with http_receiver() as receiver:
        yield receiver


def raise_some(*transaction_ids: str, user: str = "anna") -> Case:
    """In the scope of a tenant."""
    key = subject_key("user_id", user)
    raise_alerts(
        [
            NewAlert(
                transaction_id=transaction_id,
                decision_id=uuid7(),
                subject_key=key,
                verdict="review",
                score=0.5,
                amount=900.0,
                currency="EUR",
                reasons=[{"code": "amount", "text": "a large amount", "feature": "amount", "value": 900.0, "part": 1}],
                rules=[],
                occurred_at=timezone.now(),
            )
            for transaction_id in transaction_ids
        ]
    )
    return Case.objects.get(subject_key=key, closed_at=None)


def test_alerts_and_cases_are_told_as_they_come(tenant: Tenant, receiver: Receiver) -> None:
    hook(tenant, receiver.url, ALL)
    with tenant_scope(tenant.id):
        case = raise_some("t-1")
        desk.move(case_id=case.id, to="in_review", actor="ben")
        desk.add_note(case_id=case.id, note="The customer's mother is ill.", actor="ben")
    send(tenant)

    told = [json.loads(body) for body in receiver.bodies]
    assert [each["event"] for each in told] == ["case.opened", "alert.raised", "case.changed"]
    opened, raised, changed = told
    assert (opened["case"]["number"], opened["case"]["status"]) == (1, "open")
    assert (raised["alert"]["transaction_id"], raised["alert"]["case_id"]) == ("t-1", opened["case"]["id"])
    assert raised["alert"]["reasons"][0]["text"] == "a large amount"
    assert changed["change"] == {"kind": "moved", "actor": "ben", "before": "open", "after": "in_review"}
    assert (changed["case"]["status"], changed["case"]["assignee"]) == ("in_review", "ben")


def test_people_are_told_by_short_keys_alone(tenant: Tenant, receiver: Receiver) -> None:
    hook(tenant, receiver.url, ALL)
    with tenant_scope(tenant.id):
        raise_some("t-1", user="anna-4711")
        short = public_subject_id(subject_key("user_id", "anna-4711"))
    send(tenant)
    assert all(b"anna-4711" not in body and short.encode() in body for body in receiver.bodies)


def test_a_webhook_hears_what_it_asked_for(tenant: Tenant, receiver: Receiver) -> None:
    hook(tenant, receiver.url, ["case.opened"])
    with tenant_scope(tenant.id):
        raise_some("t-1")
        raise_some("t-2")
    send(tenant)
    assert [json.loads(body)["event"] for body in receiver.bodies] == ["case.opened"]


def test_what_is_rolled_back_is_not_told(tenant: Tenant, receiver: Receiver) -> None:
    hook(tenant, receiver.url, ALL)

    def fail() -> None:
        with tenant_scope(tenant.id):
            raise_some("t-1")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    send(tenant)
    assert receiver.requests == []


def test_telling_of_many_takes_as_many_statements_as_of_one(tenant: Tenant, receiver: Receiver) -> None:
    hook(tenant, receiver.url, ALL)

    def statements(*transaction_ids: str) -> int:
        with tenant_scope(tenant.id), CaptureQueriesContext(connection) as queries:
            raise_some(*transaction_ids)
        return len(queries)

    statements("first")
    assert statements(*(f"t-{number}" for number in range(50))) == statements("t-50")
