"""A server that speaks the OpenAI chat API: vLLM, Ollama, llama.cpp, or a provider. Only servers that the operator of
the suite allows; no redirects, never for long."""

import json
import ssl
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from socket import socket
from threading import Event
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from apps.service.replies.backends.base import LONGEST_REPLY, MOST_TOKENS, CutOff, GenerationFailed, ReplyRequest

LONGEST_LINE = 65_536
CONNECT_SECONDS = 5.0
# What the usage is waited for once the reply is whole.
USAGE_SECONDS = 1.0
# No reply of ours takes more; a server that says so is not believed.
MOST_COUNTED = 1_000_000
# Answers of servers that take no field that they do not know.
UNKNOWN_FIELD = (400, 422)
DONE = "[DONE]"


def origin_of(base_url: str) -> str | None:
    """scheme://host:port of an address, in lower case; None where it is none that a server could have."""
    try:
        parts = urlsplit(base_url)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        return None
    is_plain = parts.username is None and parts.password is None and not parts.query and not parts.fragment
    if not is_plain or not parts.hostname or port is None or any(not "!" <= each <= "~" for each in base_url):
        return None
    return f"{parts.scheme}://{parts.hostname}:{port}"


def is_allowed(base_url: str) -> bool:
    """Whether the operator of the suite lets replies be written by the server at this address."""
    origin = origin_of(base_url)
    return origin is not None and origin in {origin_of(each) for each in settings.REPLY_SERVERS}


class OpenAICompatibleBackend:
    is_outside = True

    def __init__(self, *, name: str, base_url: str, model: str, key: str | None, timeout_seconds: float) -> None:
        self.name = name
        self.base_url = base_url
        self.model = model
        self.key = key
        self.timeout_seconds = timeout_seconds
        self.tokens_used: int | None = None

    def generate(self, request: ReplyRequest, cancel: Event) -> Iterator[str]:
        if not is_allowed(self.base_url):
            raise GenerationFailed("server_not_allowed")
        deadline = time.monotonic() + self.timeout_seconds
        self.tokens_used = None
        connection = self._connection()
        try:
            answer, wire = self._ask(connection, request, deadline, {"stream_options": {"include_usage": True}})
            if answer.status in UNKNOWN_FIELD:
                connection.close()
                answer, wire = self._ask(connection, request, deadline, {})
            # A redirect is an answer like any other that is not the one asked for.
            if answer.status != 200:
                raise GenerationFailed(f"http_{answer.status}")
            finish = yield from self._pieces(answer, deadline, cancel)
            if finish is not None:
                self._wait_for_usage(answer, wire, cancel)
            if finish != "stop" and not cancel.is_set():
                raise CutOff(finish or "no_finish_reason")
        except (OSError, HTTPException, ValueError, ssl.SSLError) as error:
            raise GenerationFailed(f"no_answer ({type(error).__name__})") from error
        finally:
            connection.close()

    def _connection(self) -> HTTPConnection:
        parts = urlsplit(self.base_url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        return kind(str(parts.hostname), parts.port, timeout=min(CONNECT_SECONDS, self.timeout_seconds))

    def _ask(
        self, connection: HTTPConnection, request: ReplyRequest, deadline: float, options: Mapping[str, Any]
    ) -> tuple[HTTPResponse, socket]:
        body = {
            "model": self.model,
            "messages": request.messages(),
            "stream": True,
            "temperature": 0,
            "max_tokens": MOST_TOKENS,
            **options,
        }
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        connection.connect()
        connection.sock.settimeout(max(0.1, deadline - time.monotonic()))
        connection.request(
            "POST", f"{urlsplit(self.base_url).path.rstrip('/')}/chat/completions", json.dumps(body), headers
        )
        wire = connection.sock
        return connection.getresponse(), wire

    def _pieces(self, answer: HTTPResponse, deadline: float, cancel: Event) -> Generator[str, None, str | None]:
        """Pieces of the reply; returns why the model has ended it, None where it has not said."""
        said = 0
        for data in _data_lines(answer, deadline, cancel):
            chunk = _read_chunk(data)
            self.tokens_used = chunk.tokens or self.tokens_used
            said += len(chunk.text)
            if chunk.text:
                yield chunk.text
            if said > LONGEST_REPLY:
                raise CutOff("too_long")
            if chunk.finish is not None:
                return chunk.finish
        return None

    def _wait_for_usage(self, answer: HTTPResponse, wire: socket, cancel: Event) -> None:
        """The count comes in a chunk of its own behind the last one; a reply is whole without it."""
        try:
            wire.settimeout(USAGE_SECONDS)
            for data in _data_lines(answer, time.monotonic() + USAGE_SECONDS, cancel):
                self.tokens_used = _read_chunk(data).tokens or self.tokens_used
                if self.tokens_used is not None:
                    return
        except (CutOff, OSError, HTTPException, ValueError):
            return


@dataclass(frozen=True)
class _Chunk:
    text: str
    finish: str | None
    tokens: int | None


def _data_lines(answer: HTTPResponse, deadline: float, cancel: Event) -> Iterator[str]:
    """What each event says, until the stream is done or cancelled. Raises CutOff where it lasts beyond the deadline."""
    while not cancel.is_set():
        if time.monotonic() > deadline:
            raise CutOff("timeout")
        line = answer.readline(LONGEST_LINE).decode("utf-8", "replace").strip()
        if not line and answer.isclosed():
            return
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == DONE:
            return
        yield data


def _read_chunk(data: str) -> _Chunk:
    """Raises ValueError for one of another shape."""
    chunk = json.loads(data)
    try:
        choice = chunk["choices"][0] if chunk["choices"] else {}
        text = (choice.get("delta") or {}).get("content") or ""
        finish = choice.get("finish_reason")
        tokens = (chunk.get("usage") or {}).get("total_tokens")
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError("not a chunk of a chat") from error
    if not isinstance(text, str) or not isinstance(finish, str | None):
        raise ValueError("not a chunk of a chat")
    return _Chunk(text, finish, tokens if type(tokens) is int and 0 < tokens <= MOST_COUNTED else None)
