"""A server that speaks the OpenAI chat API: vLLM, Ollama, llama.cpp, or a provider. Only servers that the operator of
the suite allows; no redirects, never for long."""

import json
import ssl
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from threading import Event
from urllib.parse import urlsplit

from django.conf import settings

from apps.service.replies.backends.base import LONGEST_REPLY, MOST_TOKENS, CutOff, GenerationFailed, ReplyRequest

LONGEST_LINE = 65_536
CONNECT_SECONDS = 5.0
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

    def generate(self, request: ReplyRequest, cancel: Event) -> Iterator[str]:
        if not is_allowed(self.base_url):
            raise GenerationFailed("server_not_allowed")
        deadline = time.monotonic() + self.timeout_seconds
        connection = self._connection()
        try:
            yield from self._pieces(self._ask(connection, request, deadline), deadline, cancel)
        except (OSError, HTTPException, ValueError, ssl.SSLError) as error:
            raise GenerationFailed(f"no_answer ({type(error).__name__})") from error
        finally:
            connection.close()

    def _connection(self) -> HTTPConnection:
        parts = urlsplit(self.base_url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        return kind(str(parts.hostname), parts.port, timeout=min(CONNECT_SECONDS, self.timeout_seconds))

    def _ask(self, connection: HTTPConnection, request: ReplyRequest, deadline: float) -> HTTPResponse:
        body = {
            "model": self.model,
            "messages": request.messages(),
            "stream": True,
            "temperature": 0,
            "max_tokens": MOST_TOKENS,
        }
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        connection.connect()
        connection.sock.settimeout(max(0.1, deadline - time.monotonic()))
        connection.request(
            "POST", f"{urlsplit(self.base_url).path.rstrip('/')}/chat/completions", json.dumps(body), headers
        )
        answer = connection.getresponse()
        # A redirect is an answer like any other that is not the one asked for.
        if answer.status != 200:
            raise GenerationFailed(f"http_{answer.status}")
        return answer

    def _pieces(self, answer: HTTPResponse, deadline: float, cancel: Event) -> Iterator[str]:
        said = 0
        finish = None
        while not cancel.is_set():
            if time.monotonic() > deadline:
                raise CutOff("timeout")
            line = answer.readline(LONGEST_LINE).decode("utf-8", "replace").strip()
            if not line and answer.isclosed():
                break
            if not line.startswith("data:"):
                continue
            data = line.removeprefix("data:").strip()
            if data == DONE:
                break
            text, finish = _read_piece(data)
            said += len(text)
            if text:
                yield text
            if said > LONGEST_REPLY:
                raise CutOff("too_long")
            if finish is not None:
                break
        if finish != "stop" and not cancel.is_set():
            raise CutOff(finish or "no_finish_reason")


def _read_piece(data: str) -> tuple[str, str | None]:
    """(text, finish_reason) of one chunk. Raises ValueError for one of another shape."""
    chunk = json.loads(data)
    try:
        choice = chunk["choices"][0] if chunk["choices"] else {}
        text = (choice.get("delta") or {}).get("content") or ""
        finish = choice.get("finish_reason")
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError("not a chunk of a chat") from error
    if not isinstance(text, str) or not isinstance(finish, str | None):
        raise ValueError("not a chunk of a chat")
    return text, finish
