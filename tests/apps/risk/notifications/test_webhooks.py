"""What webhooks are told of alerts and cases."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone
from uuid_utils.compat import uuid7

from apps.risk.cases import services as desk
from apps.risk.cases.deciding import change_alert, decide_alert_release
from apps.risk.cases.merging import merge
from apps.risk.cases.models import Alert, Case
from apps.risk.cases.raising import NewAlert, raise_alerts
from apps.risk.notifications.outbox import EVENTS
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.secrets import public_subject_id, subject_key
from tests.platform.webhooks.receivers import Receiver, http_receiver
from tests.platform.webhooks.sending import hook, send
from tests.queries import CapturedQueries

ALL = list(EVENTS)


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.WEBHOOKS_TO_PRIVATE_ADDRESSES = True
    with http_receiver() as receiver:
        yield receiver


def raise_some(*transaction_ids: str, user: str = "anna", score: float = 0.5) -> Case:
    """In the scope of a tenant."""
    key = subject_key("user_id", user)
    raise_alerts(
        [
            NewAlert(
                transaction_id=transaction_id,
                decision_id=uuid7(),
                subject_key=key,
                verdict="review",
                score=score,
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


def test_what_is_said_of_one_alert_is_told(tenant: Tenant, receiver: Receiver) -> None:
    with tenant_scope(tenant.id):
        raise_some("t-1", "t-2")
        first, second = Alert.objects.order_by("transaction_id")
    hook(tenant, receiver.url, ALL)
    with tenant_scope(tenant.id):
        change_alert(alert_id=first.id, status="false_alarm", actor="anna")
        change_alert(alert_id=second.id, status="confirmed", actor="ben")
    send(tenant)

    alone, last, closed = [json.loads(body) for body in receiver.bodies]
    assert [each["event"] for each in (alone, last, closed)] == ["alert.changed", "alert.changed", "case.changed"]
    assert (alone["alert"]["transaction_id"], alone["alert"]["status"]) == ("t-1", "false_alarm")
    assert alone["change"] == {"kind": "alert_decided", "actor": "anna", "before": "", "after": "false_alarm"}
    assert (last["alert"]["transaction_id"], last["alert"]["status"]) == ("t-2", "confirmed")
    assert (closed["case"]["status"], closed["change"]["kind"]) == ("confirmed", "moved")


def test_the_release_of_an_alert_is_told_as_it_goes(tenant: Tenant, receiver: Receiver) -> None:
    with tenant_scope(tenant.id):
        raise_some("t-1", score=0.9)
        alert = Alert.objects.get()
    hook(tenant, receiver.url, ["alert.changed"])
    with tenant_scope(tenant.id):
        change_alert(alert_id=alert.id, status="false_alarm", actor="anna")
        decide_alert_release(alert_id=alert.id, approve=False, actor="ben")
    send(tenant)

    told = [json.loads(body) for body in receiver.bodies]
    assert [each["change"]["kind"] for each in told] == ["alert_release_asked", "alert_release_refused"]
    assert [each["alert"]["release_asked_by"] for each in told] == ["anna", ""]
    assert {each["alert"]["status"] for each in told} == {"open"}


def test_a_merge_is_told_of_both_cases(tenant: Tenant, receiver: Receiver) -> None:
    with tenant_scope(tenant.id):
        case, other = raise_some("t-1"), raise_some("t-2", user="ben")
    hook(tenant, receiver.url, ALL)
    with tenant_scope(tenant.id):
        merge(case_id=case.id, other_id=other.id, actor="anna")
    send(tenant)

    told = [json.loads(body) for body in receiver.bodies]
    assert {each["event"] for each in told} == {"case.changed"}
    assert [(each["case"]["number"], each["case"]["status"], each["case"]["merged_into"]) for each in told] == [
        (other.number, "merged", str(case.id)),
        (case.number, "open", None),
    ]
    change = {"kind": "merged", "actor": "anna", "before": "case 2", "after": "case 1"}
    assert [each["change"] for each in told] == [change, change]


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
        with tenant_scope(tenant.id), CapturedQueries() as queries:
            raise_some(*transaction_ids)
        return len(queries)

    statements("first")
    assert statements(*(f"t-{number}" for number in range(50))) == statements("t-50")
