"""kill -9 of the database under load: every acknowledged event is there afterwards, exactly once."""

import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from config import embedded
from config.embedded.postgres import postgres_addresses
from config.embedded.runtime import prepare_place
from tests.homes import kill_postmaster, make_home, remove_home
from tests.processes import ROOT, Process, free_port

BATCH = 50
CLIENTS = 4
AFTER_RECOVERY_SECONDS = 3.0


@pytest.fixture
def suite(tmp_path: Path) -> Iterator[tuple[str, Path, dict[str, str]]]:
    """`manage.py up` with servers of its own; yields the API's address, the home and the environment."""
    home = make_home()
    environment = dict.fromkeys((*embedded.NAMES, "ARTIFACTS", "SNAPSHOTS"), "") | {"SEQUITUR_HOME": str(home)}
    port = free_port()
    process = Process(
        [sys.executable, "manage.py", "up", "--port", str(port), "--console-port", str(free_port())],
        tmp_path / "up.log",
        environment,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(address, process)
        yield address, home, environment
    finally:
        process.stop()
        remove_home(home)


def wait_until_ready(address: str, process: Process) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.popen.poll() is None:
        if status(f"{address}/readyz") == 200:
            return
        time.sleep(0.2)
    raise AssertionError(f"not ready; it wrote:\n{process.output[-4000:]}")


def status(url: str, body: bytes | None = None, key: str = "") -> int:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as answer:
            answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return 0


class Load:
    """Clients that send batches and send each one again until it is acknowledged."""

    def __init__(self, address: str, key: str) -> None:
        self.url = f"{address}/api/v1/events"
        self.key = key
        self.acknowledged: set[str] = set()
        self.statuses: set[int] = set()
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._client, args=(number,)) for number in range(CLIENTS)]

    def _client(self, number: int) -> None:
        for batch in range(100_000):
            ids = [f"client-{number}-batch-{batch}-event-{event}" for event in range(BATCH)]
            events = [
                {"message_id": i, "type": "view", "item_id": i, "subject": {"anonymous_id": f"visitor-{number}"}}
                for i in ids
            ]
            while not self.stopping.is_set():
                code = status(self.url, json.dumps({"events": events}).encode(), self.key)
                self.statuses.add(code)
                if code == 200:
                    self.acknowledged.update(ids)
                    break
                time.sleep(0.1)
            if self.stopping.is_set():
                return

    def wait_for(self, more: int, seconds: float = 90) -> None:
        wanted, deadline = len(self.acknowledged) + more, time.monotonic() + seconds
        while len(self.acknowledged) < wanted:
            assert time.monotonic() < deadline, f"only {len(self.acknowledged)} of {wanted}; statuses {self.statuses}"
            time.sleep(0.05)


@pytest.mark.slow
def test_acknowledged_events_survive_a_killed_database(suite: tuple[str, Path, dict[str, str]]) -> None:
    address, home, environment = suite
    made = subprocess.run(
        [sys.executable, "manage.py", "create_tenant", "shop"],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    key = re.search(r"sk_\S+", made)
    tenant = re.search(r"\(id (\d+)\)", made)
    assert key
    assert tenant

    load = Load(address, key[0])
    for thread in load.threads:
        thread.start()
    load.wait_for(2_000)

    kill_postmaster(home)
    time.sleep(0.5)
    load.wait_for(2_000)
    time.sleep(AFTER_RECOVERY_SECONDS)
    load.stopping.set()
    for thread in load.threads:
        thread.join(60)

    assert load.statuses <= {0, 200, 503}, "an outage is 503 with Retry-After, never 500"
    stored = stored_items(home, int(tenant[1]))
    assert len(stored) == len(set(stored)), "no event twice"
    assert load.acknowledged <= set(stored), "no acknowledged event lost"


def stored_items(home: Path, tenant_id: int) -> list[str]:
    address = postgres_addresses(prepare_place(home)).variables()["DATABASE_URL"]
    with psycopg.connect(address) as database:
        database.execute("SELECT set_config('app.tenant', %s, true)", [str(tenant_id)])
        return [row[0] for row in database.execute("SELECT item_id FROM behavior_event")]
