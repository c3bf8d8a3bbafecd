"""Service > Inbox in the console: the queue, and what an agent does with a conversation."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from apps.service.conversations.models import Conversation, Message
from apps.service.replies.models import Reply
from tenancy.models import Role, Tenant
from tenancy.scope import tenant_scope
from tests.apps.service.conftest import Desk
from tests.conftest import ApiClient
from tests.database import connected_as
from tests.platform.console.furnishing import logged_in, make_operator


class Agent:
    """An operator's browser on the console."""

    def __init__(self, tenant: Tenant, settings: Any, name: str, role: Role = Role.OPERATOR) -> None:
        self.settings, self.name = settings, f"{name}@{tenant.slug}.example"
        with connected_as("console"):
            self.client: Client = logged_in(make_operator(tenant, role, self.name))

    def _as_console(self, do: Callable[[], Any]) -> Any:
        before = self.settings.MIDDLEWARE, self.settings.ROOT_URLCONF
        self.settings.MIDDLEWARE = self.settings.MIDDLEWARE_BY_PROCESS["console"]
        self.settings.ROOT_URLCONF = "config.urls_console"
        try:
            with connected_as("console"):
                return do()
        finally:
            self.settings.MIDDLEWARE, self.settings.ROOT_URLCONF = before

    def read(self, path: str = "") -> str:
        answer = self._as_console(lambda: self.client.get(f"/console/service/conversation/{path}", follow=True))
        assert answer.status_code == 200, answer.content
        text: str = answer.content.decode()
        return text

    def open(self, desk: Desk) -> dict[str, str]:
        """The fields of the page's forms."""
        page = self.read(f"{desk.id}/change/")
        fields = dict(re.findall(r'<input type="hidden" name="(reply|seen|answer_id|version)" value="([^"]*)"', page))
        return fields | {"page": page}

    def act(self, desk: Desk, act: str, status: int = 200, **fields: str) -> str:
        path = f"/console/service/conversation/{desk.id}/act/"
        answer = self._as_console(lambda: self.client.post(path, {"act": act, **fields}, follow=True))
        assert answer.status_code == status, answer.content
        text: str = answer.content.decode()
        return text


@pytest.fixture
def agent(tenant: Tenant, settings: Any) -> Callable[..., Agent]:
    return lambda name, role=Role.OPERATOR: Agent(tenant, settings, name, role)


def texts(tenant: Tenant) -> list[tuple[str, str]]:
    with tenant_scope(tenant.id):
        return list(Message.objects.order_by("id").values_list("role", "text"))


def test_who_waits_longest_comes_first_and_the_clock_says_how_late(
    tenant: Tenant, open_desk: Callable[..., Desk], agent: Callable[..., Agent], api: ApiClient
) -> None:
    desks = [open_desk({"user_id": f"u-{number}"}) for number in range(3)]
    for number, minutes in enumerate((5, 300, 0)):
        with tenant_scope(tenant.id):
            if minutes:
                waits = timezone.now() - timedelta(minutes=minutes)
                Conversation.objects.filter(id=desks[number].id).update(waiting_since=waits)
    ann = agent("ann")

    page = ann.read()
    places = [page.index(desks[number].id) for number in (1, 0, 2)]
    assert places == sorted(places)
    assert "overdue by 4" in page
    assert api.put("service/settings", {"first_response_minutes": 600}).status_code == 200
    assert api.put("service/settings", {"first_response_minutes": 0}).status_code == 400
    assert f"{desks[0].id}" in ann.read(f"{desks[1].id}/next/")


