"""Conversations over the API: opened, written to, read, moved; each message stored once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from apps.service.conversations.models import Conversation, ConversationEvent, Message
from behavior.models import Event
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.conftest import ApiClient
from tests.database import connected_as

CUSTOMER = {"user_id": "u-17"}


def opened(api: ApiClient, **changes: Any) -> str:
    answer = api.post("conversations", {"subject": CUSTOMER, "channel": "web"} | changes)
    assert answer.status_code == 201, answer.content
    return str(answer.json()["id"])


def say(api: ApiClient, conversation: str, text: str, id: str = "m-1", **changes: Any) -> Any:
    return api.post(f"conversations/{conversation}/messages", {"id": id, "text": text} | changes)


def test_a_conversation_is_opened_written_to_and_read(api: ApiClient, tenant: Tenant) -> None:
    conversation = opened(api, language="en", title="A parcel")
    assert say(api, conversation, "Where is my order?").status_code == 201
    assert say(api, conversation, "On its way.", "m-2", role="agent", author="Anna").status_code == 201

    found = api.get(f"conversations/{conversation}").json()

    assert (found["status"], found["message_count"], found["language"]) == ("waiting", 2, "en")
    assert [(each["number"], each["role"], each["text"]) for each in found["messages"]] == [
        (1, "customer", "Where is my order?"),
        (2, "agent", "On its way."),
    ]
    assert found["waiting_since"] is None
    assert found["first_response_at"] is not None


def test_messages_join_the_behaviour_log_without_their_words(api: ApiClient, tenant: Tenant) -> None:
    conversation = opened(api)
    message = say(api, conversation, "My card is 4111 1111 1111 1111").json()
    with tenant_scope(tenant.id):
        event = Event.objects.get(event_id=message["event_id"])
        types = set(Event.objects.values_list("type", flat=True))
    assert event.type == "customer_message"
    assert event.properties == {
        "channel": "web",
        "characters": 30,
        "conversation_id": conversation,
        "message_id": message["id"],
    }
    assert types == {"conversation_opened", "customer_message"}


def test_a_message_is_stored_once_and_another_under_its_id_is_refused(api: ApiClient, tenant: Tenant) -> None:
    conversation = opened(api)
    first = say(api, conversation, "Hello there")
    again = say(api, conversation, "Hello there")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    other = say(api, conversation, "Something else")
    assert other.status_code == 409
    assert other.json()["detail"].startswith("text differs")
    assert say(api, opened(api), "Something else").status_code == 201
    with tenant_scope(tenant.id):
        assert Message.objects.filter(conversation_id=conversation).count() == 1
        assert Event.objects.filter(type="customer_message").count() == 2


def test_one_message_sent_by_many_at_once_is_stored_once(api: ApiClient, tenant: Tenant) -> None:
    conversation = opened(api)

    def send(number: int) -> int:
        try:
            return int(say(api, conversation, "Hello there", f"m-{number % 2}").status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(send, range(16)))

    assert sorted(statuses) == [200] * 14 + [201] * 2
    with tenant_scope(tenant.id):
        assert sorted(Message.objects.values_list("number", flat=True)) == [1, 2]


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"text": ""}, "text", "nothing that can be read"),
        ({"text": " \n\t "}, "text", "nothing that can be read"),
        ({"text": "\u200b\u202e"}, "text", "nothing that can be read"),
        ({"text": "<script>alert(1)</script>"}, "text", "nothing that can be read"),
        ({"text": "x" * 10_001}, "text", "10,000 are taken"),
        ({"text": "a\0b"}, "text", "NUL"),
        ({"text": "a\ud800b"}, "text", "valid Unicode"),
        ({"text": 5}, "text", "must be a text"),
        ({"text": None}, "text", "null"),
        ({"id": ""}, "id", "blank"),
        ({"role": "system"}, "role", "system"),
        ({"attachments": [{"url": "https://x.example/a.png"}]}, "attachments", "not taken"),
        ({"files": ["a.pdf"]}, "files", "not taken"),
        ({"tools": []}, "tools", "not a field"),
    ],
)
def test_what_cannot_be_stored_is_refused_with_its_field_and_the_cure(
    api: ApiClient, tenant: Tenant, change: dict[str, Any], field: str, words: str
) -> None:
    conversation = opened(api)
    answer = api.post(f"conversations/{conversation}/messages", {"id": "m-1", "text": "Hello"} | change)
    assert answer.status_code == 400, answer.content
    (error,) = answer.json()["errors"]
    assert error["field"] == field
    assert words in error["message"]
    with tenant_scope(tenant.id):
        assert Message.objects.count() == 0


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        ("  Hello \r\n\r\n\r\n\r\n there  ", "Hello\n\nthere"),
        ("<p>Where is <b>my</b> order?</p><style>p{}</style><script>x()</script>", "Where is my order?"),
        ("<tr><td>Order</td><td>123</td></tr><img src=x>late<script>x()</script>again", "Order 123\nlate again"),
        ("Your page shows <title> and no price", "Your page shows <title> and no price"),
        ("the <script> tag in your mail broke it", "the <script> tag in your mail broke it"),
        ("<html><head><title>Mail</title><body>Where is it?", "Where is it?"),
        ("a < b and b > c, I <3 you", "a < b and b > c, I <3 you"),
        ("👩‍👩‍👧 🎉", "👩‍👩‍👧 🎉"),
        ("我的订单在哪里？ Where is it? أين طلبي", "我的订单在哪里？ Where is it? أين طلبي"),
        ("re\u200bfund\x07 \u202eme", "refund me"),
        ("x" * 10_000, "x" * 10_000),
        ("{{order.total}} [EMAIL_1] ${7*7}", "{{order.total}} [EMAIL_1] ${7*7}"),
    ],
)
def test_odd_texts_are_kept_as_people_read_them(api: ApiClient, raw: str, kept: str) -> None:
    conversation = opened(api)
    answer = say(api, conversation, raw)
    assert answer.status_code == 201, answer.content
    assert answer.json()["text"] == kept


@pytest.mark.parametrize(
    ("change", "cure"), [({"language": "english"}, "such as en, zh"), ({"channel": "Web Chat"}, "such as web")]
)
def test_a_conversation_that_cannot_be_opened_is_told_how(api: ApiClient, change: dict[str, Any], cure: str) -> None:
    answer = api.post("conversations", {"subject": {"user_id": "u-1"}} | change)
    assert answer.status_code == 400, answer.content
    (error,) = answer.json()["errors"]
    assert error["field"] in change
    assert cure in error["message"]


def test_conversations_are_listed_by_page_and_filter(api: ApiClient) -> None:
    first = opened(api)
    second = opened(api, subject={"anonymous_id": "a-1"}, channel="email")
    say(api, second, "Hello")
    assert [each["id"] for each in api.get("conversations").json()["results"]] == [second, first]
    for query, expected in (
        ("channel=email", [second]),
        ("waiting=true", [second]),
        ("waiting=false", [first]),
        ("user_id=u-17", [first]),
        ("anonymous_id=a-1", [second]),
        ("status=closed", []),
    ):
        assert [each["id"] for each in api.get(f"conversations?{query}").json()["results"]] == expected, query
    page = api.get("conversations?limit=1").json()
    assert [each["id"] for each in page["results"]] == [second]
    assert page["next_cursor"]


def test_agents_assign_move_and_close_and_all_of_it_is_kept(api: ApiClient, tenant: Tenant) -> None:
    conversation = opened(api)
    say(api, conversation, "Hello")
    taken = api.patch(f"conversations/{conversation}", {"version": 1, "assignee": "anna"}).json()
    assert (taken["assignee"], taken["version"]) == ("anna", 2)
    stale = api.patch(f"conversations/{conversation}", {"version": 1, "status": "closed"})
    assert stale.status_code == 409
    assert "with anna" in stale.json()["detail"]
    closed = api.patch(f"conversations/{conversation}", {"version": 2, "status": "closed", "satisfaction": 4}).json()
    assert (closed["status"], closed["satisfaction"]) == ("closed", 4)
    refused = api.patch(f"conversations/{conversation}", {"status": "waiting"})
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["field"] == "status"
    say(api, conversation, "One more thing", "m-2")
    assert api.get(f"conversations/{conversation}").json()["status"] == "open"
    events = api.get(f"conversations/{conversation}/events").json()["results"]
    assert [each["kind"] for each in events] == ["assigned", "rated", "moved", "assigned"]
    assert (events[0]["before"], events[0]["after"]) == ("anna", "")
    with tenant_scope(tenant.id):
        assert Event.objects.get(type="satisfaction").value == 4.0


def test_what_a_change_names_is_done_or_refused(api: ApiClient) -> None:
    conversation = opened(api)
    api.patch(f"conversations/{conversation}", {"assignee": "anna"})
    assert api.patch(f"conversations/{conversation}", {"version": 1, "satisfaction": 5}).status_code == 409
    noted = api.patch(f"conversations/{conversation}", {"assignee": "ben", "note": "he knows her"})
    assert noted.status_code == 400
    assert noted.json()["errors"][0]["field"] == "note"
    found = api.get(f"conversations/{conversation}").json()
    assert (found["assignee"], found["satisfaction"]) == ("anna", None)
    changes = {"version": 2, "assignee": "ben", "status": "closed", "note": "he knows her", "satisfaction": 5}
    assert api.patch(f"conversations/{conversation}", changes).status_code == 200


def test_a_hand_off_by_hand_needs_no_worker_and_keeps_why(api: ApiClient, tenant: Tenant) -> None:
    conversation = opened(api)
    moved = api.patch(f"conversations/{conversation}", {"status": "handed_off", "note": "a complaint"}).json()
    assert moved["status"] == "handed_off"
    assert moved["hand_off"]["reasons"] == [{"code": "asked", "text": "a complaint"}]
    with tenant_scope(tenant.id):
        assert ConversationEvent.objects.get().kind == "handed_off"


@pytest.mark.usefixtures("shop")
def test_a_hand_off_by_hand_says_what_is_wanted_and_joins_the_log(api: ApiClient, tenant: Tenant) -> None:
    conversation = opened(api)
    say(api, conversation, "Hello", "m-0")
    say(api, conversation, "How can I help?", "m-1", role="bot")
    say(api, conversation, "Where is my order A-1029?", "m-2")
    say(api, conversation, "asap", "m-3")
    say(api, conversation, "Wait a moment", "m-4", role="agent")
    moved = api.patch(f"conversations/{conversation}", {"status": "handed_off"}).json()
    summary = moved["hand_off"]["summary"]
    assert (summary["wants"], summary["order"]["status"]) == ("Where is my order A-1029? asap", "shipped")
    with tenant_scope(tenant.id):
        assert Event.objects.filter(type="hand_off").count() == 1


def test_another_tenant_sees_and_writes_nothing(api: ApiClient, other_api: ApiClient, other_tenant: Tenant) -> None:
    conversation = opened(api)
    assert other_api.get(f"conversations/{conversation}").status_code == 404
    assert say(other_api, conversation, "Hello").status_code == 404
    assert other_api.patch(f"conversations/{conversation}", {"status": "closed"}).status_code == 404
    assert other_api.get("conversations").json()["results"] == []
    with tenant_scope(other_tenant.id):
        assert Conversation.objects.count() == Message.objects.count() == 0


def test_a_message_takes_few_statements(api: ApiClient, django_assert_max_num_queries: Any) -> None:
    conversation = opened(api)
    say(api, conversation, "Hello")
    with django_assert_max_num_queries(16):
        assert say(api, conversation, "Hello again", "m-2").status_code == 201


def test_a_customer_who_floods_is_refused_for_a_while_and_others_are_not(
    api: ApiClient, tenant: Tenant, settings: Any
) -> None:
    settings.CUSTOMER_MESSAGES_PER_MINUTE = 3
    first, second = opened(api), opened(api)
    other = opened(api, subject={"user_id": "u-18"})
    for number in range(3):
        assert say(api, (first, second)[number % 2], "Hello?", f"m-{number}").status_code == 201

    refused = say(api, second, "Hello?", "m-9")

    assert refused.status_code == 429
    assert "3 messages a minute" in refused.json()["detail"]
    assert "later. Expected available in" in refused.json()["detail"]
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert say(api, first, "Hello?", "m-0").status_code == 200
    assert say(api, first, "We are on it.", "m-10", role="agent").status_code == 201
    assert say(api, other, "Hello?").status_code == 201
    with tenant_scope(tenant.id):
        assert not Message.objects.filter(client_id="m-9").exists()
    with connected_as("owner"), tenant_scope(tenant.id):
        Message.objects.filter(client_id="m-0").update(created_at=timezone.now() - timedelta(seconds=61))
    assert say(api, second, "Hello?", "m-9").status_code == 201


def test_the_clock_runs_while_something_waits_and_from_a_hand_off(api: ApiClient) -> None:
    conversation = opened(api)

    def moved(to: str) -> Any:
        return api.patch(f"conversations/{conversation}", {"status": to}).json()["waiting_since"]

    assert moved("handed_off") is not None
    assert moved("open") is None
    asked_at = say(api, conversation, "Hello").json()["created_at"]
    assert moved("waiting") is None
    assert moved("handed_off") == moved("open") == asked_at


def test_a_greeting_is_no_first_response(api: ApiClient) -> None:
    conversation = opened(api)
    say(api, conversation, "Hello! What can I do for you?", "m-1", role="bot")
    assert api.get(f"conversations/{conversation}").json()["first_response_at"] is None
    say(api, conversation, "Where is my order?", "m-2")
    # Its clock stands, and the customer waits all the same.
    api.patch(f"conversations/{conversation}", {"status": "waiting"})
    answer = say(api, conversation, "On its way.", "m-3", role="agent").json()
    assert api.get(f"conversations/{conversation}").json()["first_response_at"] == answer["created_at"]
