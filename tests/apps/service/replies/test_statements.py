"""A reply takes few statements, however many sources there are; what it reads and writes is what the models have."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from apps.service.conversations.models import Conversation, Message
from apps.service.conversations.services import add_message, move, open_conversation
from apps.service.knowledge.models import Source
from apps.service.replies.models import Reply, ReplyStatus
from apps.service.replies.services import reply_to
from apps.service.replies.statements import lock_waiting
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.service.conftest import CUSTOMER
from tests.queries import CapturedQueries


def written(tenant: Tenant, *texts: str) -> Conversation:
    with tenant_scope(tenant.id):
        conversation = open_conversation(subject=CUSTOMER, channel="web")
        for number, text in enumerate(texts):
            add_message(conversation_id=conversation.id, role="customer", text=text, client_id=f"m-{number}")
    return conversation


def test_a_draft_takes_five_statements(tenant: Tenant, shop: dict[str, Source], publish: Callable[..., Any]) -> None:
    for number in range(20):
        publish(f"Where is parcel {number}?", "Your order {{order.id}} is {{order.status}}.", kind="macro")
    conversations = [written(tenant, f"Where is my order? I wait for it since {day} days.") for day in (2, 3)]

    for conversation in conversations:
        with tenant_scope(tenant.id), CapturedQueries() as asked:
            outcome = reply_to(conversation_id=conversation.id)

    assert outcome.reply.backend == "selection"
    assert len(asked) == 5, [each["sql"][:80] for each in asked]


def test_a_conversation_is_read_as_its_model_has_it(tenant: Tenant) -> None:
    conversation = written(tenant, "Hello", "Where is my order?")
    hand_off = {"reasons": [{"code": "upset", "text": "…"}], "summary": None}
    with tenant_scope(tenant.id):
        Conversation.objects.filter(id=conversation.id).update(hand_off=hand_off)

        waiting = lock_waiting(conversation.id)

        stored = Conversation.objects.get(id=conversation.id)
        assert {field.attname: getattr(waiting.conversation, field.attname) for field in stored._meta.fields} == {
            field.attname: getattr(stored, field.attname) for field in stored._meta.fields
        }
        assert [message.text for message in waiting.messages] == ["Where is my order?", "Hello"]
        assert waiting.newest == Message.objects.get(text="Where is my order?")
        assert not waiting.is_answered


def test_a_stored_reply_is_the_one_that_was_made(tenant: Tenant, shop: dict[str, Source]) -> None:
    conversation = written(tenant, "Where is my order?")
    with tenant_scope(tenant.id):
        made = reply_to(conversation_id=conversation.id).reply
        stored = Reply.objects.get(id=made.id)
        again = reply_to(conversation_id=conversation.id)

    for field in Reply._meta.fields:
        assert getattr(stored, field.attname) == getattr(made, field.attname), field.attname
    assert (again.reply, again.is_new) == (stored, False)
    assert not made._state.adding


def test_earlier_drafts_are_superseded_and_the_new_one_is_not(tenant: Tenant, shop: dict[str, Source]) -> None:
    conversation, other = written(tenant, "Where is my order?"), written(tenant, "Where is my order?")
    with tenant_scope(tenant.id):
        first, elsewhere = (reply_to(conversation_id=each.id).reply for each in (conversation, other))
        Message.objects.create(
            conversation=conversation,
            number=2,
            role="customer",
            text="Can I return an item?",
            client_id="m-9",
            event_id=first.id,
            created_at=datetime.now(UTC),
        )
        second = reply_to(conversation_id=conversation.id).reply
        status = dict(Reply.objects.values_list("id", "status"))

    assert status[first.id] == ReplyStatus.SUPERSEDED
    assert status[second.id] == status[elsewhere.id] == ReplyStatus.WAITING


def test_what_came_before_a_hand_off_by_hand_is_heard_once(tenant: Tenant, shop: dict[str, Source]) -> None:
    conversation = written(tenant, "It smells burnt, and my lawyer will write to you")
    replies = []
    with tenant_scope(tenant.id):
        move(conversation_id=conversation.id, to="handed_off", actor="desk", note="somebody else has written")
        for number, text in enumerate(("Any news?", "Where is my order?"), start=2):
            add_message(conversation_id=conversation.id, role="customer", text=text, client_id=f"m-{number}")
            replies.append(reply_to(conversation_id=conversation.id).reply)

    first, second = replies
    assert "legal_threat" in {reason["code"] for reason in first.reasons}
    assert first.summary["wants"] == "It smells burnt, and my lawyer will write to you Any news?"
    assert (first.status, second.status) == (ReplyStatus.HANDED_OFF, ReplyStatus.WAITING)


def test_another_tenants_conversation_is_not_there(tenant: Tenant, other_tenant: Tenant) -> None:
    conversation = written(tenant, "Where is my order?")
    with tenant_scope(other_tenant.id), pytest.raises(Conversation.DoesNotExist):
        lock_waiting(conversation.id)