def test_the_queue_is_narrowed(tenant: Tenant, open_desk: Callable[..., Desk], agent: Callable[..., Agent]) -> None:
    mine, closed, other = (open_desk({"user_id": f"u-{number}"}) for number in range(3))
    ann = agent("ann")
    ann.act(mine, "take", **ann.open(mine))
    ann.act(closed, "close", **ann.open(closed))

    def found(query: str) -> set[str]:
        page = ann.read(query)
        return {each.id for each in (mine, closed, other) if each.id in page}

    assert found("") == {mine.id, other.id}
    assert found("?whose=mine") == {mine.id}
    assert found("?whose=nobody") == {other.id}
    assert found("?status=closed") == {closed.id}
    assert found("?channel=mail") == set()
    assert found("?subject=u-2") == {other.id}


def test_the_page_quotes_the_sources_sentence_by_sentence(
    desk: Desk, shop: dict[str, Any], agent: Callable[..., Agent]
) -> None:
    desk.ask("How many days do I have to return an item after delivery?")

    page = agent("ann").open(desk)["page"]

    assert "Returning an item" in page
    assert "<blockquote>" in page
    assert "order_shipped" in page
    for key in ("a", "e", "r", "n", "m"):
        assert f'data-key="{key}"' in page


def test_each_choice_goes_to_the_customer_and_becomes_a_label(
    desk: Desk, shop: dict[str, Any], agent: Callable[..., Agent], tenant: Tenant
) -> None:
    ann = agent("ann")
    draft = desk.ask("Where is my order?")["reply"]
    assert "The draft is sent." in ann.act(desk, "accept", **ann.open(desk))
    assert texts(tenant)[-1] == ("agent", draft)

    desk.ask("Where is my order now?")
    assert "of the draft was changed" in ann.act(desk, "edit", text="It comes tomorrow.", **ann.open(desk))
    assert texts(tenant)[-1] == ("agent", "It comes tomorrow.")

    # What is seen is sent, whichever button is pressed.
    desk.ask("Where is my order then?")
    assert "of the draft was changed" in ann.act(desk, "accept", text="At the depot.", **ann.open(desk))
    assert texts(tenant)[-1] == ("agent", "At the depot.")

    desk.ask("Where is my order, please?")
    assert "rejected" in ann.act(desk, "reject", **ann.open(desk))

    # An own answer beside a draft says that the draft would not do.
    desk.ask("Where is my order today?")
    page = ann.open(desk)
    assert "The answer is sent." in ann.act(desk, "answer", text="At the post office.", **page)
    with tenant_scope(tenant.id):
        labels = list(Reply.objects.order_by("id").values_list("status", "judged_by"))
    assert labels == [(status, ann.name) for status in ("accepted", "edited", "edited", "rejected", "rejected")]


def test_of_two_agents_the_slower_is_refused_and_keeps_the_text(
    desk: Desk, shop: dict[str, Any], agent: Callable[..., Agent], tenant: Tenant
) -> None:
    desk.ask("Where is my order?")
    ann, ben = agent("ann"), agent("ben")
    seen_by_ann, seen_by_ben = ann.open(desk), ben.open(desk)
    assert ann.name in seen_by_ben["page"]
    assert ben.name in ann.read(f"{desk.id}/thread/")

    assert "The answer is sent." in ann.act(desk, "answer", text="It comes today.", **seen_by_ann)
    refused = ben.act(desk, "answer", text="Words of Ben", **seen_by_ben)
    assert "has written meanwhile" in refused
    assert "Words of Ben</textarea>" in refused
    assert "no draft any more" in ben.act(desk, "accept", **seen_by_ben)
    assert "changed meanwhile" in ben.act(desk, "take", **(seen_by_ben | {"version": "99"}))
    assert texts(tenant)[1:] == [("agent", "It comes today.")]
    # The same form sent twice is one answer.
    ann.act(desk, "answer", text="It comes today.", **seen_by_ann)
    assert len(texts(tenant)) == 2


def test_the_slower_of_two_that_accept_hears_of_it(
    desk: Desk, shop: dict[str, Any], agent: Callable[..., Agent]
) -> None:
    desk.ask("Where is my order?")
    ann, ben = agent("ann"), agent("ben")
    seen = ben.open(desk)
    ann.act(desk, "accept", **ann.open(desk))
    assert "no draft any more: it is accepted by" in ben.act(desk, "accept", **seen)


