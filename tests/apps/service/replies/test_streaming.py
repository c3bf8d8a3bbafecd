"""Replies as server-sent events, from the test client and through a real gunicorn."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from typing import Any
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest

from api.valkey import valkey
from apps.service.replies.streaming import follow
from tests.apps.service.conftest import Desk
from tests.apps.service.replies.stub_server import StubServer
from tests.conftest import ApiClient

pytestmark = pytest.mark.usefixtures("shop")
STREAM = {"Accept": "text/event-stream"}
QUESTION = "How many days do I have to return an item after delivery?"


def events_of(raw: bytes) -> list[tuple[str, dict[str, Any]]]:
    blocks = [block.split("\n") for block in raw.decode().split("\n\n") if block and not block.startswith(":")]
    return [(lines[0].removeprefix("event: "), json.loads(lines[1].removeprefix("data: "))) for lines in blocks]


def test_a_selected_reply_is_streamed_at_once(desk: Desk, api: ApiClient) -> None:
    desk.say("Where is my order?")
    answer = desk.reply(**STREAM)
    assert answer.headers["Content-Type"] == "text/event-stream"
    events = events_of(answer.getvalue())
    assert [name for name, _ in events] == ["understood", "evidence", "text", "text", "done"]
    done = events[-1][1]
    assert " ".join(data["text"] for name, data in events if name == "text") == done["reply"]
    assert {data["source"] for name, data in events if name == "text"} == {done["citations"][0]["source"]}
    again = events_of(api.get(f"replies/{done['id']}/stream", **STREAM).getvalue())
    assert again == events


def test_a_stream_of_what_cannot_be_answered_is_a_problem_in_json(desk: Desk) -> None:
    answer = desk.reply(**STREAM)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("the customer has not written")


def test_a_reply_to_messages_that_are_kept_elsewhere_is_streamed_too(api: ApiClient) -> None:
    asked = {"messages": [{"text": QUESTION}]}
    answer = api.post("replies", asked, **STREAM)
    events = events_of(answer.getvalue())
    assert [name for name, _ in events] == ["understood", "evidence", "text", "text", "done"]
    assert events[-1][1]["reply"] == api.post("replies", asked).json()["reply"]
    assert events[2][1]["text"] in events[-1][1]["reply"]


def test_a_stream_takes_no_idempotency_key_since_it_is_not_kept(desk: Desk) -> None:
    desk.say("Where is my order?")
    answer = desk.reply(**STREAM, **{"Idempotency-Key": "k-1"})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"
    assert desk.read()["message_count"] == 1
    assert desk.reply(**{"Idempotency-Key": "k-1"}).status_code == 201


def test_a_generated_reply_is_followed_and_unbacked_sentences_never_pass(
    desk: Desk, model: StubServer, write: Callable[[dict[str, Any]], None]
) -> None:
    model.answer = lambda body: [
        "You can return an item within 30 days of delivery [1]. ",
        "We pay you 8675309 EUR [1]. ",
        "The label costs 4.90 EUR [1]. ",
    ]
    model.seconds_between = 0.1
    desk.say(QUESTION)
    asked = desk.reply().json()
    worker = threading.Thread(target=write, args=(asked,))
    worker.start()
    raw = desk.api.get(f"replies/{asked['id']}/stream", **STREAM).getvalue()
    worker.join()

    events = events_of(raw)

    assert [name for name, _ in events] == ["understood", "evidence", "text", "text", "done"]
    assert b"8675309" not in raw
    assert events[-1][1]["backend"] == "ours"


def test_one_tenant_holds_no_more_than_its_share_of_the_threads(
    desk: Desk, open_desk: Callable[..., Desk], model: StubServer, api: ApiClient, write: Callable[..., None]
) -> None:
    desk.say(QUESTION)
    asked = desk.reply().json()
    followed = api.get(f"replies/{asked['id']}/stream", **STREAM)
    another = open_desk()
    another.say(QUESTION)

    refused = another.reply(**STREAM)

    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "2"
    write(asked)
    assert events_of(followed.getvalue())[-1][0] == "done"
    assert another.reply().status_code == 202
    with closing(api.get(f"replies/{asked['id']}/stream", **STREAM)) as settled:
        assert settled.status_code == 200


@pytest.mark.usefixtures("model")
def test_all_tenants_leave_threads_for_others(desk: Desk, api: ApiClient, settings: Any) -> None:
    settings.REPLY_STREAMS = 0
    desk.say(QUESTION)
    asked = desk.reply().json()

    refused = api.get(f"replies/{asked['id']}/stream", **STREAM)

    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")


def test_whoever_follows_without_valkey_waits_between_two_looks(settings: Any) -> None:
    settings.VALKEY_URL = "redis://127.0.0.1:1"  # where nobody listens
    valkey.cache_clear()
    try:
        started = time.monotonic()
        assert list(islice(follow(1, uuid4()), 3)) == [None] * 3
        assert time.monotonic() - started > 0.25
    finally:
        valkey.cache_clear()


@pytest.mark.slow
def test_a_stream_goes_through_gunicorn_and_a_real_worker(
    desk: Desk,
    model: StubServer,
    api: ApiClient,
    start_server: Callable[..., str],
    start_worker: Callable[..., Any],
) -> None:
    model.answer = lambda body: ["You can return an item within 30 days of delivery [1]. ", "The label is 1 EUR."]
    allowed = {"REPLY_SERVERS": model.url}
    start_worker(queues="generate", environment=allowed)
    address = start_server(environment=allowed)
    desk.say(QUESTION)
    headers = {"Authorization": f"Bearer {api.raw_key}", "Content-Type": "application/json"} | STREAM
    body = json.dumps({"conversation_id": desk.id}).encode()
    with urlopen(Request(f"{address}/api/v1/replies", body, headers), timeout=60) as answer:
        events = events_of(answer.read())
    # The connection was given back: another request on the same server works.
    request = Request(f"{address}/api/v1/conversations/{desk.id}", headers=headers | {"Accept": "application/json"})
    with urlopen(request, timeout=10) as found:
        assert json.load(found)["message_count"] == 1

    assert events[-1][0] == "done"
    assert events[-1][1]["backend"] == "ours"
    assert events[-1][1]["reply"] == "You can return an item within 30 days of delivery."
