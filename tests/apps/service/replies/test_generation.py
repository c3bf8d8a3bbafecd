"""Replies that a language model writes: checked sentence by sentence, in order of the backends, never for long."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apps.service.knowledge.services import set_status
from apps.service.replies.backends.base import reckoned_tokens
from apps.service.replies.models import Reply, ReplyBackend
from decisions.models import Decision
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.service.conftest import Desk
from tests.apps.service.replies.stub_server import StubServer
from tests.conftest import ApiClient
from tests.ml.test_generation import make_model

pytestmark = pytest.mark.usefixtures("shop")
QUESTION = "How many days do I have to return an item after delivery?"
Write = Callable[[dict[str, Any]], None]


def read(api: ApiClient, reply: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = api.get(f"replies/{reply['id']}").json()
    return found


def test_a_model_writes_where_no_macro_fits_and_only_what_is_backed_stays(
    desk: Desk, model: StubServer, write: Write, api: ApiClient, tenant: Tenant
) -> None:
    model.answer = lambda body: [
        "You can return an item with",
        "in thirty days of delivery. [1] The label costs ",
        "9.90 EUR. [1] It is free on Mondays. The label costs 4.90 EUR [1].",
    ]
    desk.say(QUESTION)
    asked = desk.reply()
    assert asked.status_code == 202
    assert asked.json()["status"] == "under_way"
    write(asked.json())

    reply = read(api, asked.json())

    assert reply["reply"] == "You can return an item within thirty days of delivery. The label costs 4.90 EUR."
    assert (reply["backend"], reply["status"], reply["action"]) == ("ours", "waiting", "draft")
    assert "unsupported" in {reason["code"] for reason in reply["reasons"]}
    assert reply["citations"][0]["sentences"] == [1, 2]
    with tenant_scope(tenant.id):
        notes = Decision.objects.get(decision_id=reply["decision_id"]).request
    assert notes["prompt_version"] == "2"
    assert notes["dropped"] == ["9.9 EUR", "no_source"]


@pytest.mark.parametrize(
    ("server", "tokens"),
    [
        ({"usage": {"prompt_tokens": 700, "completion_tokens": 34, "total_tokens": 734}}, 734),
        ({"usage": None}, None),
        ({"usage": {"total_tokens": -3}}, None),
        ({"usage": {"total_tokens": 10**12}}, None),
        ({"usage": {"total_tokens": "many"}}, None),
        ({"usage": {"total_tokens": 734}, "knows_usage": False}, 734),
        ({"usage": {"total_tokens": 734}, "hangs": 3.0}, None),
    ],
)
def test_tokens_are_those_that_the_server_has_counted_where_it_says_so(
    desk: Desk,
    model: StubServer,
    write: Write,
    api: ApiClient,
    tenant: Tenant,
    server: dict[str, Any],
    tokens: int | None,
) -> None:
    model.answer = lambda body: ["You can return an item within thirty days of delivery. [1]"]
    for name, value in server.items():
        setattr(model, name, value)
    desk.say(QUESTION)
    asked = desk.reply().json()
    write(asked)

    reply = read(api, asked)

    assert (reply["backend"], reply["status"]) == ("ours", "waiting")
    told = model.asked[-1][1]
    reckoned = sum(reckoned_tokens(message["content"]) for message in told["messages"])
    with tenant_scope(tenant.id):
        stored = Reply.objects.get(id=reply["id"]).tokens
        notes = Decision.objects.get(decision_id=reply["decision_id"]).request
    assert notes["tokens_counted"] == (tokens is not None)
    assert stored == tokens if tokens else stored > reckoned
    assert ("stream_options" in told) == model.knows_usage


def test_a_macro_that_fits_needs_no_model(desk: Desk, model: StubServer) -> None:
    assert desk.ask("Where is my order?")["backend"] == "selection"
    assert model.asked == []


def test_the_server_hears_masked_texts_and_its_own_key(
    desk: Desk, model: StubServer, write: Write, api: ApiClient
) -> None:
    model.answer = lambda body: ["Dear [NAME_1], you can return an item within 30 days of delivery [1]."]
    desk.say("My name is Anna Schmidt, anna@mail.example, +49 30 901820. How many days to return an item?")
    asked = desk.reply().json()
    write(asked)

    headers, body = model.asked[0]
    assert headers["Authorization"] == "Bearer k-1"
    assert model.paths == ["/v1/chat/completions"]
    told = json.dumps(body, ensure_ascii=False)
    assert "[NAME_1], [EMAIL_1], [PHONE_1]" in told
    for secret in ("Anna", "Schmidt", "anna@mail.example", "901820"):
        assert secret not in told
    assert (body["stream"], body["model"], "tools" in body) == (True, "m", False)


def test_the_server_hears_nothing_personal_of_an_order(
    desk: Desk, model: StubServer, write: Write, send_event: Callable[..., None]
) -> None:
    send_event(
        "order_shipped",
        order_id="A-1029",
        first_name="Maria",
        last_name="Lopez",
        status="packed",
        shipping_address="Calle Mayor 5, Madrid",
        phone="5551234567",
    )
    model.answer = lambda body: ["Hello [NAME_1], you can return an item within 30 days of delivery [1]."]
    desk.say(f"maria here, of calle mayor 5, madrid. {QUESTION}")
    asked = desk.reply().json()
    write(asked)

    told = json.dumps(model.data()).lower()

    assert "packed" in told
    for secret in ("maria", "lopez", "calle mayor", "5551234567", "anna schmidt"):
        assert secret not in told


@pytest.mark.parametrize(
    "break_it",
    [
        {"status": 500},
        {"status": 302, "location": "http://127.0.0.1:1/elsewhere"},
        {"lines": ["data: {broken"]},
        {"lines": ['data: {"choices": 7}']},
        {"lines": ["data: [DONE]"]},
        {"lines": []},
        {"lines": ["data: " + "x" * 100_000]},
        {"finish": "length"},
        {"finish": "content_filter"},
        {"finish": None},
        {"finish": "tool_calls"},
    ],
)
def test_a_server_that_fails_leaves_the_sentences_of_the_articles(
    desk: Desk, model: StubServer, write: Write, api: ApiClient, break_it: dict[str, Any]
) -> None:
    model.answer = lambda body: ["You can return an item within 30"]
    for name, value in break_it.items():
        setattr(model, name, value)
    desk.say(QUESTION)
    asked = desk.reply().json()
    write(asked)

    reply = read(api, asked)

    assert (reply["backend"], reply["degraded"], reply["status"]) == ("extractive", "generation_failed", "waiting")
    assert "within 30 days of delivery" in reply["reply"]
    assert len(model.paths) == 1


def test_whole_sentences_before_a_cut_are_kept_as_a_draft(
    desk: Desk, model: StubServer, write: Write, api: ApiClient, sending: None
) -> None:
    model.answer = lambda body: ["You can return an item within 30 days of delivery [1]. The label costs 4"]
    model.finish = "length"
    desk.say(QUESTION)
    asked = desk.reply().json()
    write(asked)

    reply = read(api, asked)

    assert reply["reply"] == "You can return an item within 30 days of delivery."
    assert reply["action"] == "draft"
    assert "cut_off" in {reason["code"] for reason in reply["reasons"]}


def test_a_slow_server_is_left_after_its_time(desk: Desk, stub: StubServer, write: Write, api: ApiClient) -> None:
    backend = {"name": "slow", "kind": "openai_compatible", "base_url": stub.url, "model": "m", "timeout_seconds": 1}
    assert api.put("service/backends", {"backends": [backend]}).status_code == 200
    stub.answer = lambda body: ["x "] * 100
    stub.seconds_between = 0.3
    desk.say(QUESTION)
    asked = desk.reply().json()
    started = time.monotonic()
    write(asked)

    assert time.monotonic() - started < 4
    assert read(api, asked)["degraded"] == "generation_failed"


def test_backends_are_asked_in_their_order(desk: Desk, stub: StubServer, write: Write, api: ApiClient) -> None:
    first = {"name": "broken", "kind": "openai_compatible", "base_url": f"{stub.url}/a", "model": "broken"}
    second = {"name": "works", "kind": "openai_compatible", "base_url": f"{stub.url}/b", "model": "works"}
    api.put("service/backends", {"backends": [first, second, {"name": "extractive", "kind": "extractive"}]})
    good = "You can return an item within 30 days of delivery [1]."
    stub.answer = lambda body: [good] if body["model"] == "works" else ["Bananas are curved."]
    desk.say(QUESTION)
    asked = desk.reply().json()
    write(asked)

    assert read(api, asked)["backend"] == "works"
    assert stub.paths == ["/a/chat/completions", "/b/chat/completions"]


def test_a_newer_message_supersedes_what_is_being_written(
    desk: Desk, model: StubServer, write: Write, api: ApiClient, tenant: Tenant
) -> None:
    model.seconds_between = 0.4
    model.answer = lambda body: ["You can return an item ", "within 30 days of delivery [1]."]
    desk.say(QUESTION)
    asked = desk.reply().json()
    worker = threading.Thread(target=write, args=(asked,))
    worker.start()
    while not model.asked:
        time.sleep(0.01)
    desk.say("Where is my order?")
    worker.join()

    assert read(api, asked)["status"] == "superseded"
    write(desk.reply().json())
    assert [turn["text"] for turn in model.data()["conversation"]] == [QUESTION, "Where is my order?"]
    with tenant_scope(tenant.id):
        assert Decision.objects.count() == 1
        assert Reply.objects.get(id=asked["id"]).tokens > 0


@pytest.mark.usefixtures("sending")
@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, "sent"),
        ({"assignee": "ann"}, "waiting"),
        ({"status": "handed_off"}, "waiting"),
        ({"status": "closed"}, "superseded"),
    ],
)
def test_what_is_written_while_an_agent_takes_over_is_not_sent(
    desk: Desk, model: StubServer, write: Write, api: ApiClient, change: dict[str, str], status: str
) -> None:
    model.answer = lambda body: ["You can return an item within 30 days of delivery [1]."]
    desk.say(QUESTION)
    asked = desk.reply().json()
    if change:
        assert api.patch(f"conversations/{desk.id}", change).status_code == 200

    write(asked)

    assert read(api, asked)["status"] == status
    assert [each["role"] for each in desk.read()["messages"]].count("bot") == (status == "sent")


@pytest.mark.usefixtures("sending")
def test_what_rests_on_an_article_that_is_retired_meanwhile_is_not_sent(
    desk: Desk, model: StubServer, write: Write, api: ApiClient, shop: dict[str, Any], tenant: Tenant
) -> None:
    def retire(body: dict[str, Any]) -> list[str]:
        with tenant_scope(tenant.id):
            set_status(source_id=shop["returns"].id, kind="article", status="retired", actor="somebody")
        return ["You can return an item within 30 days of delivery [1]."]

    model.answer = retire
    desk.say(QUESTION)
    asked = desk.reply().json()
    write(asked)

    reply = read(api, asked)

    assert reply["status"] == "waiting"
    assert "source_withdrawn" in {reason["code"] for reason in reply["reasons"]}


def test_with_every_worker_dead_a_late_reply_is_answered_without_a_model(
    desk: Desk, model: StubServer, api: ApiClient, settings: Any, write: Write
) -> None:
    desk.say(QUESTION)
    asked = desk.reply()
    assert asked.status_code == 202
    assert read(api, asked.json())["status"] == "under_way"
    settings.GENERATION_DEADLINE = 0

    reply = read(api, asked.json())

    assert (reply["status"], reply["degraded"]) == ("waiting", "generation_late")
    assert "within 30 days of delivery" in reply["reply"]
    write(asked.json())
    assert read(api, asked.json()) == reply
    assert model.asked == []


def test_with_every_worker_dead_a_conversation_takes_messages_and_hands_off(
    desk: Desk, model: StubServer, api: ApiClient
) -> None:
    reply = desk.ask("This is about my return. I want to talk to a human")

    assert reply["action"] == "hand_off"
    assert desk.read()["status"] == "handed_off"
    assert model.asked == []


def test_a_tenant_cannot_have_the_suite_call_where_it_must_not(
    api: ApiClient, stub: StubServer, tenant: Tenant
) -> None:
    port = stub.url.rpartition(":")[2]
    for address in (
        "http://169.254.169.254/latest",
        "http://localhost:5432",
        f"http://127.0.0.1:{int(port) + 1}/v1",
        f"https://127.0.0.1:{port}/v1",
        f"http://user@127.0.0.1:{port}/v1",
        f"http://127.0.0.1:{port}@evil.example/v1",
        f"http://127.0.0.1:{port}.evil.example/v1",
        "file:///etc/passwd",
        "//evil.example",
        "http://[::1",
        f"http://127.0.0.1:{port}/v1?x=http://evil.example",
        f"http://127.0.0.1:{port}/v1\r\nHost: evil.example",
    ):
        backend = {"name": "x", "kind": "openai_compatible", "base_url": address, "model": "m"}
        refused = api.put("service/backends", {"backends": [backend]})
        assert refused.status_code == 400, address
        assert "REPLY_SERVERS" in refused.json()["detail"], refused.content
    local = {"name": "x", "kind": "transformers", "model": "/etc"}
    assert api.put("service/backends", {"backends": [local]}).status_code == 400
    with tenant_scope(tenant.id):
        assert ReplyBackend.objects.count() == 0


def test_a_key_is_sealed_never_told_and_stays_only_with_its_server(
    api: ApiClient, model: StubServer, stub: StubServer, tenant: Tenant, settings: Any
) -> None:
    assert "k-1" not in api.get("service/backends").content.decode()
    with tenant_scope(tenant.id):
        assert b"k-1" not in bytes(ReplyBackend.objects.get().sealed_key or b"")
    same = {"name": "ours", "kind": "openai_compatible", "base_url": f"{stub.url}/v1", "model": "other"}
    assert api.put("service/backends", {"backends": [same]}).json()["backends"][0]["has_key"] is True
    settings.REPLY_SERVERS = [*settings.REPLY_SERVERS, "http://127.0.0.1:9"]
    moved = same | {"base_url": "http://127.0.0.1:9/v1"}
    assert api.put("service/backends", {"backends": [moved]}).json()["backends"][0]["has_key"] is False


def test_a_server_that_is_no_longer_allowed_is_not_called(
    desk: Desk, model: StubServer, write: Write, api: ApiClient, settings: Any
) -> None:
    settings.REPLY_SERVERS = []
    desk.say(QUESTION)
    asked = desk.reply().json()
    write(asked)
    assert read(api, asked)["degraded"] == "generation_failed"
    assert model.asked == []


def test_one_reply_is_written_once_by_two_workers(desk: Desk, model: StubServer, write: Write, tenant: Tenant) -> None:
    model.answer = lambda body: ["You can return an item within 30 days of delivery [1]."]
    desk.say(QUESTION)
    asked = desk.reply().json()
    write(asked)
    write(asked)
    with tenant_scope(tenant.id):
        assert Reply.objects.count() == Decision.objects.count() == 1
    assert len(model.asked) == 1


def test_a_local_model_writes_and_what_it_babbles_is_dropped(
    desk: Desk, write: Write, api: ApiClient, settings: Any, tmp_path: Path
) -> None:
    settings.REPLY_MODELS = {"tiny": str(make_model(tmp_path, window=8_192))}
    backend = {"name": "local", "kind": "transformers", "model": "tiny", "timeout_seconds": 30}
    assert api.put("service/backends", {"backends": [backend]}).status_code == 200
    desk.say(QUESTION)
    asked = desk.reply().json()
    write(asked)

    reply = read(api, asked)

    assert (reply["backend"], reply["degraded"]) == ("extractive", "generation_failed")
    assert "within 30 days of delivery" in reply["reply"]