def test_what_a_customer_writes_is_text_on_the_page(desk: Desk, agent: Callable[..., Agent]) -> None:
    desk.say('5 < 6 & "quotes" {{ settings }} 你好 🎉')
    page = agent("ann").open(desk)["page"]
    assert "5 &lt; 6 &amp; &quot;quotes&quot; {{ settings }} 你好 🎉" in page


def test_macros_are_searched_and_come_filled(desk: Desk, shop: dict[str, Any], agent: Callable[..., Agent]) -> None:
    found = agent("ann").read(f"{desk.id}/macros/?q=order")

    assert "Where is my order?" in found
    assert "Your order A-1029 of" in found


def test_an_agents_name_is_filled_in_and_what_else_is_open_is_not_sent(
    desk: Desk, open_desk: Callable[..., Desk], publish: Callable[..., Any], agent: Callable[..., Agent], tenant: Tenant
) -> None:
    publish("Opening hours of the shop", "We open at nine. Yours, {{agent.name}}", kind="macro")
    publish("Where is my order?", "Your order is {{order.status}}.", kind="macro")
    ann = agent("ann")

    desk.ask("What are the opening hours of the shop?")
    assert "The draft is sent." in ann.act(desk, "accept", **ann.open(desk))
    assert texts(tenant)[-1] == ("agent", "We open at nine. Yours, ann")
    with tenant_scope(tenant.id):
        assert Reply.objects.get().status == "accepted"

    other = open_desk({"user_id": "without-orders"})
    other.ask("Where is my order?")
    assert "[order.status] still stands for a value" in ann.act(other, "accept", **ann.open(other))
    refused = ann.act(other, "answer", text="Call us at [PHONE_1] about {{order.id}}.", **ann.open(other))
    assert "{{order.id}}, [PHONE_1] still stands for a value" in refused
    assert "about {{order.id}}.</textarea>" in refused
    assert texts(tenant)[-1] == ("customer", "Where is my order?")


def test_a_draft_of_another_conversation_is_refused(
    open_desk: Callable[..., Desk], shop: dict[str, Any], agent: Callable[..., Agent], tenant: Tenant
) -> None:
    one, other = open_desk(), open_desk({"user_id": "u-2"})
    one.ask("Where is my order?")
    ann = agent("ann")
    reply = ann.open(one)["reply"]
    for given in (reply, str(uuid4()), "nonsense"):
        assert "no longer there" in ann.act(other, "accept", reply=given)
    assert [role for role, _ in texts(tenant)] == ["customer"]


def test_viewers_read_and_do_nothing(desk: Desk, agent: Callable[..., Agent], tenant: Tenant) -> None:
    desk.say("Hello")
    viewer = agent("vic", Role.VIEWER)
    assert 'value="answer"' not in viewer.open(desk)["page"]
    viewer.act(desk, "answer", 403, text="Hi", seen="1", answer_id=str(uuid4()))
    assert len(texts(tenant)) == 1


def test_the_queue_shows_the_tone_and_finds_words(
    open_desk: Callable[..., Desk], shop: Any, agent: Callable[..., Agent]
) -> None:
    upset, urgent, calm = (open_desk({"user_id": f"u-{number}"}) for number in range(3))
    upset.ask("This is terrible, I am furious")
    urgent.ask("I need it today, it is urgent")
    calm.ask("Where is my parcel with the 50%_off lamp?")
    ann = agent("ann")

    def found(query: str) -> set[str]:
        page = ann.read(f"?{query}")
        return {desk.id for desk in (upset, urgent, calm) if desk.id in page}

    assert found("") == {upset.id, urgent.id, calm.id}
    assert found("tone=upset") == {upset.id}
    assert found("tone=urgent") == {urgent.id}
    assert "Upset" in ann.read(f"{upset.id}/change/")
    assert found("words=FURIOUS") == {upset.id}
    assert found("words=50%25_off") == {calm.id}
    assert found("words=%25%25") == set()
    assert "give 2 characters or more" in ann.read("?words=x")
    # What is closed is found by its words, too.
    ann.act(upset, "close", **ann.open(upset))
    assert found("") == {urgent.id, calm.id}
    assert found("words=furious") == {upset.id}


