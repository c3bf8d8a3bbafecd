import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.ads.demonstrations.market import fill_ads
from apps.recommendation.demonstrations.shops import (
    LOGIN,
    SHOPS,
    Shop,
    State,
    ensure_training,
    ensure_visits,
    fill_shop,
    training_state,
)
from apps.risk.demonstrations.desk import fill_desk, work_at_desk
from apps.service.demonstrations.desk import fill_service, work_at_service
from serving.models import ACTIVE_STATUSES, RunStatus, TrainingRun

# A busy machine of two cores took more than two minutes to start; what is up already may listen elsewhere.
START_SECONDS, FOUND_SECONDS = 300.0, 60.0
POLL_SECONDS = 1.0
SUBJECTS, FEW_SUBJECTS = 2_000, 600


class Command(BaseCommand):
    help = (
        "The whole suite with two demonstration shops, a risk desk, a service desk and advertisers: history, models, a "
        "login, a key, calls to try."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="port of the API (default 8000)")
        parser.add_argument("--console-port", type=int, default=8001, help="port of the console (default 8001)")
        parser.add_argument("--small", action="store_true", help=f"{FEW_SUBJECTS} subjects a shop, for a quick look")
        parser.add_argument("--detach", action="store_true", help="return when it is up; `manage.py stop` ends it")

    def handle(self, *args: Any, port: int, console_port: int, small: bool, detach: bool, **options: Any) -> None:
        self.started = time.monotonic()
        self.file = Path(settings.VAR) / "demo.json"
        state = self._read()
        suite = None if is_up() else start_suite(port, console_port)
        self._say(f"Starting the processes; their output goes to {log_path()}" if suite else "The suite is up")
        address = f"http://127.0.0.1:{port}"
        try:
            wait_until_ready(address, suite)
            self._fill(state, FEW_SUBJECTS if small else SUBJECTS)
            self._show(state, address, f"http://127.0.0.1:{console_port}")
        except BaseException as error:
            end_suite(suite)
            if isinstance(error, KeyboardInterrupt):
                raise CommandError("ended; the next run goes on from here", returncode=130) from error
            raise
        if suite and not detach:
            self.stdout.write("\nCtrl-C ends it.")
            self.stdout.flush()
            with suppress(KeyboardInterrupt):
                suite.wait()
            end_suite(suite)

    def _read(self) -> State:
        return json.loads(self.file.read_text()) if self.file.exists() else {}

    def _save(self, state: State) -> None:
        """Keys and a password are in it, so only its owner may read it."""
        partial = self.file.with_suffix(".partial")
        with os.fdopen(os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
            json.dump(state, file, indent=1)
        os.replace(partial, self.file)

    def _fill(self, state: State, subjects: int) -> None:
        waiting: list[tuple[str, int, TrainingRun]] = []
        tenants: list[tuple[Shop, int]] = []
        for shop in SHOPS:
            tenant_id = fill_shop(shop, subjects=subjects, state=state, save=lambda: self._save(state), say=self._say)
            tenants.append((shop, tenant_id))
            if run := ensure_training(tenant_id):
                waiting.append((shop.name, tenant_id, run))
        desk = tenants[0][1]
        doors: dict[str, Any] = {"state": state, "save": lambda: self._save(state), "say": self._say}
        if run := fill_desk(desk, **doors):
            waiting.append(("Risk desk", desk, run))
        if run := fill_service(desk, **doors):
            waiting.append(("Service desk", desk, run))
        for name, tenant_id, run in waiting:
            self._wait_for(name, tenant_id, run)
        for shop, tenant_id in tenants:
            ensure_visits(shop, tenant_id, **doors)
        work_at_desk(desk, login=LOGIN, **doors)
        work_at_service(desk, **doors)
        fill_ads(desk, **doors)

    def _wait_for(self, name: str, tenant_id: int, run: TrainingRun) -> None:
        shown = ""
        while run.status in ACTIVE_STATUSES:
            run = training_state(tenant_id, run)
            line = describe(run)
            if line != shown:
                self._say(f"{name}: {line}")
                shown = line
            time.sleep(POLL_SECONDS)
        if run.status != RunStatus.SUCCEEDED:
            raise CommandError(f"{name}: the training run {run.status}. {run.error}")

    def _show(self, state: State, address: str, console: str) -> None:
        """Everything that somebody needs who has never seen it, with calls that were tried just now."""
        shop = state[SHOPS[0].slug]
        key, subject, item = shop["api_key"], {"user_id": shop["subject"]}, shop["item"]
        ask = {"scenario": "home", "subject": subject, "count": 3}
        first = call(f"{address}/api/v1/recommendations", key, ask)
        event = {"message_id": "demo-$(date +%s)", "type": "view", "item_id": item, "subject": subject}
        lines = "".join(f"    {item['rank']}. {item['id']}  {item['reasons'][0]['text']}\n" for item in first["items"])
        asking = curl(f"{address}/api/v1/recommendations", key, ask)
        self.stdout.write(
            f"\nSequitur is ready\n\n"
            f"Console   {console}/\n"
            f"Login     {LOGIN}\n"
            f"Password  {state['password']}\n"
            f"API docs  {address}/api/v1/docs\n"
            f"API key   {key}   ({SHOPS[0].name})\n"
            f"          {state[SHOPS[1].slug]['api_key']}   ({SHOPS[1].name})\n\n"
            f"What may {shop['subject']} want next?\n\n{asking}\n\n{lines}\n"
            f"Tell of one more view, then ask again; the list follows:\n\n"
            f"{curl(f'{address}/api/v1/events', key, event)}\n\n{asking}"
        )
        self.stdout.flush()

    def _say(self, text: str) -> None:
        self.stdout.write(f"[{time.monotonic() - self.started:5.1f} s] {text}")
        self.stdout.flush()


def describe(run: TrainingRun) -> str:
    """One line of progress: the epoch with its metric, and at the end the baselines beside the score."""
    if run.status == RunStatus.SUCCEEDED and run.report:
        baselines = ", ".join(f"{name} {score:.3f}" for name, score in run.report["baselines"].items())
        return f"trained, {run.report['metric']} {run.report['score']:.3f} (baselines: {baselines})"
    if run.status == RunStatus.QUEUED:
        return "training waits for the worker"
    if not run.curve:
        return "training: before the first epoch"
    point = run.curve[-1]
    metrics = ", ".join(f"{name} {value:.3f}" for name, value in point.items() if name != "epoch")
    of = f" of {run.config['epochs']}" if "epochs" in run.config else ""
    return f"training: epoch {point['epoch']:.0f}{of}, {metrics}"


def log_path() -> Path:
    return Path(settings.VAR) / "up.log"


def is_up() -> bool:
    """Whether a supervisor holds this home."""
    with (Path(settings.VAR) / "up.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def start_suite(port: int, console_port: int) -> subprocess.Popen[bytes]:
    """`manage.py up` in a session of its own; from now on SIGTERM and SIGHUP arrive as KeyboardInterrupt too."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    environment = {name: value for name, value in os.environ.items() if name != "SEQUITUR_PROCESS"}
    with log_path().open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "manage.py", "up", "--port", str(port), "--console-port", str(console_port)],
            cwd=settings.ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def end_suite(suite: subprocess.Popen[bytes] | None) -> None:
    """Only what this command started; a second Ctrl-C does not cut the orderly end short."""
    if suite is None:
        return
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    suite.terminate()
    suite.wait()


def wait_until_ready(address: str, suite: subprocess.Popen[bytes] | None) -> None:
    deadline = time.monotonic() + (START_SECONDS if suite else FOUND_SECONDS)
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{address}/readyz", timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
        if suite and suite.poll() is not None:
            raise CommandError(f"the suite did not start; the end of {log_path()}:\n{tail(log_path())}")
    cure = f"see {log_path()}" if suite else "it may listen elsewhere: pass its --port, or end it with `manage.py stop`"
    raise CommandError(f"{address} does not answer; {cure}")


def tail(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-20:])


def call(url: str, key: str, body: dict[str, Any]) -> Any:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=30) as answer:
        return json.load(answer)


def curl(url: str, key: str, body: dict[str, Any]) -> str:
    """For a shell; `$(...)` in the body is left to it."""
    data = re.sub(r"\$\(.*?\)", r"'\g<0>'", json.dumps(body))
    return (
        f'curl -s {url} \\\n  -H "Authorization: Bearer {key}" -H "Content-Type: application/json" \\\n  -d \'{data}\''
    )
