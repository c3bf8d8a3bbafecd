"""docs/benchmarks.json and the table that is made from it."""

import json
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[2] / "docs"
HEADER = """# Benchmarks

Made from `benchmarks.json` by the commands named in it; never edited by hand. The machines are shared and noisy: read
the ratios, not the single times. `floor` is the best untrained baseline; `peer` was measured in the same run.

| id | value | spread | seeds | floor | aim | peer | detail | command | commit | machine | date |
|---|---|---|---|---|---|---|---|---|---|---|---|
"""
COLUMNS = ("id", "value", "spread", "seeds", "floor", "aim", "peer", "detail", "command", "commit", "machine", "date")


def write_records(records: list[dict[str, Any]], docs: Path = DOCS) -> None:
    """Replace the records with the same ids and rewrite the table."""
    file = docs / "benchmarks.json"
    known = {record["id"]: record for record in json.loads(file.read_text())} if file.exists() else {}
    known |= {record["id"]: record for record in records}
    ordered = [known[key] for key in sorted(known)]
    file.write_text(json.dumps(ordered, indent=1) + "\n")
    (docs / "benchmarks.md").write_text(HEADER + "".join(f"{row(record)}\n" for record in ordered))
    for record in records:
        print(row(record), flush=True)


def row(record: dict[str, Any]) -> str:
    return "| " + " | ".join(cell(record.get(column)) for column in COLUMNS) + " |"


def cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {cell(part)}" for key, part in value.items())
    return str(value)
