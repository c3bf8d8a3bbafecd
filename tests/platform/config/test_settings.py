"""What the environment says, and what holds where it says nothing."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from celery.beat import Scheduler
from django.conf import settings

from config.celery import app
from config.management.commands.up import process_environment

SHOWN = "ALLOWED_HOSTS", "EMAIL_PORT", "API_REQUESTS_PER_MINUTE", "GATEWAY_TRANSPORT", "CSRF_TRUSTED_ORIGINS", "PROCESS"


def test_a_variable_that_is_left_empty_counts_as_unset(fresh_home: Path) -> None:
    """As a file of variables passes on `EMAIL_PORT=`."""
    source = (settings.ROOT / "platform/config/settings.py").read_text()
    empty = dict.fromkeys(re.findall(r'(?:env|flag)\("([A-Z_]+)"', source), "")
    show = f"import json; from config import settings; print(json.dumps([getattr(settings, each) for each in {SHOWN}]))"

    shown = subprocess.run(
        [sys.executable, "-c", show],
        env=os.environ | empty | {"SEQUITUR_HOME": str(fresh_home), "PYTHONPATH": str(settings.ROOT / "platform")},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "EMAIL_PORT" in empty
    assert json.loads(shown.stdout) == [
        ["localhost", "127.0.0.1", "[::1]", "testserver"], 587, 60_000, "queue", [], "app"
    ]  # fmt: skip


def test_processes_that_are_started_here_have_no_empty_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gunicorn reads WEB_CONCURRENCY itself."""
    monkeypatch.setenv("WEB_CONCURRENCY", "")

    assert int(process_environment("127.0.0.1", 8000, 8001)["WEB_CONCURRENCY"]) >= 2


def test_a_beat_that_has_never_run_here_makes_partitions_at_once() -> None:
    schedule = Scheduler(app).schedule

    assert schedule["make-partitions-ahead"].is_due().is_due
    assert not schedule["expire-receipts"].is_due().is_due
