"""kill -9 of the database under load: each acknowledged event and billed ad is there afterwards, exactly once."""

import http.client
import itertools
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from config import embedded
from config.embedded.postgres import postgres_addresses
from config.embedded.runtime import prepare_place
from tests.apps.ads.world import BROWSER
from tests.homes import kill_postmaster, make_home, remove_home
from tests.processes import ROOT, Process, free_port
from tests.waiting import until

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
    def ready() -> bool:
        assert process.popen.poll() is None, process.output[-4000:]
        return status(f"{address}/readyz") == 200

    until(ready, lambda: f"not ready; it wrote:\n{process.output[-4000:]}")


def status(url: str, body: bytes | None = None, key: str = "") -> int:
    return ask(url, body, key)[0]


def ask(url: str, body: bytes | None = None, key: str = "") -> tuple[int, bytes]:
    """Status and content of the answer; (0, b"") where there was none."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as answer:
            return int(answer.status), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""
    except (OSError, http.client.HTTPException):
        return 0, b""


class Load:
    """Clients that send what `_next(client, number)` gives, and send it again until it is answered."""

    def __init__(self, address: str, key: str) -> None:
        self.address = f"{address}/api/v1"
        self.key = key
        self.acknowledged: set[str] = set()
        self.statuses: set[int] = set()
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._client, args=(number,)) for number in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def _client(self, client: int) -> None:
        for number in itertools.count():
            if self.stopping.is_set():
                return
            self.acknowledged.update(self._next(client, number))

    def _next(self, client: int, number: int) -> Iterable[str]:
        raise NotImplementedError

    def until_answered(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer, {} where it is a refusal or the load ends meanwhile."""
        while not self.stopping.is_set():
            code, content = ask(f"{self.address}/{path}", json.dumps(body).encode(), self.key)
            self.statuses.add(code)
            if code not in (0, 503):
                return json.loads(content) if code == 200 else {}
            time.sleep(0.1)
        return {}

    def wait_for(self, more: int) -> None:
        wanted = len(self.acknowledged) + more
        until(
            lambda: len(self.acknowledged) >= wanted,
            lambda: f"only {len(self.acknowledged)} of {wanted}; statuses {self.statuses}",
        )

    def end(self) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)


class Events(Load):
    """Batches of events, by their ids."""

    def _next(self, client: int, number: int) -> Iterable[str]:
        ids = [f"client-{client}-batch-{number}-event-{event}" for event in range(BATCH)]
        subject = {"anonymous_id": f"visitor-{client}"}
        events = [{"message_id": i, "type": "view", "item_id": i, "subject": subject} for i in ids]
        return ids if self.until_answered("events", {"events": events}) else []


class Ads(Load):
    """Ads that are decided on and seen, by their decisions' ids. A decision that the crash has taken away is refused
    when it is seen, which costs nobody anything."""

    def _next(self, client: int, number: int) -> Iterable[str]:
        asked = {"placements": ["top"], "subject": {"user_id": f"reader-{client}-{number}"}, "user_agent": BROWSER}
        for decision in self.until_answered("ads/decisions", asked).get("decisions", []):
            seen = self.until_answered("ads/impressions", {"token": decision["token"], "user_agent": BROWSER})
            if seen.get("billed_micros"):
                yield decision["decision_id"]


# Two live flights for the tenant that is its argument.
SELL = """
import sys
sys.path[:0] = [".", "platform"]
import django
django.setup()
from tenancy.scope import tenant_scope
from tests.apps.ads.world import UNIT, make_campaign, make_live_flight, make_placement
with tenant_scope(int(sys.argv[1])):
    make_placement(auction="first_price")
    for bid in (2, 3):
        make_live_flight(make_campaign(), bid_micros=bid * UNIT, budget_micros=100 * UNIT)
"""


@pytest.mark.slow
def test_acknowledged_events_and_billed_ads_survive_a_killed_database(suite: tuple[str, Path, dict[str, str]]) -> None:
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
    selling = os.environ | environment | {"DJANGO_SETTINGS_MODULE": "config.settings"}
    subprocess.run([sys.executable, "-c", SELL, tenant[1]], cwd=ROOT, env=selling, check=True)

    events, ads = Events(address, key[0]), Ads(address, key[0])
    events.wait_for(2_000)
    ads.wait_for(50)

    kill_postmaster(home)
    time.sleep(0.5)
    events.wait_for(2_000)
    ads.wait_for(50)
    time.sleep(AFTER_RECOVERY_SECONDS)
    events.end()
    ads.end()

    assert events.statuses <= {0, 200, 503}, "an outage is 503 with Retry-After, never 500"
    stored = column(home, int(tenant[1]), "SELECT item_id FROM behavior_event WHERE type = 'view'")
    assert len(stored) == len(set(stored)), "no event twice"
    assert events.acknowledged <= set(stored), "no acknowledged event lost"

    assert ads.statuses <= {0, 200, 404, 503}, "404 for an ad that the crash has taken away"
    billed = column(home, int(tenant[1]), "SELECT delivery_id::text FROM ads_ledgerentry")
    assert ads.acknowledged <= set(billed), "nothing billed is lost"
    code, content = ask(f"{address}/api/v1/ads/accounts", key=key[0])
    assert code == 200
    accounts = json.loads(content)["results"]
    assert len(accounts) == 2
    assert [each["problems"] for each in accounts] == [[], []], "counters, ledger and deliveries say the same"


def column(home: Path, tenant_id: int, query: str) -> list[str]:
    address = postgres_addresses(prepare_place(home)).variables()["DATABASE_URL"]
    with psycopg.connect(address) as database:
        database.execute("SELECT set_config('app.tenant', %s, true)", [str(tenant_id)])
        return [row[0] for row in database.execute(query)]
