"""Homes for embedded servers of their own, for tests that kill them."""

import os
import shutil
import signal
import tempfile
from pathlib import Path

from config.embedded.runtime import Presence, prepare_place, wait_until_gone


def make_home() -> Path:
    """A folder for servers of their own, that every user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="sequitur-home-")).resolve()
    folder.chmod(0o755)
    return folder


def kill_postmaster(home: Path) -> None:
    os.kill(int((home / "servers/postgres/data/postmaster.pid").read_text().split()[0]), signal.SIGKILL)


def remove_home(home: Path) -> None:
    """Kill the home's servers and remove it, also the part that lies elsewhere when root's home is private."""
    servers = (home / "servers").resolve()
    if servers.exists():
        place = prepare_place(home)
        for lock in (servers / "postgres/data/postmaster.pid", servers / "valkey/valkey.pid"):
            if lock.exists():
                os.kill(int(lock.read_text().split()[0]), signal.SIGKILL)
        for name in ("postgres", "valkey"):
            if (servers / name).exists():
                wait_until_gone(Presence(servers / name / "alive", place.account))
        shutil.rmtree(servers)
    shutil.rmtree(home)
