"""Measures every figure that the project claims: `python -m tests.benchmarks [--full] [--only PREFIX] [--data DIR]`.

Each benchmark module has `measure(data: Path | None, full: bool) -> list[dict]`. The records go to docs/benchmarks.json
(a record with the same id is replaced, others stay), and docs/benchmarks.md is made from that file.
"""

import argparse
import importlib
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MODULES = {
    "ingest": "tests.benchmarks.ingest",
    "serve": "tests.benchmarks.serve",
    "index": "tests.benchmarks.index",
    "loop": "tests.benchmarks.loop",
}
FULL_ONLY = {"loop"}


def main() -> None:
    options = parse_options()
    commit = measured_commit()
    prepare_django()
    from tests.benchmarks.records import write_records

    names = [options.only] if options.only else [n for n in MODULES if options.full or n not in FULL_ONLY]
    for name in names:
        print(f"== {name}", flush=True)
        records = importlib.import_module(MODULES[name]).measure(data=options.data, full=options.full)
        write_records([complete(record, name, commit) for record in records])


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--full", action="store_true", help="also the benchmarks that need data or more than minutes")
    parser.add_argument("--only", choices=MODULES, help="one module")
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("SEQUITUR_DATA"), help="folder of public data sets (SEQUITUR_DATA)"
    )
    return parser.parse_args()


def prepare_django() -> None:
    """A fresh database of its own, migrated by the owner."""
    sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
    os.environ.setdefault("SEQUITUR_TEST_DB", "sequitur_benchmarks")
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django

    django.setup()
    from django.core.management import call_command

    from tests.database import connected_as, recreate_database

    recreate_database()
    with connected_as("owner"):
        call_command("migrate", verbosity=0)


def measured_commit() -> str:
    """The commit that is measured, marked "-dirty" where files differ from it; asked before records are written."""
    command = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()


def complete(record: dict[str, Any], name: str, commit: str) -> dict[str, Any]:
    full = " --full --data DIR" if name in FULL_ONLY else ""
    return {
        "command": f"python -m tests.benchmarks --only {name}{full}",
        "commit": commit,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, no GPU",
        "date": datetime.now(UTC).date().isoformat(),
    } | record


if __name__ == "__main__":
    main()
