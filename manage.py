#!/usr/bin/env python
"""Entry point of every process; picks the database role that the command may use."""

import gc
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
OWNER_COMMANDS = {"migrate", "makemigrations", "showmigrations", "sqlmigrate", "create_tenant", "add_member", "demo"}
WITHOUT_DATABASE = {
    "help",
    "check",
    "up",
    "stop",
    "backup",
    "restore",
    "collectstatic",
    "spectacular",
    "compilemessages",
    "makemessages",
}


def main() -> None:
    sys.path.insert(1, str(ROOT / "platform"))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    if command in OWNER_COMMANDS:
        os.environ["SEQUITUR_PROCESS"] = "owner"

    from django.core.management import execute_from_command_line

    if command not in WITHOUT_DATABASE and "--help" not in sys.argv:
        from config import embedded

        embedded.ensure_running()

    import django

    # What a start makes stays until the end; to look through it for garbage meanwhile takes a sixth of the time.
    gc.disable()
    django.setup()
    gc.enable()
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
