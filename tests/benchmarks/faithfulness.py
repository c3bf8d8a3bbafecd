"""Whether the events that explanations name are those that the score rests on, for each way of naming them."""

import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ml.benchmark.datasets import DATASETS, Dataset
from ml.data.splits import Cases
from ml.data.vocabulary import Vocabulary
from ml.evaluation.mixture import NEURAL
from ml.explain import METHODS
from ml.explain.faithfulness import measure_faithfulness
from ml.serving.next_item import NextItemPredictor
from ml.serving.requests import NextItemRequest
from ml.tasks.config import NextItemConfig
from ml.tasks.next_item import NextItemRun
from ml.training.environment import seeded
from tests.benchmarks.configurations import Configuration
from tests.benchmarks.records import Record
from tests.benchmarks.runner import Runner

# Below, one event would stand against a single other one.
FEWEST_EVENTS = 3
LIST_LENGTH = 12
TIMED = 20


def faithfulness(configuration: Configuration, run: Runner) -> Iterator[Record]:
    """A record for each method, of the mixture as it is served and of the network alone."""
    (seed,) = configuration.seeds
    measured = run.keep([configuration.content, seed], partial(measure, configuration, run.data, seed))
    for judged in ("mixture", "network"):
        best = measured[judged].pop("best")
        for method, found in measured[judged].items():
            yield {
                "id": f"explain.faithfulness.{configuration.content['dataset']}.{judged}.{method}",
                "value": found["difference"],
                "seeds": 1,
                "peer": {"name": "the event whose absence costs most", "value": best["difference"]},
                "detail": {
                    **{name: value for name, value in found.items() if name != "difference"},
                    "list_cpu_ms": measured["milliseconds"][method],
                    "neural": measured["neural"],
                    "ndcg10": measured["ndcg10"],
                },
            }


def measure(configuration: Configuration, data: Path, seed: int) -> dict[str, Any]:
    """Faithfulness of each method on one trained model, and what a list of each costs in CPU milliseconds."""
    content = configuration.content
    with tempfile.TemporaryDirectory() as work:
        dataset = DATASETS[content["dataset"]](data, Path(work))
        settings = NextItemConfig.from_dict(
            {
                **dataset.settings,
                **content["settings"],
                "encoder": content["model"],
                "budget_minutes": content["budget_minutes"],
                "threads": content["threads"],
                "seed": seed,
            }
        )
        with seeded(settings.seed, settings.threads):
            run = NextItemRun(dataset.columns, settings, None, lambda _: None, placed=dataset.split)
            measured = run.measure()
            vocabulary = Vocabulary(dataset.columns.items, dataset.columns.types)
            mixture = NextItemPredictor(measured.scorer, vocabulary, settings.max_length)
            network = replace(mixture, scorer=replace(measured.scorer, mixture=NEURAL))
            requests = asked(dataset, measured.test, settings, content["requests"], seed)
            found = {
                name: measure_faithfulness(predictor, requests, METHODS, seed=seed)
                for name, predictor in (("mixture", mixture), ("network", network))
            }
            return {
                **{name: {method: asdict(one) for method, one in by.items()} for name, by in found.items()},
                "milliseconds": {method: milliseconds(network, requests[:TIMED], method) for method in METHODS},
                "neural": measured.scorer.mixture.neural,
                "ndcg10": measured.report.score,
            }


def asked(dataset: Dataset, test: Cases, settings: NextItemConfig, count: int, seed: int) -> list[NextItemRequest]:
    """Requests about the newest events before a random choice of the test targets, no longer than the model reads."""
    columns = dataset.columns
    long_enough = np.flatnonzero(test.target - test.start >= FEWEST_EVENTS)
    chosen = np.random.default_rng(seed).permutation(long_enough)[:count]
    requests = []
    for start, end in zip(test.start[chosen], test.target[chosen], strict=True):
        read = np.arange(start, end)
        read = read[columns.item[read] > 0][-settings.max_length :]
        items = [columns.items[code - 1] for code in columns.item[read]]
        requests.append(
            NextItemRequest(
                items=items,
                types=[columns.types[code] for code in columns.type[read]],
                times=columns.time[read].tolist(),
                values=[None if np.isnan(value) else float(value) for value in columns.value[read]],
                count=LIST_LENGTH,
                exclude=items if settings.exclude_seen else [],
            )
        )
    return requests


def milliseconds(predictor: NextItemPredictor, requests: Sequence[NextItemRequest], method: str) -> float:
    """The median CPU time of one list with its reasons."""
    taken = []
    for request in requests:
        started = time.thread_time()
        predictor.predict([{**request, "attribution": method}])
        taken.append(1000.0 * (time.thread_time() - started))
    return statistics.median(taken)
