"""Clients over HTTP: latencies of one question after the other, and a long mixture of questions."""

import itertools
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psutil

from tests.benchmarks.cpu import CpuWatch

WARM_SECONDS = 2.0
# A process's memory is looked at so often while a mixture runs.
MEMORY_SECONDS = 5.0
# Caches fill in the first part of a mixture; memory is compared from then on.
SETTLED = 0.2


@dataclass(frozen=True)
class Question:
    """`body(number)` is the request, None for a GET; `check(answer)` says what is wrong with its answer, None where
    nothing is."""

    name: str
    path: str
    body: Callable[[int], dict[str, Any] | None]
    check: Callable[[dict[str, Any]], str | None] = lambda answer: None


def answered_by(version: str) -> Callable[[dict[str, Any]], str | None]:
    """The check that this model version itself has answered."""
    return lambda answer: None if answer["model_version"] == version and not answer["degraded"] else "degraded"


class Connection:
    """A client that keeps its connection open, as a shop's server does.

    It reads no more of HTTP than our own server writes: a general client would take a third of the machine that it
    shares with what it measures.
    """

    def __init__(self, address: str, key: str) -> None:
        self.place = place = urlsplit(address)
        self.headers = (
            f"Host: {place.netloc}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: "
        )
        self._connect()

    def _connect(self) -> None:
        self.socket = socket.create_connection((self.place.hostname, self.place.port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unread = b""

    def post(self, path: str, body: Any) -> Any:
        """The answer to a request; raises AssertionError for one that is no success."""
        return json.loads(self._ask("POST", path, json.dumps(body).encode()))

    def get(self, path: str) -> Any:
        """As `post`."""
        return json.loads(self._ask("GET", path, b""))

    def _ask(self, method: str, path: str, body: bytes) -> bytes:
        self.socket.sendall(f"{method} /api/v1/{path} HTTP/1.1\r\n{self.headers}{len(body)}\r\n\r\n".encode() + body)
        answered = self._read_to(b"\r\n\r\n").decode("latin-1")
        length = re.search(r"\r\ncontent-length: *(\d+)", answered, re.IGNORECASE)
        if length is None:
            raise OSError(f"an answer without its length: {answered[:200]}")
        content = self._read(int(length[1]))
        if "\r\nconnection: close" in answered.lower():
            self.socket.close()
            self._connect()
        if not 200 <= int(answered[9:12]) < 300:
            raise AssertionError(f"{path} answered {answered[9:12]}: {content[:500]!r}")
        return content

    def _read_to(self, end: bytes) -> bytes:
        while end not in self.unread:
            self._receive()
        found, _, self.unread = self.unread.partition(end)
        return found

    def _read(self, length: int) -> bytes:
        while len(self.unread) < length:
            self._receive()
        found, self.unread = self.unread[:length], self.unread[length:]
        return found

    def _receive(self) -> None:
        received = self.socket.recv(65_536)
        if not received:
            raise OSError("the server closed the connection")
        self.unread += received


@dataclass
class Measured:
    """Milliseconds by name of the question, and what was wrong with answers."""

    latencies: dict[str, list[float]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def ask_all(
    address: str,
    key: str,
    questions: Sequence[Question],
    clients: int,
    seconds: float,
    watch: CpuWatch | None = None,
) -> Measured:
    """So many clients ask the questions in turn, each waiting for its answer before it asks the next. `watch` sees the
    time that is measured."""
    measured = Measured({question.name: [] for question in questions})
    warm_until = time.perf_counter() + WARM_SECONDS
    ends = warm_until + seconds

    def run(client: int) -> None:
        connection = Connection(address, key)
        for turn in itertools.count(client * 37):
            question = questions[turn % len(questions)]
            started = time.perf_counter()
            if started > ends:
                return
            try:
                body = question.body(turn)
                answer = connection.get(question.path) if body is None else connection.post(question.path, body)
                problem = question.check(answer)
            except (AssertionError, OSError) as error:
                problem = str(error) or type(error).__name__
                connection = Connection(address, key)
            if started >= warm_until:
                measured.latencies[question.name].append(1000 * (time.perf_counter() - started))
                if problem:
                    measured.problems.append(problem)

    threads = [threading.Thread(target=run, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    if watch is not None:
        time.sleep(max(0.0, warm_until - time.perf_counter()))
        watch.start()
        time.sleep(max(0.0, ends - time.perf_counter()))
        watch.stop()
    for thread in threads:
        thread.join()
    return measured


def latencies(
    address: str, key: str, question: Question, clients: int, seconds: float, watch: CpuWatch | None = None
) -> list[float]:
    """Milliseconds of one kind of question; each answer must pass its check."""
    measured = ask_all(address, key, [question], clients, seconds, watch)
    found = measured.latencies[question.name]
    if not found:
        raise AssertionError("no request was answered")
    print(
        f"{question.name}, {clients} clients: {len(found)} answers, "
        f"p50 {percentile(found, 50):.1f} ms, p99 {percentile(found, 99):.1f} ms",
        flush=True,
    )
    if len(measured.problems) > 0.01 * len(found):
        raise AssertionError(f"{len(measured.problems)} of {len(found)}: {sorted(set(measured.problems))[:3]}")
    return found


def percentile(milliseconds: Sequence[float], rank: float) -> float:
    return float(np.percentile(milliseconds, rank))


class MemoryWatch:
    """Megabytes that a process and its children hold, looked at while the body runs; `growth` is from when it has
    settled to the end, as a share."""

    def __init__(self, process_id: int) -> None:
        self.process = psutil.Process(process_id)
        self.megabytes: list[float] = []
        self._stop = threading.Event()

    def __enter__(self) -> "MemoryWatch":
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def growth(self) -> float:
        settled = self.megabytes[int(SETTLED * len(self.megabytes))]
        return self.megabytes[-1] / settled - 1.0

    def _watch(self) -> None:
        while True:
            family = [self.process, *self.process.children(recursive=True)]
            self.megabytes.append(sum(one.memory_info().rss for one in family if one.is_running()) / 2**20)
            if self._stop.wait(MEMORY_SECONDS):
                return
