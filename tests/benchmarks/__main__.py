"""Measures every figure that the project claims: `python -m tests.benchmarks [--full] [--only NAME] [--data DIR]`.

Each benchmark module has `measure(data: Path | None, full: bool)`, which gives records one by one or as a list. They go
to docs/benchmarks.json as they come (a record with the same id is replaced, others stay), and docs/benchmarks.md is
made from that file.
"""

import argparse
import importlib
import os
import sys
from pathlib import Path

from tests.benchmarks import configurations
from tests.benchmarks.records import ROOT, complete, measured_commit, write_records

MODULES = {
    "ingest": "tests.benchmarks.ingest",
    "serve": "tests.benchmarks.serve",
    "rankings": "tests.benchmarks.rankings",
    "searches": "tests.benchmarks.searches",
    "assessments": "tests.benchmarks.assessments",
    "placements": "tests.benchmarks.placements",
    "ads_day": "tests.benchmarks.ads_day",
    "alerts": "tests.benchmarks.alerts",
    "replay": "tests.benchmarks.replay",
    "index": "tests.benchmarks.index",
    "generation": "tests.benchmarks.generation",
    "loop": "tests.benchmarks.loop",
    "intents": "tests.benchmarks.intents",
    "retrieval": "tests.benchmarks.retrieval",
    "cross_encoder": "tests.benchmarks.cross_encoder",
    "replies": "tests.benchmarks.replies",
    "reply_speed": "tests.benchmarks.reply_speed",
    "recsys": "tests.benchmarks.recsys",
    "fraud": "tests.benchmarks.fraud",
    "reasons": "tests.benchmarks.reasons",
    "anomalies": "tests.benchmarks.anomalies",
    "bidding": "tests.benchmarks.bidding",
    "frappe": "tests.benchmarks.frappe",
    "shoppers": "tests.benchmarks.shoppers",
    "click_sequences": "tests.benchmarks.click_sequences",
}
FULL_ONLY = {
    "replay",
    "loop",
    "intents",
    "retrieval",
    "cross_encoder",
    "replies",
    "recsys",
    "fraud",
    "reasons",
    "anomalies",
    "bidding",
    "frappe",
    "shoppers",
    "click_sequences",
}
NEED_DATABASE = {
    "ingest",
    "serve",
    "rankings",
    "searches",
    "assessments",
    "placements",
    "alerts",
    "replay",
    "loop",
    "reply_speed",
}


def main() -> None:
    options = parse_options()
    commit = measured_commit()
    names = [options.only] if options.only else [n for n in MODULES if options.full or n not in FULL_ONLY]
    if NEED_DATABASE & set(names):
        prepare_django()
    for name in names:
        print(f"== {name}", flush=True)
        full = " --full --data DIR" if name in FULL_ONLY else ""
        command = f"python -m tests.benchmarks --only {name}{full}"
        one = {"config": options.config} if options.config else {}
        for record in importlib.import_module(MODULES[name]).measure(data=options.data, full=options.full, **one):
            write_records([complete(record, command, commit)])


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--full", action="store_true", help="also the benchmarks that need data or more than minutes")
    parser.add_argument("--only", choices=MODULES, help="one module")
    parser.add_argument("--config", choices=configurations.names(), help="one configuration of --only recsys")
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("SEQUITUR_DATA"), help="folder of public data sets (SEQUITUR_DATA)"
    )
    options = parser.parse_args()
    if options.config and options.only != "recsys":
        parser.error("--config needs --only recsys")
    return options


def prepare_django() -> None:
    """A fresh database of its own, migrated by the owner."""
    sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
    os.environ.setdefault("SEQUITUR_TEST_DB", "sequitur_benchmarks")
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django

    django.setup()
    from tests.database import recreate_database

    recreate_database()


if __name__ == "__main__":
    main()
