"""What a network forgets when it goes on training on newer events, with and without replay of older ones."""

import statistics
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ml.benchmark.datasets import DATASETS
from ml.data.columns import EventColumns, write_columns
from ml.data.splits import window_cases
from ml.evaluation.mixture import NEURAL
from ml.evaluation.ranking import ranking_metrics
from ml.serving.artifact import Artifact
from ml.serving.scorer import Scorer
from ml.tasks.next_item_evaluation import CaseEvaluator
from ml.tasks.registry import TASKS
from tests.benchmarks.configurations import Configuration
from tests.benchmarks.records import Record
from tests.benchmarks.runner import Runner, spread

# One subject in so many is kept out of all training, so that what was learned from the others can be asked for.
HELD_OUT = 5
# What each model goes on from, and how much it replays; None is training anew.
ROUTES: dict[str, tuple[bool, float] | None] = {"no-replay": (True, 0.0), "replay": (True, 1.0), "anew": None}


def forgetting(configuration: Configuration, run: Runner) -> Iterator[Record]:
    """NDCG@10 of the network alone on the held-out subjects' older and newer events, for each way of going on."""
    by_seed = [
        run.keep([configuration.content, seed], partial(measure_seed, configuration, run.data, seed))
        for seed in configuration.seeds
    ]
    for name in by_seed[0]:
        values = [scores[name] for scores in by_seed]
        yield {"id": f"recsys.forgetting.{name}", "value": statistics.mean(values), **spread(values)}


def measure_seed(configuration: Configuration, data: Path, seed: int) -> dict[str, float]:
    """Scores by window and way."""
    scores = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        columns = DATASETS[configuration.content["dataset"]](data, folder / "dataset").columns
        until = float(np.quantile(columns.time, configuration.content["quantile"]))
        for way, artifact in train_all(configuration, columns, until, folder, seed).items():
            for window, score in score_windows(artifact, columns, until).items():
                scores[f"{window}.{way}"] = score
    return scores


def train_all(
    configuration: Configuration, columns: EventColumns, until: float, folder: Path, seed: int
) -> dict[str, Path]:
    """The artifact of each way, trained on the log of the subjects that are not held out."""
    settings = {**configuration.content["settings"], "encoder": configuration.content["model"], "seed": seed}
    kept = columns.subject_of_events() % HELD_OUT > 0
    older = part_of(columns, kept & (columns.time < until), folder / "older")
    whole = part_of(columns, kept, folder / "whole")
    artifacts = {"before": folder / "before"}
    fit(older, settings, artifacts["before"])
    for way, route in ROUTES.items():
        artifacts[way] = folder / way
        going_on = {} if route is None else {"replay": route[1]}
        fit(whole, {**settings, **going_on}, artifacts[way], initial=None if route is None else artifacts["before"])
    return artifacts


def fit(columns: EventColumns, settings: dict[str, Any], out: Path, *, initial: Path | None = None) -> None:
    TASKS["next_item"].fit(columns, settings, out, progress=lambda _: None, initial=initial)


def part_of(columns: EventColumns, rows: np.ndarray, path: Path) -> EventColumns:
    """A log of these events, with the item and type codes of the whole."""
    subject = np.unique(columns.subject_of_events()[rows], return_inverse=True)[1]
    return write_columns(
        path,
        subject=subject,
        item=columns.item[rows],
        type=columns.type[rows],
        time=columns.time[rows],
        value=columns.value[rows],
        items=columns.items,
        types=columns.types,
    )


def score_windows(artifact: Path, columns: EventColumns, until: float) -> dict[str, float]:
    """NDCG@10 of the network on the held-out subjects' events before and after a time."""
    loaded = Artifact.open(artifact)
    scorer = Scorer.load(loaded)
    evaluator = CaseEvaluator(columns, loaded.max_length, False, lambda: None)
    held_out = columns.subject_of_events() % HELD_OUT == 0
    found = {}
    for window, start, end in (("old", -np.inf, until), ("new", until, np.inf)):
        cases, _ = window_cases(columns, start=start, end=end, successive=True)
        cases = cases.take(held_out[cases.target])
        found[window] = ranking_metrics(evaluator.ranks(cases, [NEURAL], scorer)[0])["ndcg@10"]
    return found
