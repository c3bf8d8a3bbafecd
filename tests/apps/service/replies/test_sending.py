"""What is sent without an agent, and what never is."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from apps.service.conversations.models import Conversation
from behavior.models import Event
from decisions.models import Decision
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.service.conftest import SENDING, Desk, codes
from tests.conftest import ApiClient


def test_nothing_is_sent_until_it_is_switched_on_and_then_it_is_a_message(
    desk: Desk, shop: dict[str, Any], api: ApiClient, tenant: Tenant
) -> None:
    assert desk.ask("Where is my order?")["action"] == "draft"
    assert api.put("service/settings", SENDING).status_code == 200

    reply = desk.ask("Where is my order A-1029?")

    assert (reply["action"], reply["status"]) == ("send", "sent")
    last = desk.read()["messages"][-1]
    assert (last["role"], last["text"]) == ("bot", reply["reply"])
    assert desk.read()["status"] == "waiting"
    with tenant_scope(tenant.id):
        sent = Event.objects.get(type="bot_message")
    assert str(sent.decision_id) == reply["decision_id"]


def test_the_stages_of_the_search_are_a_setting_and_the_decision_notes_which_ran(
    desk: Desk, shop: dict[str, Any], api: ApiClient, tenant: Tenant
) -> None:
    refused = api.put("service/settings", {"stages": ["rerank"]})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "stages")
    assert api.put("service/settings", {"stages": ["full_text"]}).status_code == 200
    reply = desk.ask("Where is my order?")
    with tenant_scope(tenant.id):
        decision = Decision.objects.get(decision_id=reply["decision_id"])
    assert decision.request["stages"] == ["full_text"]


def test_an_intent_that_is_not_listed_is_not_sent(desk: Desk, shop: dict[str, Any], api: ApiClient) -> None:
    api.put("service/settings", SENDING | {"auto_send_intents": ["returns"]})

    reply = desk.ask("Where is my order?")

    assert reply["action"] == "draft"
    assert "intent_not_listed" in codes(reply)


def test_an_intent_that_allows_it_itself_is_sent(desk: Desk, shop: dict[str, Any], api: ApiClient) -> None:
    api.put("service/settings", SENDING | {"auto_send_intents": []})
    intent = api.post("intents", {"name": "order_status"}).json()
    api.post("intent-examples", {"examples": [{"text": "Where is my order?", "intent": "order_status"}]})
    assert "intent_not_listed" in codes(desk.ask("Where is my order?"))

    api.patch(f"intents/{intent['id']}", {"auto_send": True})
    time.sleep(1.1)  # until this process reads the intents again

    assert desk.ask("Where is my order?")["action"] == "send"


@pytest.mark.usefixtures("sending")
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Where is my order? I want to talk to a human", "asked_for_human"),
        ("我的订单在哪里 转人工", "asked_for_human"),
        ("Where is my order? My lawyer asks.", "blocked_topic"),
        ("Can you recommend a good pizza recipe with truffles?", "no_evidence"),
    ],
)
def test_the_customer_goes_to_an_agent_with_a_summary(
    desk: Desk, shop: dict[str, Any], api: ApiClient, text: str, code: str
) -> None:
    api.put("service/settings", SENDING | {"blocked_topics": ["lawyer"]})

    reply = desk.ask(text)

    assert (reply["action"], reply["status"], reply["reply"]) == ("hand_off", "handed_off", "")
    assert code in codes(reply)
    assert reply["summary"]["wants"] == text
    assert reply["summary"]["order"]["status"] == "shipped"
    conversation = desk.read()
    assert conversation["status"] == "handed_off"
    assert conversation["hand_off"]["summary"] == reply["summary"]
    assert [message["role"] for message in conversation["messages"]] == ["customer"]


@pytest.mark.usefixtures("shop", "sending")
@pytest.mark.parametrize(
    ("first", "code"),
    [
        ("I want to talk to a human", "asked_for_human"),
        ("Is this legal? My lawyer asks.", "blocked_topic"),
        (f"{'It came late. ' * 700}My lawyer will write to you.", "legal_threat"),
    ],
)
def test_each_message_of_a_burst_is_heard(desk: Desk, api: ApiClient, first: str, code: str) -> None:
    api.put("service/settings", SENDING | {"blocked_topics": ["lawyer"]})
    for text in (first, "Where is my order?", "It is A-1029", "please"):
        desk.say(text)

    reply = desk.reply().json()

    assert reply["action"] == "hand_off"
    assert code in codes(reply)


@pytest.mark.usefixtures("shop", "sending")
def test_a_burst_is_understood_as_a_whole_and_what_was_answered_is_not_part_of_it(
    desk: Desk, api: ApiClient, publish: Any
) -> None:
    publish("Money back", "Money back takes a form, which is in your account.", kind="macro")
    desk.say("I want my money back")

    burst = desk.ask("asap!!")
    after = desk.ask("Where is my order?")
    elsewhere = api.post("replies", {"messages": [{"text": "I want my money back"}, {"text": "asap!!"}]}).json()

    assert burst["reply"] == elsewhere["reply"] == "Money back takes a form, which is in your account."
    assert after["reply"].startswith("Your order A-1029")


def burst(desk: Desk, *texts: str) -> dict[str, Any]:
    """What is answered to several messages in a row."""
    for text in texts[:-1]:
        desk.say(text)
    return desk.ask(texts[-1])


@pytest.mark.usefixtures("shop", "sending")
@pytest.mark.parametrize(
    "texts",
    [
        ("Where is my order?", "and my March invoice shows the wrong VAT number"),
        ("Where is my order?", "How many days do I have to return an item after delivery?"),
        ("Does the kettle boil eggs?", "Where is my order?", "thanks a lot", "bye", "bye"),
    ],
)
def test_what_answers_one_of_several_messages_is_a_draft(desk: Desk, texts: tuple[str, ...]) -> None:
    reply = burst(desk, *texts)

    assert reply["action"] == "draft"
    assert "partly_answered" in codes(reply)


@pytest.mark.usefixtures("shop", "sending")
@pytest.mark.parametrize(
    "texts",
    [
        ("Good morning", "Where is my order?", "It is A-1029", "thanks a lot!"),
        ("您好，在吗？", "我想退货，多少天内可以退货？", "谢谢您"),
    ],
)
def test_courtesies_and_the_orders_number_beside_a_question_hold_nothing_back(
    desk: Desk, publish: Any, texts: tuple[str, ...]
) -> None:
    publish("Good morning", "Good morning! How can I help?", kind="macro")

    reply = burst(desk, *texts)

    assert reply["action"] == "send", reply
    assert "help?" not in reply["reply"]


@pytest.mark.usefixtures("shop", "sending")
def test_of_much_that_is_written_each_message_is_understood_and_nothing_is_sent(desk: Desk) -> None:
    waits = "I am at home today. " * 150
    unhappy = burst(desk, f"{waits}I'm so disappointed", "Where is my order?")
    desk.say("It comes on Monday", role="agent")
    long = desk.ask(f"{waits}Where is my order?")

    assert unhappy["action"] == long["action"] == "draft"
    assert {"unhappy", "partly_read"} <= codes(unhappy)
    assert "partly_read" in codes(long)


@pytest.mark.usefixtures("shop", "sending")
def test_messages_of_several_intents_are_for_an_agent(desk: Desk, api: ApiClient) -> None:
    examples = {"order_status": "Where is my order?", "order_change": "Add a shirt to my order"}
    for intent, text in examples.items():
        api.post("intents", {"name": intent, "auto_send": True})
        api.post("intent-examples", {"examples": [{"text": text, "intent": intent}]})

    reply = burst(desk, *examples.values())

    assert reply["action"] == "draft"
    assert "several_intents" in codes(reply)


@pytest.mark.usefixtures("sending")
def test_what_was_handed_off_stays_with_the_agents(desk: Desk, shop: dict[str, Any]) -> None:
    desk.ask("I want to talk to a human")

    reply = desk.ask("Where is my order?")

    assert reply["action"] == "draft"
    assert "with_agent" in codes(reply)
    assert desk.read()["status"] == "handed_off"


@pytest.mark.usefixtures("sending", "shop")
def test_what_is_not_in_the_customers_language_is_not_sent(
    open_desk: Callable[..., Desk], publish: Any, tenant: Tenant
) -> None:
    publish("Wo ist mein Paket?", "It is with the post, and we write to you.", kind="macro")

    german = open_desk().ask("Wo ist mein Paket, bitte?")
    desk = open_desk()
    with tenant_scope(tenant.id):
        Conversation.objects.update(language="fr-FR")
    of_a_french_customer = desk.ask("Where is my order A-1029?")
    with tenant_scope(tenant.id):
        Conversation.objects.update(language="en_GB")
    english = desk.ask("Where is my order, A-1029?")

    assert [each["action"] for each in (german, of_a_french_customer, english)] == ["draft", "draft", "send"]
    assert "language" in codes(german) & codes(of_a_french_customer)


@pytest.mark.usefixtures("sending", "shop")
def test_nothing_is_sent_where_an_agent_has_taken_the_conversation(desk: Desk, api: ApiClient) -> None:
    assert api.patch(f"conversations/{desk.id}", {"assignee": "ann"}).status_code == 200

    reply = desk.ask("Where is my order?")

    assert reply["action"] == "draft"
    assert "with_agent" in codes(reply)
    assert api.patch(f"conversations/{desk.id}", {"assignee": ""}).status_code == 200
    assert desk.ask("Where is my order?")["action"] == "send"


@pytest.mark.usefixtures("shop")
def test_closing_a_conversation_supersedes_the_draft_in_it(desk: Desk, api: ApiClient) -> None:
    draft = desk.ask("Where is my order?")

    assert api.patch(f"conversations/{desk.id}", {"status": "closed"}).status_code == 200

    assert api.get(f"replies/{draft['id']}").json()["status"] == "superseded"


@pytest.mark.usefixtures("shop")
def test_what_is_closed_has_no_reply_until_it_is_opened_again(desk: Desk, api: ApiClient) -> None:
    desk.say("I want to talk to a human")
    api.patch(f"conversations/{desk.id}", {"status": "closed"})

    refused = desk.reply()

    assert (refused.status_code, desk.read()["status"]) == (422, "closed")
    assert "open it again" in refused.json()["detail"]
    api.patch(f"conversations/{desk.id}", {"status": "open"})
    assert desk.reply().json()["status"] == "handed_off"


@pytest.mark.usefixtures("shop")
def test_a_hand_off_starts_the_clock_that_an_agent_had_stopped(desk: Desk, api: ApiClient) -> None:
    asked_at = desk.say("I want to talk to a human")["created_at"]
    assert api.patch(f"conversations/{desk.id}", {"status": "waiting"}).json()["waiting_since"] is None

    assert desk.reply().json()["status"] == "handed_off"

    assert desk.read()["waiting_since"] == asked_at


@pytest.mark.usefixtures("sending", "shop")
def test_a_slot_without_a_value_is_never_sent(open_desk: Callable[..., Desk]) -> None:
    reply = open_desk({"user_id": "without-orders"}).ask("Where is my order?")

    assert reply["action"] == "draft"
    assert "missing_slots" in codes(reply)
    assert "[order.status]" in reply["reply"]


@pytest.mark.usefixtures("shop")
def test_an_agent_does_not_send_a_slot_without_a_value(open_desk: Callable[..., Desk], api: ApiClient) -> None:
    reply = open_desk({"user_id": "without-orders"}).ask("Where is my order?")
    path = f"replies/{reply['id']}/judgement"

    accepted = api.post(path, {"judgement": "accept"})
    edited = api.post(path, {"judgement": "edit", "text": "It is {{ order.status }}."})

    for refused, place in ((accepted, "[order.status]"), (edited, "{{ order.status }}")):
        assert refused.status_code == 400
        assert refused.json()["errors"][0]["field"] == "text"
        assert place in refused.json()["errors"][0]["message"]
    written = api.post(path, {"judgement": "edit", "text": "It is on its way."})
    assert written.json()["status"] == "edited"


@pytest.mark.usefixtures("sending", "shop")
def test_somebody_elses_order_is_never_told(open_desk: Callable[..., Desk], send_event: Callable[..., None]) -> None:
    send_event("order_shipped", subject={"user_id": "other"}, order_id="B-2000", tracking_number="TR-9999")

    reply = open_desk({"user_id": "other"}).ask("Where is my order A-1029?")

    assert reply["action"] != "send"
    assert "TR-5567" not in str(reply)
    assert "order_unknown" in codes(reply)


@pytest.mark.usefixtures("sending", "shop")
def test_of_several_orders_the_named_one_counts_and_else_an_agent_looks(
    desk: Desk, open_desk: Callable[..., Desk], send_event: Callable[..., None]
) -> None:
    send_event("order_placed", order_id="A-2000", status="packed", tracking_number="TR-1")

    assert desk.ask("Where is my order A-1029?")["action"] == "send"
    unnamed = open_desk().ask("Where is my order?")

    assert unnamed["action"] == "draft"
    assert "which_order" in codes(unnamed)


@pytest.mark.usefixtures("sending")
def test_a_promise_that_the_order_does_not_back_is_not_sent(desk: Desk, publish: Any, send_event: Any) -> None:
    publish("Refund of an opened item", "We will refund the item at once.", kind="macro")

    reply = desk.ask("I want a refund of an opened item")
    send_event("refund", fields={"value": 20.0, "currency": "EUR"}, order_id="A-1")
    backed = desk.ask("I want a refund of an opened item, A-1")

    assert reply["action"] == "draft"
    assert "promise" in codes(reply)
    assert backed["action"] == "send"


@pytest.mark.usefixtures("sending")
def test_what_a_past_reply_said_to_somebody_else_is_not_said_again(desk: Desk, publish: Any) -> None:
    publish("Where is my parcel", "Parcel TR-777 was left with 3 neighbours.", kind="reply")

    reply = desk.ask("Where is my parcel?")

    assert reply["action"] == "draft"
    assert "unsupported" in codes(reply)
