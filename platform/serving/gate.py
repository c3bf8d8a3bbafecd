"""The promotion gate: what a new version must show before it may answer, and the figures it was judged by."""

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ml.data.columns import EventColumns
from ml.data.ranked_lists import RankedLists
from ml.serving.requests import NextItemRequest, RankingRequest
from serving import engine
from serving.training_data import TrainingData, answer_seconds, sample_requests

# Enough to tell two models apart, and minutes instead of hours on a large log.
COMPARED_EVENTS = 20_000
LATENCY_REQUESTS = 200
LATENCY_EVENTS = 50
LATENCY_COUNT = 20
# Half of the deadline is left for queueing, transport and the application.
LATENCY_SHARE = 0.5
# The split of tasks whose data mark the cases that no version trains on.
HELD_OUT = "held_out"


@dataclass(frozen=True)
class Incumbent:
    """The live version: its artifact, and the data that it was tested on where that is still there. `flaw` says why the
    artifact cannot be loaded; nothing is compared then, or no version could ever take its place."""

    name: str
    artifact: Path
    columns: TrainingData | None
    test_time: float | None
    flaw: str = ""


@dataclass
class Verdict:
    passed: bool = True
    reasons: list[str] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)

    def require(self, holds: bool, reason: str) -> None:
        self.passed = self.passed and holds
        self.reasons.append(f"{'passed' if holds else 'refused'}: {reason}")


def judge(
    *, task: str, artifact: Path, report: dict[str, Any], columns: TrainingData, incumbent: Incumbent | None
) -> Verdict:
    """Judge a candidate by its report, against the live version, and against the clock."""
    verdict = Verdict()
    _beats_baselines(verdict, report)
    if incumbent is not None and incumbent.flaw:
        verdict.reasons.append(f"not compared: {incumbent.name} cannot be loaded ({incumbent.flaw})")
    elif incumbent is not None:
        _beats_incumbent(verdict, task, artifact, report, columns, incumbent)
    _keeps_pace(verdict, task, artifact, columns)
    return verdict


def _beats_baselines(verdict: Verdict, report: dict[str, Any]) -> None:
    metric, score = report["metric"], report["score"]
    for name, baseline in report["baselines"].items():
        verdict.require(
            score > baseline, f"{metric} {score:.4f} against {baseline:.4f} of the untrained baseline {name}"
        )


def _beats_incumbent(
    verdict: Verdict,
    task: str,
    artifact: Path,
    report: dict[str, Any],
    columns: TrainingData,
    incumbent: Incumbent,
) -> None:
    metric = report["metric"]
    if report["split"].get("kind") == HELD_OUT:
        # Such data mark what no version trains on, and have no time. An older holdout may name things otherwise by now.
        evaluate = engine.training_task(task).evaluate
        new, old = (
            evaluate(each, columns, since=-math.inf, until=math.inf)[metric] for each in (artifact, incumbent.artifact)
        )
        verdict.metrics |= {"newest_holdout": {"candidate": new, "incumbent": old}}
        verdict.require(new > old, f"{metric} {new:.4f} against {old:.4f} of {incumbent.name} on the held-out examples")
        return
    since = report["split"]["test_time"]
    if since is None:
        cure = "use global_time, or switch refit off"
        verdict.require(False, f"the split has no newest holdout to compare with {incumbent.name} on; {cure}")
        return
    new, old = _compare(task, artifact, incumbent, columns, since, metric)
    verdict.metrics |= {"newest_holdout": {"candidate": new, "incumbent": old}}
    verdict.require(new > old, f"{metric} {new:.4f} against {old:.4f} of {incumbent.name} on the newest holdout")
    if incumbent.columns is None or incumbent.test_time is None:
        verdict.reasons.append(f"not compared: the holdout of {incumbent.name} is no longer there")
        return
    # The candidate may have trained on that holdout by now, so this can only reveal what it has forgotten.
    new, old = _compare(task, artifact, incumbent, incumbent.columns, incumbent.test_time, metric)
    verdict.metrics |= {"old_holdout": {"candidate": new, "incumbent": old}}
    verdict.require(new >= old, f"{metric} {new:.4f} against {old:.4f} of {incumbent.name} on that one's own holdout")


def _compare(
    task: str, artifact: Path, incumbent: Incumbent, columns: TrainingData, since: float, metric: str
) -> tuple[float, float]:
    evaluate = engine.training_task(task).evaluate
    since = max(since, _time_of_newest(columns, COMPARED_EVENTS))
    candidate_metrics = evaluate(artifact, columns, since=since, until=math.inf)
    incumbent_metrics = evaluate(incumbent.artifact, columns, since=since, until=math.inf)
    return candidate_metrics[metric], incumbent_metrics[metric]


def _time_of_newest(columns: TrainingData, count: int) -> float:
    """The time since which the newest `count` events came, or lists were shown."""
    count = min(count, len(columns.time))
    return float(np.partition(columns.time, -count)[-count])


def _keeps_pace(verdict: Verdict, task: str, artifact: Path, columns: TrainingData) -> None:
    p99 = measure_latency(task, artifact, columns)
    budget = 1000 * answer_seconds(task) * LATENCY_SHARE
    verdict.metrics |= {"predict_p99_ms": p99}
    verdict.require(p99 <= budget, f"p99 of one prediction {p99:.1f} ms, budget {budget:.0f} ms")


def measure_latency(task: str, artifact: Path, columns: TrainingData) -> float:
    """99th percentile of single predictions for cases of the log, in milliseconds, on this machine."""
    predictor = engine.open_predictor(artifact)
    requests = sample_requests(task, columns, LATENCY_REQUESTS)
    if requests is None:
        requests = _sample_lists(columns) if isinstance(columns, RankedLists) else _sample_requests(columns)
    predictor.predict(requests[:1])
    seconds = []
    for request in requests:
        started = time.perf_counter()
        predictor.predict([request])
        seconds.append(time.perf_counter() - started)
    return float(1000 * np.percentile(seconds, 99))


def _sample_requests(columns: EventColumns) -> list[Any]:
    """Requests with the last events of subjects spread evenly over the log."""
    subjects = np.linspace(0, columns.subjects - 1, min(LATENCY_REQUESTS, columns.subjects)).astype(int)
    return [_request_of(columns, int(subject)) for subject in subjects]


def _request_of(columns: EventColumns, subject: int) -> NextItemRequest:
    begin, end = int(columns.offsets[subject]), int(columns.offsets[subject + 1])
    start = max(begin, end - LATENCY_EVENTS)
    with_item = [row for row in range(start, end) if columns.item[row] > 0]
    return NextItemRequest(
        items=[columns.items[columns.item[row] - 1] for row in with_item],
        types=[columns.types[columns.type[row]] for row in with_item],
        times=[float(columns.time[row]) for row in with_item],
        values=[None if math.isnan(columns.value[row]) else float(columns.value[row]) for row in with_item],
        count=LATENCY_COUNT,
        exclude=[],
        candidates=None,
        now=float(columns.time.max()),
    )


def _sample_lists(lists: RankedLists) -> list[Any]:
    """Requests for lists spread evenly over the log."""
    chosen = np.linspace(0, len(lists) - 1, min(LATENCY_REQUESTS, len(lists))).astype(int)
    tables = [lists.features[lists.offsets[number] : lists.offsets[number + 1]] for number in chosen]
    return [RankingRequest(features=dict(zip(lists.names, table.T.tolist(), strict=True))) for table in tables]
