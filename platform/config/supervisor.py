"""Keeps the processes of the Procfile and the embedded servers running until it is told to stop.

Each process leads a session of its own, so that a Ctrl-C in the terminal reaches only the supervisor, which then ends
them in order. What it started is written to `up.json`, so that the next supervisor finds what a killed one left behind.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import psutil

from config import embedded
from config.embedded.runtime import write_private

CHECK_EVERY = 0.5  # seconds
LONGEST_BACKOFF = 30.0  # seconds between restarts of a process that keeps failing
STEADY_AFTER = 30.0  # seconds of life after which a process counts as healthy again
GRACE = 10.0  # seconds to finish work after SIGTERM; a cut training run resumes from its checkpoint


class CannotStart(RuntimeError):
    """The suite cannot be brought up; the message says why."""


class StopRequested(BaseException):
    """A signal asked to stop while an embedded server was being waited for."""


@dataclass
class Child:
    """One line of the Procfile and the process that runs it now."""

    name: str
    command: str
    process: subprocess.Popen[str] | None = None
    started: float = 0.0  # monotonic seconds
    backoff: float = 1.0  # seconds to wait before the next restart
    restart_at: float = 0.0  # monotonic seconds; in the past = start now


@dataclass
class Supervisor:
    """`run` returns when SIGINT, SIGTERM or SIGHUP arrives, with everything ended."""

    root: Path
    home: Path
    environment: Mapping[str, str]
    ready_urls: list[str]
    say: Callable[[str, str], None]
    children: list[Child] = field(default_factory=list)
    stopping: bool = False
    waiting_for_servers: bool = False

    def run(self) -> None:
        self.children = read_procfile(self.root / "Procfile")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._stop)
        try:
            self._keep_servers()
            self._migrate()
            while not self.stopping:
                try:
                    self._keep_servers()
                except (embedded.EmbeddedServerError, OSError) as error:
                    # A full disk may pass; the processes meanwhile answer as well as they can.
                    self.say("up", str(error))
                for child in self.children:
                    self._keep(child)
                self._announce()
                time.sleep(CHECK_EVERY)
        except StopRequested:
            pass
        finally:
            self._end()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True
        if self.waiting_for_servers:
            raise StopRequested

    def _keep_servers(self) -> None:
        if self.stopping:
            return
        self.waiting_for_servers = True
        try:
            embedded.ensure_running(self.home)
        finally:
            self.waiting_for_servers = False

    def _migrate(self) -> None:
        if self.stopping:
            return
        command = [sys.executable, "manage.py", "migrate", "--noinput", "--verbosity", "0"]
        if subprocess.run(command, cwd=self.root, env=self.environment).returncode and not self.stopping:
            raise CannotStart("the migrations failed; nothing was started")

    def _keep(self, child: Child) -> None:
        now = time.monotonic()
        if child.process:
            status = child.process.poll()
            if status is None:
                return
            _signal_group(child.process.pid, signal.SIGKILL)
            if now - child.started > STEADY_AFTER:
                child.backoff = 1.0
            self.say(child.name, f"ended with status {status}; starts again in {child.backoff:.0f} s")
            child.process = None
            child.restart_at = now + child.backoff
            child.backoff = min(child.backoff * 2, LONGEST_BACKOFF)
        if now >= child.restart_at and not self.stopping:
            self._start(child)

    def _start(self, child: Child) -> None:
        child.started = time.monotonic()
        child.process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {child.command}"],
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._record()
        threading.Thread(target=self._relay, args=(child.name, child.process), daemon=True).start()

    def _relay(self, name: str, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        for line in process.stdout:
            self.say(name, line.rstrip())

    def _announce(self) -> None:
        """Once, when every address answers."""
        if not self.ready_urls or not all(_answers(url) for url in self.ready_urls):
            return
        for url in self.ready_urls:
            self.say("up", f"serving {url}")
        self.ready_urls = []
        self._record()

    def _record(self) -> None:
        alive = [child.process.pid for child in self.children if child.process]
        state = {"supervisor": _identity(os.getpid()), "children": [_identity(pid) for pid in alive]}
        write_private(self.home / "up.json", json.dumps(state | {"ready": not self.ready_urls}))

    def _end(self) -> None:
        self.stopping = True
        self.say("up", "stopping")
        processes = [child.process for child in self.children if child.process]
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + GRACE
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            _signal_group(process.pid, signal.SIGKILL)
            process.wait()
        embedded.stop(self.home)
        (self.home / "up.json").unlink(missing_ok=True)
        self.say("up", "stopped")


def read_procfile(path: Path) -> list[Child]:
    lines = [line.strip() for line in path.read_text().splitlines()]
    pairs = [line.split(":", 1) for line in lines if line and not line.startswith("#")]
    return [Child(name.strip(), command.strip()) for name, command in pairs]


@contextmanager
def only_supervisor(home: Path) -> Iterator[None]:
    """Hold the home for one supervisor; its death by any means frees it. Raises CannotStart."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotStart(f"the suite is already up for {home}; end it first (make stop)") from None
        yield


def end_recorded(home: Path, *, supervisor: bool) -> list[int]:
    """End what `up.json` lists: a living supervisor (which ends its children), else the children of a killed one.

    Returns the ids of the processes that were ended.
    """
    path = home / "up.json"
    if not path.exists():
        return []
    state = json.loads(path.read_text())
    recorded = [state["supervisor"]] if supervisor and _find(state["supervisor"]) else state["children"]
    found = [process for process in map(_find, recorded) if process]
    for process in found:
        process.terminate()
    _, left = psutil.wait_procs(found, timeout=GRACE * 3 if supervisor else GRACE)
    for process in left:
        _signal_group(process.pid, signal.SIGKILL)
    psutil.wait_procs(left, timeout=GRACE)
    path.unlink(missing_ok=True)
    return [process.pid for process in found]


def _identity(pid: int) -> dict[str, float]:
    """A process id with its start time, since ids are used again."""
    try:
        return {"pid": pid, "started": psutil.Process(pid).create_time()}
    except psutil.NoSuchProcess:
        return {"pid": pid, "started": 0.0}


def _find(identity: dict[str, float]) -> psutil.Process | None:
    try:
        process = psutil.Process(int(identity["pid"]))
        return process if abs(process.create_time() - identity["started"]) < 2 else None
    except psutil.NoSuchProcess:
        return None


def _signal_group(leader: int, number: signal.Signals) -> None:
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):
        return


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except urllib.error.HTTPError as error:
        return error.code < 500
    except (urllib.error.URLError, OSError):
        return False
    return True
