"""A reply as server-sent events. The request's transaction has ended when the stream begins, so each look at the
database opens a scope of its own, and none stays open between two looks."""

import json
import time
from collections.abc import Generator, Iterable, Iterator
from typing import Any
from uuid import UUID

from django.http import StreamingHttpResponse
from rest_framework.renderers import BaseRenderer

from apps.service.replies.grounding.wording import sentences_of
from apps.service.replies.jobs import settled_in_time
from apps.service.replies.models import Reply, ReplyStatus
from apps.service.replies.open_streams import OpenStream
from apps.service.replies.serializers import answer_of
from apps.service.replies.streaming import ENDED, follow
from tenancy.scope import tenant_scope

# Between two looks at the reply's row, which says how it ended even where the stream has lost its tail.
LOOK_SECONDS = 1.0
# A comment now and then keeps proxies from closing a stream that is silent.
KEEP_ALIVE_SECONDS = 10.0


class EventStreamRenderer(BaseRenderer):
    """Lets clients ask for a stream; whatever is answered otherwise, such as a refusal, is JSON."""

    media_type = "text/event-stream"
    format = "event-stream"
    charset = "utf-8"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return json.dumps(data, ensure_ascii=False, default=str).encode()


def event_stream(tenant_id: int, reply: Reply) -> StreamingHttpResponse:
    """The reply's events, from the first on, whether it is under way or long settled. Raises Throttled and Unavailable
    where too many are followed."""
    if reply.status == ReplyStatus.UNDER_WAY:
        return _stream(OpenStream(tenant_id, _under_way(tenant_id, reply)))
    return stream_of_answer(answer_of(reply))


def stream_of_answer(answer: dict[str, Any]) -> StreamingHttpResponse:
    """The events of a reply that is settled, from what the client hears of it."""
    return _stream(_settled(answer))


def _stream(events: Iterable[bytes]) -> StreamingHttpResponse:
    return StreamingHttpResponse(
        events,
        content_type=EventStreamRenderer.media_type,
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def server_sent(event: str, data: dict[str, Any]) -> bytes:
    return f"event: {event}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def _opening(answer: dict[str, Any]) -> Iterator[bytes]:
    yield server_sent("understood", {name: answer[name] for name in ("id", "intent", "confidence")})
    yield server_sent("evidence", {"citations": answer["citations"]})


def _settled(answer: dict[str, Any]) -> Iterator[bytes]:
    yield from _opening(answer)
    for number, sentence in enumerate(sentences_of(answer["reply"]), start=1):
        cited = [each["source"] for each in answer["citations"] if number in each["sentences"]]
        yield server_sent("text", {"text": sentence, "source": cited[0] if cited else None})
    yield _ending(answer)


def _under_way(tenant_id: int, reply: Reply) -> Generator[bytes, None, None]:
    yield from _opening(answer_of(reply))
    looked = told = time.monotonic()
    for piece in follow(tenant_id, reply.id):
        now = time.monotonic()
        has_ended = piece is not None and piece[0] == ENDED
        if piece is not None and not has_ended:
            yield server_sent(*piece)
            told = now
        elif now - told > KEEP_ALIVE_SECONDS:
            yield b": waiting\n\n"
            told = now
        if now - looked < LOOK_SECONDS and not has_ended:
            continue
        looked = now
        current = _look(tenant_id, reply.id)
        if current.status != ReplyStatus.UNDER_WAY:
            yield _ending(answer_of(current))
            return


def _ending(answer: dict[str, Any]) -> bytes:
    return server_sent("superseded" if answer["status"] == ReplyStatus.SUPERSEDED else "done", answer)


def _look(tenant_id: int, reply_id: UUID) -> Reply:
    with tenant_scope(tenant_id):
        return settled_in_time(reply_id)
