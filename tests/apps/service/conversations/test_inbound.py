"""Messages as two help desks send them, and what webhooks are told."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery.signals import before_task_publish
from django.utils import timezone

from apps.service.conversations.models import Conversation, Message
from apps.service.replies.models import Reply
from apps.service.tasks import answer_conversation, answer_left_of_tenant
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.conftest import ApiClient
from tests.database import connected_as
from webhooks.models import WebhookDelivery
from webhooks.services import create_webhook

ZENDESK = {
    "type": "zen:event-type:ticket.comment_added",
    "account_id": 22129848,
    "id": "0af0b8d9-8a1d-4b6c-9d1c-9b9d6f1a7a10",
    "time": "2026-11-24T09:30:00Z",
    "zendesk_event_version": "2022-11-06",
    "subject": "zen:ticket:5158",
    "detail": {"id": "5158", "requester_id": "8447388090495", "subject": "My parcel", "status": "OPEN"},
    "event": {
        "comment": {
            "id": "18456",
            "body": "Where is my order?",
            "is_public": True,
            "author": {"id": "8447388090495", "is_staff": False, "name": "Anna"},
        }
    },
}
CHATWOOT = {
    "event": "message_created",
    "id": 991,
    "content": "Where is my order?",
    "message_type": "incoming",
    "content_type": "text",
    "private": False,
    "sender": {"id": 12, "name": "Anna", "email": "anna@mail.example", "type": "contact"},
    "conversation": {"id": 44, "channel": "Channel::WebWidget", "meta": {"sender": {"id": 12}}},
    "account": {"id": 1, "name": "Shop"},
}


def changed(payload: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(payload))
    *outer, last = path.split(".")
    place = copy
    for name in outer:
        place = place[name]
    place[last] = value
    return copy


@pytest.mark.parametrize(
    ("desk", "payload", "ids"),
    [("zendesk", ZENDESK, ("5158", "18456")), ("chatwoot", CHATWOOT, ("44", "991"))],
)
def test_a_desks_message_is_stored_once_under_the_desks_ids(
    api: ApiClient, tenant: Tenant, desk: str, payload: dict[str, Any], ids: tuple[str, str]
) -> None:
    first = api.post(f"conversations/inbound/{desk}", payload)
    again = api.post(f"conversations/inbound/{desk}", payload)
    assert (first.status_code, again.status_code) == (201, 200), first.content
    assert (first.json()["result"], again.json()["result"]) == ("stored", "duplicate")
    with tenant_scope(tenant.id):
        conversation, message = Conversation.objects.get(), Message.objects.get()
    assert (conversation.external_id, message.client_id) == ids
    assert (conversation.source, message.role, message.text) == (desk, "customer", "Where is my order?")


def test_the_desks_customer_is_one_subject_and_later_messages_join_the_conversation(api: ApiClient) -> None:
    api.post("conversations/inbound/chatwoot", CHATWOOT)
    later = changed(changed(CHATWOOT, "id", 992), "content", "Hello?")
    assert api.post("conversations/inbound/chatwoot", later).status_code == 201
    (conversation,) = api.get("conversations?user_id=chatwoot:12").json()["results"]
    assert conversation["message_count"] == 2


@pytest.mark.parametrize(
    ("desk", "payload"),
    [
        ("zendesk", changed(ZENDESK, "event.comment.is_public", False)),
        ("zendesk", changed(ZENDESK, "type", "zen:event-type:ticket.status_changed")),
        ("chatwoot", changed(CHATWOOT, "private", True)),
        ("chatwoot", changed(CHATWOOT, "event", "conversation_updated")),
        ("chatwoot", changed(CHATWOOT, "message_type", "activity")),
        (
            "chatwoot",
            changed(changed(CHATWOOT, "message_type", "outgoing"), "sender", {"id": 3, "type": "agent_bot"}),
        ),
    ],
)
def test_notes_and_other_events_are_ignored(api: ApiClient, tenant: Tenant, desk: str, payload: dict[str, Any]) -> None:
    answer = api.post(f"conversations/inbound/{desk}", payload)
    assert (answer.status_code, answer.json()) == (200, {"result": "ignored", "message": None})
    with tenant_scope(tenant.id):
        assert Conversation.objects.count() == 0


@pytest.mark.parametrize(
    ("desk", "path", "value", "field"),
    [
        ("zendesk", "detail", None, "detail"),
        ("zendesk", "detail.id", None, "detail.id"),
        ("zendesk", "detail.requester_id", True, "detail.requester_id"),
        ("zendesk", "event.comment.body", 7, "event.comment.body"),
        ("zendesk", "event.comment.body", "", "text"),
        ("chatwoot", "id", {}, "id"),
        ("chatwoot", "content", None, "content"),
        ("chatwoot", "conversation", [], "conversation"),
        ("chatwoot", "sender.id", "null", "sender.id"),
        ("chatwoot", "attachments", [{"file_type": "image"}], "attachments"),
    ],
)
def test_what_a_desk_sends_otherwise_is_refused_with_its_field(
    api: ApiClient, tenant: Tenant, desk: str, path: str, value: Any, field: str
) -> None:
    payload = {"chatwoot": CHATWOOT, "zendesk": ZENDESK}[desk]
    answer = api.post(f"conversations/inbound/{desk}", changed(payload, path, value))
    assert answer.status_code == 400, answer.content
    assert answer.json()["errors"][0]["field"] == field
    with tenant_scope(tenant.id):
        assert Conversation.objects.count() == 0


def test_an_unknown_desk_is_told_which_are_known(api: ApiClient) -> None:
    answer = api.post("conversations/inbound/other", {})
    assert answer.status_code == 404
    assert "chatwoot, zendesk" in answer.json()["detail"]


def test_a_ticket_that_an_agent_opens_is_not_the_customers(api: ApiClient, tenant: Tenant) -> None:
    ticket = {**ZENDESK, "type": "zen:event-type:ticket.created", "event": {}}
    ticket["detail"] = {**ZENDESK["detail"], "description": "As said by telephone: it comes on Monday."}
    theirs = changed(changed(ticket, "detail.id", "5159"), "detail.submitter_id", "8447388090495")
    agents = changed(ticket, "detail.submitter_id", "77")
    told = [api.post("conversations/inbound/zendesk", each).json()["message"]["role"] for each in (theirs, agents)]
    assert told == ["customer", "agent"]


@pytest.mark.usefixtures("shop", "sending")
def test_our_own_reply_that_the_desk_gives_back_is_not_stored_again(api: ApiClient, tenant: Tenant) -> None:
    api.post("conversations/inbound/zendesk", changed(ZENDESK, "event.comment.body", "How long may I return items?"))
    with tenant_scope(tenant.id):
        conversation = Conversation.objects.get().id
    sent = api.post("replies", {"conversation_id": str(conversation)}).json()
    assert sent["action"] == "send"
    staff = changed(changed(ZENDESK, "event.comment.author.is_staff", True), "event.comment.id", "18457")
    echo = api.post("conversations/inbound/zendesk", changed(staff, "event.comment.body", f"{sent['reply']}\n"))
    assert echo.json() == {"result": "ignored", "message": None}
    other = api.post("conversations/inbound/zendesk", changed(staff, "event.comment.body", "I look after it."))
    assert other.json()["message"]["role"] == "agent"

    # After the customer's next message, and some minutes, an agent who says the same means it.
    later = changed(changed(ZENDESK, "event.comment.id", "18460"), "event.comment.body", "And of lamps?")
    api.post("conversations/inbound/zendesk", later)
    meant = changed(changed(staff, "event.comment.id", "18461"), "event.comment.body", sent["reply"])
    assert api.post("conversations/inbound/zendesk", meant).json()["result"] == "ignored"
    with connected_as("owner"), tenant_scope(tenant.id):
        Message.objects.filter(role="bot").update(created_at=timezone.now() - timedelta(minutes=6))
    assert api.post("conversations/inbound/zendesk", meant).json()["message"]["role"] == "agent"


def answer(tenant: Tenant, stored: Any) -> None:
    """Does what a worker does some seconds after a message came in."""
    message = stored.json()["message"]
    kwargs = {"conversation_id": message["conversation_id"], "message_id": message["id"]}
    answer_conversation.apply(kwargs=kwargs, headers={"tenant_id": tenant.id}, throw=True)


@pytest.mark.usefixtures("shop", "sending")
def test_messages_in_a_row_have_one_reply_to_the_last(api: ApiClient, tenant: Tenant) -> None:
    texts = ["Hello!", "I bought a lamp.", "How many days do I have for a return?"]
    stored = [
        api.post("conversations/inbound/chatwoot", changed(changed(CHATWOOT, "id", number), "content", text))
        for number, text in enumerate(texts, start=991)
    ]
    for each in stored:
        answer(tenant, each)
    with tenant_scope(tenant.id):
        assert str(Reply.objects.get().message_id) == stored[-1].json()["message"]["id"]


@pytest.mark.usefixtures("shop", "sending")
def test_what_an_agent_closes_before_its_turn_is_not_answered(api: ApiClient, tenant: Tenant) -> None:
    stored = api.post("conversations/inbound/zendesk", ZENDESK)
    conversation = stored.json()["message"]["conversation_id"]
    api.patch(f"conversations/{conversation}", {"status": "closed"})

    answer(tenant, stored)

    with tenant_scope(tenant.id):
        assert not Reply.objects.exists()


@pytest.mark.usefixtures("shop", "sending")
def test_a_worker_replies_once_and_webhooks_hear_of_it(api: ApiClient, tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        create_webhook(
            url="https://desk.example/", events=["conversation.message", "conversation.handed_off"], actor="somebody"
        )
    first = api.post(
        "conversations/inbound/chatwoot", changed(CHATWOOT, "content", "How many days do I have for a return?")
    )
    for _ in range(2):
        answer(tenant, first)
    later = changed(changed(CHATWOOT, "id", 992), "content", "I want to talk to a human")
    answer(tenant, api.post("conversations/inbound/chatwoot", later))

    with tenant_scope(tenant.id):
        told = [json.loads(delivery.body) for delivery in WebhookDelivery.objects.order_by("id")]
        assert Reply.objects.count() == 2
    assert [(each["event"], each.get("message", {}).get("role")) for each in told] == [
        ("conversation.message", "customer"),
        ("conversation.message", "bot"),
        ("conversation.message", "customer"),
        ("conversation.handed_off", None),
    ]
    assert {each["conversation"]["external_id"] for each in told} == {"44"}
    assert told[-1]["hand_off"]["reasons"][0]["code"] == "asked_for_human"


ANOTHER = "361"


def of_another(payload: dict[str, Any], body: str, id: str) -> dict[str, Any]:
    comment = changed(changed(payload, "event.comment.id", id), "event.comment.body", body)
    return changed(changed(comment, "event.comment.author.id", ANOTHER), "event.comment.author.name", "Bob")


@pytest.mark.usefixtures("shop", "sending")
def test_a_ticket_that_changes_its_customer_goes_on_in_a_conversation_of_the_new_one(
    api: ApiClient, tenant: Tenant
) -> None:
    first = api.post("conversations/inbound/zendesk", ZENDESK)
    answer(tenant, first)
    theirs = changed(of_another(ZENDESK, "And where is mine?", "18457"), "detail.requester_id", ANOTHER)
    theirs["time"] = timezone.now().isoformat()
    second = api.post("conversations/inbound/zendesk", theirs)
    assert api.post("conversations/inbound/zendesk", ZENDESK).json()["result"] == "duplicate"

    former, new = (
        api.get(f"conversations/{each.json()['message']['conversation_id']}").json() for each in (first, second)
    )
    assert former["external_id"] == new["external_id"] == "5158"
    assert (former["status"], new["status"]) == ("closed", "open")
    assert former["subject"] != new["subject"]
    assert [each["text"] for each in new["messages"]] == ["And where is mine?"]


@pytest.mark.usefixtures("shop", "sending")
@pytest.mark.parametrize("has_written_before", [True, False])
def test_what_the_former_customer_wrote_and_the_desk_brings_late_is_for_an_agent(
    api: ApiClient, tenant: Tenant, has_written_before: bool
) -> None:
    if has_written_before:
        api.post("conversations/inbound/zendesk", ZENDESK)
    refused_once = [changed(ZENDESK, "event.comment.id", id) | {"time": timezone.now().isoformat()} for id in "45"]
    theirs = changed(of_another(ZENDESK, "And where is mine?", "18457"), "detail.requester_id", ANOTHER)
    second = api.post("conversations/inbound/zendesk", theirs | {"time": timezone.now().isoformat()})

    for each in refused_once:
        late = api.post("conversations/inbound/zendesk", each)
    answer(tenant, late)

    former, new = (
        api.get(f"conversations/{each.json()['message']['conversation_id']}").json() for each in (late, second)
    )
    assert (former["status"], new["status"]) == ("handed_off", "open")
    assert "another customer" in former["hand_off"]["reasons"][0]["text"]
    assert [each["role"] for each in former["messages"]] == ["customer"] * (2 + has_written_before)
    # Where the ticket comes back, it goes on with the former customer.
    back = changed(ZENDESK, "event.comment.id", "18458") | {"time": timezone.now().isoformat()}
    api.post("conversations/inbound/zendesk", back)
    assert api.get(f"conversations/{new['id']}").json()["status"] == "closed"


@pytest.mark.usefixtures("shop", "sending")
def test_what_somebody_copied_in_writes_is_never_answered_without_an_agent(api: ApiClient, tenant: Tenant) -> None:
    api.post("conversations/inbound/zendesk", ZENDESK)
    stored = api.post(
        "conversations/inbound/zendesk", of_another(ZENDESK, "How many days do I have for a return?", "18457")
    )
    answer(tenant, stored)
    assert stored.json()["message"]["author"] == "Bob"
    with tenant_scope(tenant.id):
        reply = Reply.objects.select_related("conversation").get()
    assert reply.status == "waiting"
    assert reply.conversation.status == "handed_off"
    assert "Bob, who is not the customer" in reply.conversation.hand_off["reasons"][0]["text"]


@pytest.fixture
def sent() -> Iterator[list[str]]:
    """Messages that workers were asked to answer."""
    found: list[str] = []

    def note(sender: str, body: Any, **_: Any) -> None:
        if sender == "service.answer_conversation":
            found.append(body[1]["message_id"])

    before_task_publish.connect(note)
    yield found
    before_task_publish.disconnect(note)


@pytest.mark.usefixtures("shop", "sending")
def test_a_message_whose_task_was_lost_is_answered_when_it_comes_again_and_by_a_sweep(
    api: ApiClient, tenant: Tenant, sent: list[str]
) -> None:
    stored = api.post("conversations/inbound/zendesk", ZENDESK)
    api.post("conversations/inbound/zendesk", ZENDESK)
    message = stored.json()["message"]["id"]
    assert sent == [message] * 2

    def sweep(minutes_later: int) -> list[str]:
        sent.clear()
        with tenant_scope(tenant.id):
            Conversation.objects.update(last_message_at=timezone.now() - timedelta(minutes=minutes_later))
        answer_left_of_tenant.apply(headers={"tenant_id": tenant.id}, throw=True)
        return list(sent)

    assert [sweep(minutes) for minutes in (0, 2, 61)] == [[], [message], []]
    answer(tenant, stored)
    sent.clear()
    api.post("conversations/inbound/zendesk", ZENDESK)
    assert sent == sweep(2) == []
