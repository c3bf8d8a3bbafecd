"""Runs of `python -m ml.benchmark`, kept until their configuration has ended, and what records say of them."""

import hashlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.configurations import Run
from tests.benchmarks.records import ROOT, Record

HOME = Path(os.environ.get("SEQUITUR_HOME", ROOT / "var")).resolve()

Result = dict[str, Any]


@dataclass(frozen=True)
class Runner:
    """Runs what one configuration asks for. Results lie in `folder`, so that a command that was interrupted goes on
    where it stopped, for as long as the code stays the same."""

    data: Path
    folder: Path
    commit: str

    def __call__(self, run: Run) -> Result:
        """Raises CalledProcessError for a run that failed; its own words are on standard error."""
        command = self.command(run)

        def measure() -> Result:
            print(" ".join(command[1:]), flush=True)
            out = self.folder / "result.json"
            subprocess.run([*command, "--json", str(out)], cwd=ROOT, check=True)
            result: Result = json.loads(out.read_text())
            return result

        return self.keep(command, measure)

    def keep(self, key: Any, measure: Callable[[], Result]) -> Result:
        """The result that an interrupted command has left under this JSON-able key, or else a new one."""
        digest = hashlib.sha256(json.dumps([key, self.commit]).encode()).hexdigest()[:16]
        kept = self.folder / f"{digest}.json"
        if kept.exists() and not self.commit.endswith("-dirty"):
            found: Result = json.loads(kept.read_text())
            return found
        self.folder.mkdir(parents=True, exist_ok=True)
        result = measure()
        partial = kept.with_suffix(".partial")
        partial.write_text(json.dumps(result))
        partial.replace(kept)
        return result

    def command(self, run: Run) -> list[str]:
        settings = [f"{name}={json.dumps(value)}" for name, value in run.settings.items()]
        return [
            *(sys.executable, "-m", "ml.benchmark"),
            *("--dataset", run.dataset, "--data", str(self.data), "--model", run.model),
            *("--budget-minutes", str(run.budget_minutes)),
            *("--seeds", *map(str, run.seeds)),
            *(("--threads", str(run.threads)) if run.threads else ()),
            *(("--set", *settings) if settings else ()),
        ]


def spread(values: list[float]) -> Record:
    """How many seeds, and their standard deviation where there is one."""
    deviation = {"spread": statistics.stdev(values)} if len(values) > 1 else {}
    return {**deviation, "seeds": len(values)}


def mean(measured: list[Record], name: str) -> float:
    return statistics.mean(one[name] for one in measured)


def machine(result: Result) -> str:
    about = result["machine"]
    return f"{about['processor']}, {about['threads']} threads, {about['gpu'] or 'no GPU'}"
