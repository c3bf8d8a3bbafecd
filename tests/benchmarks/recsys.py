"""Quality, ablations and speed of the engine, one frozen configuration after the other, each by its kind."""

import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.benchmarks import configurations
from tests.benchmarks.configurations import Configuration, Run
from tests.benchmarks.faithfulness import faithfulness
from tests.benchmarks.forgetting import forgetting
from tests.benchmarks.records import Record, measured_commit
from tests.benchmarks.runner import HOME, Result, Runner, machine, mean, spread
from tests.benchmarks.speed import equal_time, speed

UNTRAINED = ("untrained_mixture", "session_neighbors", "sequential_rules", "popularity")
# What the literature calls a predictor.
TITLES = {"session_neighbors": "V-STAN"}


def measure(*, data: Path | None, full: bool, config: str | None = None) -> Iterator[Record]:
    """The records of one configuration, or of all; those of a configuration that fails are left as they were.

    Raises SystemExit at the end where one failed, and at once where the data are missing.
    """
    if data is None:
        raise SystemExit(
            "recsys needs --data or SEQUITUR_DATA, the folder of public data sets; see docs/development.md"
        )
    commit = measured_commit()
    data = data / "recsys" if (data / "recsys").is_dir() else data
    chosen = [configurations.load(name) for name in ([config] if config else configurations.names())]
    failed = []
    for configuration in chosen:
        if configuration.only_full and not full and not config:
            continue
        print(f"== recsys {configuration.name}", flush=True)
        folder = HOME / "benchmarks" / configuration.name
        runner = Runner(data.resolve(), folder, commit)
        try:
            for record in KINDS[configuration.kind](configuration, runner):
                yield record | origin(configuration)
        except (subprocess.CalledProcessError, ValueError, OSError) as error:
            print(f"{configuration.name} failed: {error}", file=sys.stderr, flush=True)
            failed.append(configuration.name)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}; run each again with --config NAME")


def origin(configuration: Configuration) -> Record:
    full = " --full" if configuration.only_full else ""
    return {
        "command": f"python -m tests.benchmarks --only recsys --config {configuration.name}{full} --data DIR",
        "config": f"tests/benchmarks/configs/{configuration.name}.json",
    }


def scores(configuration: Configuration, run: Callable[[Run], Result]) -> Iterator[Record]:
    """One model on one data set, a record for each metric that is claimed."""
    result = run(configuration.run())
    for name, claim in configuration.content["records"].items():
        record = score_record(name, result, claim["metric"])
        record |= {key: claim[key] for key in ("parity", "aim") if key in claim}
        if peer := configuration.content.get("peer"):
            record["peer"] = {"name": TITLES.get(peer, peer), "value": result["scores"][peer][claim["metric"]]["mean"]}
        yield record


def ablation(configuration: Configuration, run: Callable[[Run], Result]) -> Iterator[Record]:
    """A record for each row of the table."""
    for name, row in configuration.rows().items():
        yield score_record(
            f"recsys.ablation.{configuration.content['table']}.{name}", run(row), configuration.content["metric"]
        )


def gain(configuration: Configuration, run: Callable[[Run], Result]) -> Iterator[Record]:
    """By which share one model is better than another one on the same cases, seed by seed."""
    metric = configuration.content["metric"]
    better, worse = run(configuration.run()), run(configuration.run(configuration.content["against"]))
    if better["counts"] != worse["counts"]:
        raise ValueError(f"{configuration.name} compares different cases: {better['counts']} and {worse['counts']}")
    pairs = list(zip(by_seed(better, "model", metric), by_seed(worse, "model", metric), strict=True))
    gains = [one / other - 1.0 for one, other in pairs]
    base = worse["scores"]["model"][metric]["mean"]
    yield {
        "id": configuration.content["record"],
        "value": statistics.mean(gains),
        **spread(gains),
        "floor": floor(better, metric) / base - 1.0,
        "aim": configuration.content["aim"],
        "machine": machine(better),
        "detail": {
            metric: better["scores"]["model"][metric]["mean"],
            "against": base,
            **{name: better["scores"][name][metric]["mean"] for name in ("network", "sequential_rules", "popularity")},
            "against_rules": worse["scores"]["sequential_rules"][metric]["mean"],
            **better["counts"],
        },
    }


def score_record(name: str, result: Result, metric: str) -> Record:
    """The mixed model's score over the seeds, with the floor of the same run and what belongs beside it."""
    seeds = result["seeds"]
    return {
        "id": name,
        "value": result["scores"]["model"][metric]["mean"],
        **spread(by_seed(result, "model", metric)),
        "floor": floor(result, metric),
        "machine": machine(result),
        "detail": {
            "network": result["scores"]["network"][metric]["mean"],
            "epochs": mean(seeds, "epochs"),
            "epoch_s": mean(seeds, "epoch_seconds"),
            "parameters": seeds[0]["parameters"],
            "peak_memory_mb": max(seed["peak_memory_mb"] for seed in seeds),
            "budget_minutes": result["settings"]["budget_minutes"],
            "test_cases": result["counts"]["test_cases"],
        },
    }


def by_seed(result: Result, predictor: str, metric: str) -> list[float]:
    return [seed["test"][predictor][metric] for seed in result["seeds"]]


def floor(result: Result, metric: str) -> float:
    """The best of those that need no training."""
    scores = result["scores"]
    return max(scores[name][metric]["mean"] for name in UNTRAINED if name in scores)


KINDS: dict[str, Callable[[Configuration, Runner], Iterator[Record]]] = {
    "scores": scores,
    "ablation": ablation,
    "gain": gain,
    "forgetting": forgetting,
    "faithfulness": faithfulness,
    "speed": speed,
    "equal-time": equal_time,
}
