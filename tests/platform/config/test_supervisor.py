"""`up` keeps its processes running, ends them in order, and clears up after one that was killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from config import embedded
from config.management.commands.up import Prefixed, process_environment
from config.supervisor import CannotStart, Supervisor, end_recorded, only_supervisor, read_procfile
from tests.homes import kill_postmaster
from tests.processes import free_port
from tests.waiting import until

PLATFORM = Path(__file__).resolve().parents[3] / "platform"
PROCFILE = """\
# A web server and a process that fails at once.
web: env python -m http.server --bind ${BIND} $PORT
broken: env python -c 'raise SystemExit(3)'
"""


def supervise(root: Path, home: Path, port: int) -> None:
    """What the `up` command does, for a suite of two small processes."""
    with only_supervisor(home):
        end_recorded(home, supervisor=False)
        url = f"http://127.0.0.1:{port}/"
        environment = process_environment("127.0.0.1", port, port)
        Supervisor(root=root, home=home, environment=environment, ready_urls=[url], say=Prefixed()).run()


class Suite:
    """A supervisor in a process of its own."""

    def __init__(self, root: Path, home: Path) -> None:
        self.root = root
        self.home = home
        self.port = free_port()
        self.log = root / "log"
        self.start()

    def start(self) -> None:
        arguments = [str(self.root), str(self.home), str(self.port)]
        with self.log.open("a") as output:
            self.popen = subprocess.Popen(
                [sys.executable, __file__, *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={name: value for name, value in os.environ.items() if name not in embedded.NAMES}
                | {"PYTHONPATH": f"{PLATFORM}:{PLATFORM.parent}"},
            )

    def state(self) -> dict[str, Any]:
        try:
            return dict(json.loads((self.home / "up.json").read_text()))
        except FileNotFoundError:
            return {}

    def is_ready(self) -> bool:
        assert self.popen.poll() is None, self.log.read_text()
        return bool(self.state().get("ready")) and self.state()["supervisor"]["pid"] == self.popen.pid

    def web(self) -> psutil.Process | None:
        for process in psutil.process_iter(["cmdline"]):
            if {"http.server", str(self.port)} <= set(process.info["cmdline"] or []):
                return process
        return None


@pytest.fixture
def suite(tmp_path: Path, fresh_home: Path) -> Iterator[Suite]:
    (tmp_path / "Procfile").write_text(PROCFILE)
    (tmp_path / "manage.py").write_text("print('migrated')\n")
    suite = Suite(tmp_path, fresh_home)
    yield suite
    if suite.popen.poll() is None:
        suite.popen.send_signal(signal.SIGTERM)
        suite.popen.wait(60)


def test_processes_and_servers_come_back_and_a_signal_ends_all(suite: Suite) -> None:
    until(suite.is_ready)
    first = suite.web()
    assert first

    first.kill()
    until(lambda: (web := suite.web()) and web.pid != first.pid)
    kill_postmaster(suite.home)
    until(lambda: (suite.home / "servers/postgres/server.log").read_text().count("starting PostgreSQL") == 2)
    until(lambda: suite.log.read_text().count("broken  | ended with status 3") >= 2)

    suite.popen.send_signal(signal.SIGINT)
    assert suite.popen.wait(60) == 0

    assert suite.web() is None
    assert not (suite.home / "servers/postgres/data/postmaster.pid").exists()
    assert suite.state() == {}
    assert "up      | stopped" in suite.log.read_text()


def test_the_next_supervisor_ends_what_a_killed_one_left(suite: Suite) -> None:
    until(suite.is_ready)
    orphan = suite.web()
    assert orphan

    suite.popen.kill()
    suite.popen.wait()
    assert orphan.is_running()
    suite.start()
    until(suite.is_ready)

    assert not orphan.is_running()
    assert suite.web()


def test_stop_ends_a_running_supervisor(suite: Suite) -> None:
    until(suite.is_ready)

    assert end_recorded(suite.home, supervisor=True) == [suite.popen.pid]

    assert suite.popen.wait(60) == 0
    assert suite.web() is None


def test_one_supervisor_for_a_home(tmp_path: Path) -> None:
    with only_supervisor(tmp_path), pytest.raises(CannotStart, match="already up"), only_supervisor(tmp_path):
        pass


def test_a_recorded_id_that_now_belongs_to_another_process_is_left_alone(tmp_path: Path) -> None:
    other = subprocess.Popen(["sleep", "60"])
    try:
        stale = {"pid": other.pid, "started": time.time() - 3600}
        (tmp_path / "up.json").write_text(json.dumps({"supervisor": stale, "children": [stale], "ready": True}))

        assert end_recorded(tmp_path, supervisor=True) == []
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def queues_of(commands: list[str]) -> list[str]:
    workers = [command.split(" -Q ")[1].split()[0] for command in commands if " -Q " in command]
    return sorted(",".join(workers).split(","))


def test_the_procfile_lists_every_queue_once() -> None:
    commands = [child.command for child in read_procfile(PLATFORM.parent / "Procfile")]
    assert queues_of(commands) == ["default", "encode", "generate", "infer", "slow", "train", "webhooks"]


def test_the_containers_serve_the_same_queues() -> None:
    services = yaml.safe_load((PLATFORM.parent / "compose.yaml").read_text())["services"].values()
    commands = [service.get("command", "") for service in services]
    assert queues_of(commands) == ["default", "encode", "generate", "infer", "slow", "train", "webhooks"]


if __name__ == "__main__":
    supervise(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
