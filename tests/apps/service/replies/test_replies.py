"""Replies over the API: selected, quoted, decided on, sent once; what agents make of them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from apps.service.conversations.models import Conversation, Message
from apps.service.knowledge.models import Chunk, Source
from apps.service.learning.services import learn_lately
from apps.service.replies.grounding.wording import sentences_of
from apps.service.replies.models import Reply
from decisions.models import Decision
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.service.conftest import RETURNS, Desk, codes
from tests.conftest import ApiClient


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


def test_many_past_replies_leave_room_for_an_article(desk: Desk, publish: Any, tenant: Tenant) -> None:
    for number in range(25):
        publish(f"Wool sweater {number}", f"The wool sweater dries flat, {number} of them.", kind="reply")
    article = publish("Bleach", "A sweater is never bleached, since bleach makes holes.")

    reply = desk.ask("My wool sweater dries flat, may the wool sweater be bleached?")

    with tenant_scope(tenant.id):
        found = Decision.objects.get(decision_id=reply["decision_id"]).request["found"]
    assert len(found) == 9
    assert str(article.id) == found[-1][0]


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


def test_a_chinese_question_in_an_english_conversation_finds_what_is_chinese(
    open_desk: Callable[..., Desk], shop: dict[str, Any]
) -> None:
    reply = open_desk(language="en").ask("我想退货，多少天内可以退货？")

    assert "您可以在三十天内退货。" in reply["reply"]
    assert "language" in codes(reply)


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


def test_what_is_for_a_segment_answers_its_customers_alone(
    open_desk: Callable[..., Desk], publish: Any, api: ApiClient, tenant: Tenant
) -> None:
    publish("Returns of members", "Members return a sweater within 90 days.", audience="segment", segments=["gold"])
    question = "Within how many days do members return a sweater?"

    answered = [
        open_desk(segments=["gold"]).ask(question),
        api.post("replies", {"messages": [{"text": question}], "segments": ["gold"]}).json(),
    ]
    others = [
        open_desk().ask(question),
        open_desk(segments=["bronze"]).ask(question),
        api.post("replies", {"messages": [{"text": question}]}).json(),
    ]

    assert all("90 days" in reply["reply"] for reply in answered)
    assert not any("90 days" in str(reply) for reply in others)
    # What was said to them does not become a past reply that everybody may be given.
    assert api.post(f"replies/{answered[0]['id']}/judgement", {"judgement": "accept"}).status_code == 200
    with tenant_scope(tenant.id):
        assert learn_lately() == 1
        assert not Source.objects.filter(kind="reply").exists()


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
