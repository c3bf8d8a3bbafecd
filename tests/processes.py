"""Real processes for tests: Celery workers and web servers, each ended by the id it was started with."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ALL_QUEUES = "train,infer,encode,slow,webhooks,default"
START_SECONDS = 240.0
STOP_SECONDS = 60.0


class Process:
    """A started process, its log and the ways to end it."""

    def __init__(self, arguments: list[str], log: Path, environment: dict[str, str] | None = None) -> None:
        self.log = log
        with log.open("ab") as output:
            self.popen = subprocess.Popen(
                arguments,
                cwd=ROOT,
                env=os.environ | (environment or {}),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for_output(self, text: str, seconds: float = START_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.output:
            if self.popen.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"'{text}' did not appear; the process wrote:\n{self.output[-4000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """kill -9 of the process and its children, as a crash would."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        self._signal(signal.SIGTERM)
        try:
            self.popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def _signal(self, number: signal.Signals) -> None:
        if self.popen.poll() is None:
            os.killpg(self.popen.pid, number)
        if number == signal.SIGKILL:
            self.popen.wait(15)


@contextmanager
def running_worker(log: Path, queues: str = ALL_QUEUES, environment: dict[str, str] | None = None) -> Iterator[Process]:
    """A real Celery worker (solo pool) on the test database."""
    process = Process(
        [
            sys.executable,
            "manage.py",
            "worker",
            "--",
            "-Q",
            queues,
            "-P",
            "solo",
            "--without-gossip",
            "--without-mingle",
        ],
        log,
        environment,
    )
    try:
        process.wait_for_output(" ready.")
        yield process
    finally:
        process.stop()


@contextmanager
def running_server(
    log: Path, kind: str = "app", environment: dict[str, str] | None = None, threads: int = 8
) -> Iterator[str]:
    """A real gunicorn on loopback; yields its base address. `kind` is app (API) or console."""
    with running_web(log, kind, environment, threads=threads) as (address, _):
        yield address


@contextmanager
def running_web(
    log: Path, kind: str = "app", environment: dict[str, str] | None = None, *, threads: int = 8, workers: int = 1
) -> Iterator[tuple[str, Process]]:
    """As `running_server`, with so many processes; also yields the one that keeps them."""
    port = free_port()
    gunicorn = [sys.executable, "-m", "gunicorn", "--config", "platform/config/web.py"]
    process = Process(
        [*gunicorn, "--bind", f"127.0.0.1:{port}", "--threads", str(threads), "--workers", str(workers)],
        log,
        {"SEQUITUR_PROCESS": kind} | (environment or {}),
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for_http(f"{address}/healthz", process)
        yield address, process
    finally:
        process.stop()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for_http(url: str, process: Process) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.popen.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).read()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"{url} did not answer; the process wrote:\n{process.output[-4000:]}")