def test_closing_ends_the_wait_and_an_agents_message_by_the_api_supersedes_the_draft(
    tenant: Tenant, open_desk: Callable[..., Desk], shop: Any, agent: Callable[..., Agent]
) -> None:
    desk, ann = open_desk(), agent("ann")
    assert desk.ask("Where is my order?")["status"] == "waiting"
    desk.say("It left us this morning.", role="agent")
    with tenant_scope(tenant.id):
        assert Reply.objects.get(conversation_id=desk.id).status == "superseded"
    desk.say("And when does it arrive?")
    ann.act(desk, "close", **ann.open(desk))
    with tenant_scope(tenant.id):
        closed = Conversation.objects.get(id=desk.id)
    assert (closed.status, closed.waiting_since) == ("closed", None)


def test_what_its_agent_has_not_seen_is_not_closed_with_it(desk: Desk, agent: Callable[..., Agent]) -> None:
    desk.say("Hello")
    ann = agent("ann")
    seen = ann.open(desk)
    desk.say("Where is my order?")

    assert "Customer has written meanwhile" in ann.act(desk, "close", **seen)
    assert (desk.read()["status"], desk.read()["waiting_since"] is None) == ("open", False)

    assert "The conversation is closed." in ann.act(desk, "close", **ann.open(desk))


def test_what_an_agent_took_is_given_to_another_and_back_to_the_bot(
    tenant: Tenant, desk: Desk, shop: Any, sending: None, agent: Callable[..., Agent]
) -> None:
    ann, ben = agent("ann"), agent("ben")
    assert desk.ask("I want to talk to a human")["status"] == "handed_off"
    ann.act(desk, "take", **ann.open(desk))
    refused = ann.act(desk, "give", assignee="nobody@else.example", **ann.open(desk))
    assert "answers no conversations here" in refused
    given = ann.act(desk, "give", assignee=ben.name, note="she writes German", **ann.open(desk))
    assert f"{ben.name} has the conversation" in given
    assert f"Assigned {ben.name}: she writes German" in given
    assert desk.read()["assignee"] == ben.name

    assert "the bot may answer again" in ben.act(desk, "give_back", **ben.open(desk))
    assert (desk.read()["assignee"], desk.read()["status"]) == ("", "open")
    assert desk.ask("How many days do I have to return an item after delivery?")["status"] == "sent"


def test_what_was_closed_is_nobodys_when_its_customer_writes_again(
    tenant: Tenant, desk: Desk, shop: Any, sending: None, agent: Callable[..., Agent]
) -> None:
    ann = agent("ann")
    desk.say("Hello")
    ann.act(desk, "take", **ann.open(desk))
    ann.act(desk, "close", **ann.open(desk))
    assert desk.read()["assignee"] == ann.name
    assert desk.ask("How many days do I have to return an item after delivery?")["status"] == "sent"
    assert desk.read()["assignee"] == ""


def test_what_was_closed_by_mistake_waits_again_with_its_draft(
    tenant: Tenant, desk: Desk, shop: Any, agent: Callable[..., Agent]
) -> None:
    ann = agent("ann")
    draft = desk.ask("Where is my order?")
    waits = desk.read()["waiting_since"]
    ann.act(desk, "close", **ann.open(desk))
    assert ann.open(desk).get("reply") is None
    ann.act(desk, "reopen", **ann.open(desk))
    assert desk.read()["waiting_since"] == waits
    assert ann.open(desk)["reply"] == draft["id"]
    assert "The draft is sent." in ann.act(desk, "accept", **ann.open(desk))
