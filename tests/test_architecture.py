"""The house keeps its shape: these tests fail when a room is missing, oversized or not described."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
APP_FILES = {"selectors.py", "services.py", "engine.py", "api.py", "urls.py", "serializers.py", "admin.py"}


def test_platform_is_no_package_so_that_pythons_own_module_stays_visible() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists()
    assert platform.system()


def test_architecture_page_names_every_room_and_no_other() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    described = set(re.findall(r"^\| `((?:platform|apps)/\w+|ml)` \|", page, flags=re.MULTILINE))
    rooms = {
        str(folder.relative_to(ROOT))
        for parent in ("platform", "apps")
        for folder in (ROOT / parent).iterdir()
        if (folder / "__init__.py").exists()
    }
    assert described == rooms | {"ml"}


def test_every_application_has_the_same_files() -> None:
    for app in (ROOT / "apps").iterdir():
        if (app / "__init__.py").exists():
            missing = APP_FILES - {file.name for file in app.iterdir()}
            assert not missing, f"{app.name} lacks {sorted(missing)}"


def test_no_module_is_longer_than_four_hundred_lines() -> None:
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    long = {
        name: lines
        for name in listed.split()
        if "/migrations/" not in name and (lines := (ROOT / name).read_text().count("\n")) > 400
    }
    assert not long


@pytest.mark.parametrize("process", ["app", "console"])
def test_a_web_process_starts_without_torch(process: str) -> None:
    """It takes seconds and memory, and whoever asks a worker for predictions has no use for it."""
    program = "import sys; from django.urls import get_resolver; get_resolver().url_patterns; print(*sys.modules)"
    environment = os.environ | {"SEQUITUR_PROCESS": process}
    ran = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {"torch", "sklearn", "xgboost", "transformers"} & set(ran.stdout.split())
