"""`manage.py demo`: everything from nothing, twice, and the printed calls work."""

import os
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config import embedded
from tests.processes import ROOT, free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("curl") is None, reason="the demonstration prints calls for curl"),
]
# Of the first run's time: whoever has little patience looks at what is there.
QUICK_SHARE = 0.2
Run = Callable[..., str]


@pytest.fixture
def manage(tmp_path: Path) -> Iterator[Run]:
    """manage("demo", ...) runs a command in a home of its own and gives its output."""
    environment = {name: value for name, value in os.environ.items() if name not in embedded.NAMES}
    for name in ("ARTIFACTS", "SNAPSHOTS", "GATEWAY_TRANSPORT"):
        environment.pop(name, None)
    environment["SEQUITUR_HOME"] = str(tmp_path / "home")

    def run(*arguments: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    try:
        yield run
    finally:
        run("stop")


def printed_calls(output: str) -> list[str]:
    return re.findall(r"^curl .*?'$", output, flags=re.MULTILINE | re.DOTALL)


def shell(command: str) -> str:
    return subprocess.run(command, shell=True, capture_output=True, text=True, check=True).stdout


def items_of(answer: str) -> list[str]:
    return re.findall(r'"id":"([^"]+)","rank"', answer)


def test_a_first_run_fills_everything_and_a_second_one_finds_it(manage: Run, tmp_path: Path) -> None:
    ports = ("--port", str(free_port()), "--console-port", str(free_port()))

    started = time.monotonic()
    first = manage("demo", "--small", "--detach", *ports)
    filling = time.monotonic() - started

    assert first.count(": trained, ndcg@10") == 2
    ask, tell, ask_again = printed_calls(first)
    before = shell(ask)
    assert len(items_of(before)) == 3
    assert '"code":"because_of"' in before
    assert '"degraded":null' in before
    assert '"ok":1' in shell(tell)
    assert items_of(shell(ask_again)) != items_of(before)

    kept = tmp_path / "home" / "demo.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    started = time.monotonic()
    second = manage("demo", "--small", *ports)
    assert time.monotonic() - started < QUICK_SHARE * filling
    assert "events sent" not in second
    for name in ("Password ", "API key "):
        [line] = [line for line in first.splitlines() if line.startswith(name)]
        assert line in second.splitlines()
