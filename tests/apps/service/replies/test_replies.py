"""Replies over the API: selected, quoted, decided on, sent once; what agents make of them."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from apps.service.conversations.models import Conversation, Message
from apps.service.knowledge.models import Chunk
from apps.service.knowledge.services import change_source, set_status
from apps.service.replies.grounding.wording import sentences_of
from apps.service.replies.judging import AlreadyJudged, accept_reply, edit_reply
from apps.service.replies.models import Reply
from behavior.models import Event
from decisions.models import Decision
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.service.conftest import RETURNS, SENDING, Desk
from tests.conftest import ApiClient


def codes(reply: dict[str, Any]) -> set[str]:
    return {reason["code"] for reason in reply["reasons"]}


def test_a_macro_is_filled_from_the_customers_order(desk: Desk, shop: dict[str, Any], tenant: Tenant) -> None:
    reply = desk.ask("Where is my order?")

    assert (reply["action"], reply["status"], reply["backend"]) == ("draft", "waiting", "selection")
    assert reply["reply"].startswith("Your order A-1029 of 2026-")
    assert reply["reply"].endswith("is shipped. Follow it with TR-5567.")
    (citation,) = reply["citations"]
    assert citation["source"] == str(shop["where"].id)
    assert (citation["kind"], citation["title"], citation["sentences"]) == ("macro", "Where is my order?", [1, 2])
    assert "sending_off" in codes(reply)
    with tenant_scope(tenant.id):
        decision = Decision.objects.get(decision_id=reply["decision_id"])
    assert (decision.application, decision.items[0]["id"]) == ("service", "draft")
    assert decision.request["citations"] == [[str(shop["where"].id), 1, [1, 2]]]
    assert "Where is my order" not in str(decision.request)


LONG = "\n\n".join(
    f"# Step {step}\n\nWash the wool sweater by hand in cold water. "
    "Use a mild soap for the wool sweater, and never bleach. "
    f"Let the wool sweater dry flat for a day, as step {step} says. {'Press it gently between two towels. ' * 3}"
    for step in ("one", "two", "three")
)


def test_a_long_macro_is_given_whole_and_once(desk: Desk, publish: Any, tenant: Tenant) -> None:
    macro = publish("Washing a wool sweater", LONG, kind="macro")
    with tenant_scope(tenant.id):
        assert Chunk.objects.filter(source=macro).count() > 1

    reply = desk.ask("How do I wash a wool sweater?")

    assert reply["reply"] == macro.body
    assert reply["citations"][0]["source"] == str(macro.id)
    assert reply["suggestions"] == []


def test_sentences_of_an_article_are_quoted_word_for_word(desk: Desk, shop: dict[str, Any]) -> None:
    reply = desk.ask("How many days do I have to return an item after delivery?")

    assert reply["backend"] == "extractive"
    assert all(sentence in RETURNS for sentence in reply["reply"].split(". "))
    assert "within 30 days of delivery" in reply["reply"]
    assert reply["citations"][0]["source"] == str(shop["returns"].id)


def test_an_article_in_markdown_is_quoted_as_a_customer_reads_it(desk: Desk, publish: Any) -> None:
    body = "# Return an item\n\n- Pack the item **well**\n- Print the [return label](https://shop.example/label)\n\n"
    publish("Returning an item", f"{body}## Where\n1. Bring the item to the post. Keep the receipt of the return.")

    reply = desk.ask("How do I pack an item and print the label for its return?")

    assert reply["backend"] == "extractive"
    assert reply["reply"] == "Pack the item well\nPrint the return label"
    assert reply["citations"][0]["sentences"] == [1, 2]
    assert len(sentences_of(reply["reply"])) == 2


def test_a_chinese_question_has_a_chinese_answer(desk: Desk, shop: dict[str, Any]) -> None:
    reply = desk.ask("我想退货，多少天内可以退货？")

    assert "您可以在三十天内退货。" in reply["reply"]
    assert "language" not in codes(reply)


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


@pytest.mark.usefixtures("sending")
def test_what_was_handed_off_stays_with_the_agents(desk: Desk, shop: dict[str, Any]) -> None:
    desk.ask("I want to talk to a human")

    reply = desk.ask("Where is my order?")

    assert reply["action"] == "draft"
    assert "with_agent" in codes(reply)
    assert desk.read()["status"] == "handed_off"


@pytest.mark.usefixtures("sending", "shop")
def test_what_is_not_in_the_customers_language_is_not_sent(desk: Desk, publish: Any, tenant: Tenant) -> None:
    publish("Wo ist mein Paket?", "It is with the post, and we write to you.", kind="macro")

    german = desk.ask("Wo ist mein Paket, bitte?")
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


def test_a_message_has_one_reply_however_often_it_is_asked_for(
    desk: Desk, shop: dict[str, Any], tenant: Tenant, sending: None
) -> None:
    desk.say("Where is my order?")

    def ask(_: int) -> tuple[int, str]:
        try:
            answer = desk.reply()
            return answer.status_code, answer.json()["id"]
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(16)))

    assert sorted(status for status, _ in answers) == [200] * 15 + [201]
    assert len({reply for _, reply in answers}) == 1
    with tenant_scope(tenant.id):
        assert Reply.objects.count() == Decision.objects.count() == 1
        assert Message.objects.filter(role="bot").count() == 1


def test_a_burst_has_one_answer_to_its_newest_message(desk: Desk, shop: dict[str, Any], tenant: Tenant) -> None:
    first = desk.ask("Where is my order?")
    desk.say("Hello?")
    second = desk.ask("How many days do I have to return an item?")
    with tenant_scope(tenant.id):
        statuses = {str(reply.id): reply.status for reply in Reply.objects.all()}
    assert statuses == {first["id"]: "superseded", second["id"]: "waiting"}
    stale = desk.api.post(f"replies/{first['id']}/judgement", {"judgement": "accept"})
    assert stale.status_code == 409
    assert "superseded" in stale.json()["detail"]


def test_messages_and_asking_at_once_leave_at_most_one_reply_open(
    desk: Desk, shop: dict[str, Any], tenant: Tenant
) -> None:
    desk.say("Where is my order?")

    def act(number: int) -> int:
        try:
            if number % 2:
                return int(desk.reply().status_code)
            body = {"id": f"burst-{number}", "text": f"Where is my order{number * '?'}"}
            return int(desk.api.post(f"conversations/{desk.id}/messages", body).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(act, range(16)))
    desk.reply()

    assert set(statuses) <= {200, 201}
    with tenant_scope(tenant.id):
        newest = Message.objects.order_by("-number").first()
        open_replies = list(Reply.objects.filter(status="waiting"))
        assert newest is not None
        assert [reply.message_id for reply in open_replies] == [newest.id]
        assert Conversation.objects.get().message_count == Message.objects.count() == 9


def test_there_must_be_something_to_answer(desk: Desk, shop: dict[str, Any]) -> None:
    empty = desk.reply()
    desk.say("Where is my order?")
    desk.say("On its way", role="agent")
    answered = desk.reply()
    assert (empty.status_code, answered.status_code) == (422, 422)
    assert "not written anything" in empty.json()["detail"]
    assert "agent's" in answered.json()["detail"]


def test_messages_that_are_kept_elsewhere_are_answered_once_and_leave_a_decision(
    api: ApiClient, shop: dict[str, Any], tenant: Tenant
) -> None:
    body = {"messages": [{"text": "<p>Where is my order?</p>"}], "subject": {"user_id": "u-17"}}
    answer = api.post("replies", body)
    assert answer.status_code == 201, answer.content
    reply = answer.json()
    assert reply["id"] is None
    assert "A-1029" in reply["reply"]
    with tenant_scope(tenant.id):
        assert Decision.objects.get().decision_id
        assert Conversation.objects.count() == Reply.objects.count() == 0
    unknown = api.post("replies", {"messages": [{"text": "Where is my order?"}]}).json()
    assert "A-1029" not in str(unknown)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, ""),
        ({"conversation_id": "x"}, "conversation_id"),
        ({"messages": []}, "messages"),
        ({"messages": [{"text": ""}]}, "messages[0].text"),
        ({"messages": [{"text": "a", "role": "agent"}]}, "messages"),
        ({"messages": [{"text": "a"}] * 51}, "messages"),
        ({"messages": [{"text": "a", "tools": 1}]}, "messages[0].tools"),
        ({"messages": [{"text": "a"}], "subject": {"user_id": "null"}}, "subject.user_id"),
        ({"messages": [{"text": "a"}], "tenant": 7}, "tenant"),
    ],
)
def test_bad_requests_name_their_field(api: ApiClient, body: dict[str, Any], field: str) -> None:
    answer = api.post("replies", body)
    assert answer.status_code == 400, answer.content
    assert answer.json()["errors"][0]["field"] == field


def test_an_agent_accepts_edits_and_rejects_and_each_is_a_label(
    open_desk: Callable[..., Desk], shop: dict[str, Any], api: ApiClient, tenant: Tenant
) -> None:
    drafts = []
    for _ in range(3):
        desk = open_desk()
        drafts.append((desk, desk.ask("Where is my order?")))
    accept, edit, reject = (f"replies/{reply['id']}/judgement" for _, reply in drafts)
    accepted = api.post(accept, {"judgement": "accept"})
    edited = api.post(edit, {"judgement": "edit", "text": "It comes soon."})
    rejected = api.post(reject, {"judgement": "reject", "note": "wrong macro"})
    assert [each.json()["status"] for each in (accepted, edited, rejected)] == ["accepted", "edited", "rejected"]
    assert accepted.json()["edit_distance"] == 0
    assert edited.json()["edit_distance"] > 0.5
    assert [desk.read()["messages"][-1]["text"] for desk, _ in drafts] == [
        drafts[0][1]["reply"],
        "It comes soon.",
        "Where is my order?",
    ]
    assert api.post(accept, {"judgement": "accept"}).json() == accepted.json()
    assert api.post(accept, {"judgement": "reject"}).status_code == 409
    with tenant_scope(tenant.id):
        types = list(Event.objects.filter(type__startswith="reply_").values_list("type", "value"))
        assert Message.objects.filter(role="agent").count() == 2
    assert sorted(types) == [
        ("reply_accepted", 0.0),
        ("reply_edited", edited.json()["edit_distance"]),
        ("reply_rejected", None),
    ]


@pytest.mark.parametrize("change", [{"status": "retired"}, {"body": "You can return an item within 14 days."}])
def test_a_draft_is_not_accepted_when_its_article_is_retired_or_changed(
    desk: Desk, shop: dict[str, Any], api: ApiClient, tenant: Tenant, change: dict[str, str]
) -> None:
    draft = desk.ask("How many days do I have to return an item after delivery?")
    article = {"source_id": shop["returns"].id, "kind": "article", "actor": "somebody"}
    with tenant_scope(tenant.id):
        set_status(**article, **change) if "status" in change else change_source(**article, changes=change)
    path = f"replies/{draft['id']}/judgement"

    refused = api.post(path, {"judgement": "accept"})

    assert refused.status_code == 409
    assert "'Returning an item' is retired or changed" in refused.json()["detail"]
    assert api.post(path, {"judgement": "edit", "text": "I ask and write to you."}).json()["status"] == "edited"


def test_the_same_judgement_again_is_none_unless_somebody_else_makes_it(
    desk: Desk, shop: dict[str, Any], tenant: Tenant
) -> None:
    reply = desk.ask("Where is my order?")
    with tenant_scope(tenant.id):
        first = edit_reply(reply_id=reply["id"], text=reply["reply"], actor="anna")
        again = edit_reply(reply_id=reply["id"], text=reply["reply"], actor="anna")
        assert (first.status, again.settled_at) == ("accepted", first.settled_at)
        with pytest.raises(AlreadyJudged, match="accepted by anna"):
            accept_reply(reply_id=reply["id"], actor="ben")


def test_one_draft_judged_by_many_at_once_is_sent_once(desk: Desk, shop: dict[str, Any], tenant: Tenant) -> None:
    reply = desk.ask("Where is my order?")

    def judge(number: int) -> int:
        try:
            text = {"judgement": "edit", "text": f"Version {number}"}
            return int(desk.api.post(f"replies/{reply['id']}/judgement", text).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        statuses = sorted(pool.map(judge, range(6)))

    assert statuses == [200, 409, 409, 409, 409, 409]
    with tenant_scope(tenant.id):
        assert Message.objects.filter(role="agent").count() == 1


def test_replies_are_read_listed_and_closed_to_others(
    desk: Desk, shop: dict[str, Any], api: ApiClient, other_api: ApiClient
) -> None:
    reply = desk.ask("Where is my order?")
    assert api.get(f"replies/{reply['id']}").json()["reply"] == reply["reply"]
    listed = api.get("replies?status=waiting").json()["results"]
    assert [each["id"] for each in listed] == [reply["id"]]
    assert other_api.get(f"replies/{reply['id']}").status_code == 404
    assert other_api.get("replies").json()["results"] == []
    assert other_api.post("replies", {"conversation_id": desk.id}).status_code == 404
    assert other_api.post(f"replies/{reply['id']}/judgement", {"judgement": "accept"}).status_code == 404


def test_a_reply_takes_few_statements(desk: Desk, shop: dict[str, Any], django_assert_max_num_queries: Any) -> None:
    desk.ask("Where is my order?")
    desk.say("Where is my order A-1029?")
    with django_assert_max_num_queries(22):
        assert desk.reply().status_code == 201
