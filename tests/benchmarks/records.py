"""docs/benchmarks.json, and docs/benchmarks.md as it is made from that file."""

import json
import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.benchmarks.sections import HEADER, SECTIONS, section_of

Record = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
# "<= 25 ms", ">= 1.05 x peer", ">= 78, 119, 176" of a list
AIM = re.compile(r"(?P<side><=|>=) (?P<bounds>[\d.]+(?:, [\d.]+)*)(?P<times> x peer)?")
FIGURES = ("value", "spread", "seeds", "floor", "parity", "aim", "peer")
ORIGIN = ("command", "config", "commit", "machine", "date")


def write_records(records: list[Record], docs: Path = DOCS) -> None:
    """Replace the records with the same ids, keep the others, and make the page anew."""
    file = docs / "benchmarks.json"
    known = {record["id"]: record for record in json.loads(file.read_text())} if file.exists() else {}
    known |= {record["id"]: record for record in records}
    ordered = [known[key] for key in sorted(known)]
    file.write_text(json.dumps(ordered, indent=1) + "\n")
    (docs / "benchmarks.md").write_text(page(ordered))
    for record in records:
        print(", ".join(f"{name} {cell(record, name)}" for name in ("id", *FIGURES) if name in record), flush=True)


def page(records: list[Record]) -> str:
    """The whole of docs/benchmarks.md."""
    parts = [HEADER]
    for section in SECTIONS:
        chosen = [record for record in records if section_of(record["id"]) is section]
        if chosen:
            parts.append(f"## {section.title}\n\n{section.protocol}\n\n{table(chosen, FIGURES)}{details(chosen)}")
    parts.append(f"## How each was measured\n\n{table(records, ORIGIN)}")
    return "\n".join(parts)


def table(records: list[Record], columns: tuple[str, ...]) -> str:
    """One row a record, without the columns that none of them has."""
    names = ["id", *(name for name in columns if any(record.get(name) is not None for record in records))]
    if "spread" in names:
        names.remove("spread")
    lines = [" | ".join(names), "|".join(["---"] * len(names))]
    lines += [" | ".join(cell(record, name) for name in names) for record in records]
    return "".join(f"| {line} |\n" if "---" not in line else f"|{line}|\n" for line in lines)


def details(records: list[Record]) -> str:
    lines = [f"- `{record['id']}`: {text(record['detail'])}\n" for record in records if record.get("detail")]
    return "\n" + "".join(lines) if lines else ""


def cell(record: Record, name: str) -> str:
    value = record.get(name)
    if name == "value" and record.get("spread") is not None:
        return f"{text(value)} ± {text(record['spread'])}"
    if name == "aim" and value is not None:
        return f"{value}: {'met' if is_met(record) else '**short of the aim**'}"
    if name == "peer" and value is not None:
        return f"{value['name']} {text(value['value'])}"
    return f"`{value}`" if name in ("command", "config") and value else text(value)


def is_met(record: Record) -> bool:
    """Whether the value keeps the record's aim, or each of a list does. Raises ValueError for an aim that does not
    start as AIM says."""
    aim = AIM.match(record["aim"])
    if aim is None:
        raise ValueError(f"{record['id']}: the aim '{record['aim']}' must start like '>= 0.5' or '<= 1 x peer'")
    times = record["peer"]["value"] if aim["times"] else 1.0
    bounds = [float(bound) * times for bound in aim["bounds"].split(", ")]
    values = record["value"] if isinstance(record["value"], list) else [record["value"]]
    pairs = zip(values, bounds, strict=True)
    return all(value <= bound if aim["side"] == "<=" else value >= bound for value, bound in pairs)


def text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(text(part) for part in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {text(part)}" for key, part in value.items())
    return str(value)


def measured_commit() -> str:
    """The commit that is measured, marked "-dirty" where files differ from it, other than those of the records."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/benchmarks.*")
    return git("rev-parse", "--short", "HEAD") + ("-dirty" if changed else "")


def complete(record: Record, command: str, commit: str) -> Record:
    """The record with where it comes from; what it says of this itself stays."""
    return {
        "command": command,
        "commit": commit,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, no GPU",
        "date": datetime.now(UTC).date().isoformat(),
    } | record
