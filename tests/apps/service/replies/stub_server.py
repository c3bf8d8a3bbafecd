"""A server that speaks the OpenAI chat API over real HTTP, and says what a test wants it to say."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class StubServer:
    """`answer` makes the pieces of a reply from the request's body; `asked` keeps what came, with its headers. `usage`
    follows the last piece after `hangs` seconds; a server that does not know it refuses to be asked for it."""

    def __init__(self) -> None:
        self.answer: Callable[[dict[str, Any]], Sequence[str]] = lambda body: ["Nothing."]
        self.finish: str | None = "stop"
        self.status = 200
        self.location = ""
        self.seconds_between = 0.0
        self.lines: list[str] | None = None
        self.usage: dict[str, Any] | None = None
        self.knows_usage = True
        self.hangs = 0.0
        self.asked: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.paths: list[str] = []
        self.url = ""

    def data(self, at: int = -1) -> dict[str, Any]:
        """What the model was told beside its rules."""
        told: dict[str, Any] = json.loads(self.asked[at][1]["messages"][-1]["content"])
        return told

    def stream(self, body: dict[str, Any]) -> Iterator[str]:
        if self.lines is not None:
            yield from self.lines
            return
        for piece in self.answer(body):
            yield f"data: {json.dumps({'choices': [{'delta': {'content': piece}, 'finish_reason': None}]})}"
        if self.finish is not None:
            yield f"data: {json.dumps({'choices': [{'delta': {}, 'finish_reason': self.finish}]})}"
            time.sleep(self.hangs)
            if self.usage is not None:
                yield f"data: {json.dumps({'choices': [], 'usage': self.usage})}"
            yield "data: [DONE]"


@contextmanager
def running_stub() -> Iterator[StubServer]:
    stub = StubServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            stub.asked.append((dict(self.headers), body))
            stub.paths.append(self.path)
            if not stub.knows_usage and "stream_options" in body:
                self.send_response(400)
                self.end_headers()
                return
            self.send_response(stub.status)
            if stub.location:
                self.send_header("Location", stub.location)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            if stub.status != 200:
                return
            try:
                for line in stub.stream(body):
                    self.wfile.write(f"{line}\n\n".encode())
                    self.wfile.flush()
                    time.sleep(stub.seconds_between)
            except OSError:
                return

        def do_GET(self) -> None:
            stub.paths.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
