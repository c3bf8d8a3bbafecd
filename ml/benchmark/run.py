"""One data set, one model, several seeds: scores beside those of the untrained, speed and memory."""

import platform
import resource
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ml.benchmark.datasets import DATASETS, Dataset
from ml.benchmark.speed import answering_speed, peak_flops, training_flops_per_event
from ml.evaluation.mixture import NEURAL
from ml.evaluation.ranking import ranking_metrics
from ml.nn.names import ENCODER_NAMES
from ml.tasks.config import NextItemConfig
from ml.tasks.item_descriptions import ItemDescriptions
from ml.tasks.next_item import Measured, NextItemRun
from ml.tasks.next_item_evaluation import CaseEvaluator
from ml.training.environment import seeded
from ml.training.progress import Progress

MODELS = ENCODER_NAMES
KS = (10, 20, 50)
# Every case counts: published figures rest on all of them.
ALL_CASES = 10**9
# A budget ends training, not the number of epochs.
MOST_EPOCHS = 1_000


@dataclass(frozen=True)
class Asked:
    """What the command line asks for; `settings` go over those of the data set."""

    dataset: str
    data: Path
    model: str
    budget_minutes: float
    seeds: tuple[int, ...]
    threads: int
    settings: dict[str, Any] = field(default_factory=dict)


Say = Callable[[str], None]


def run(asked: Asked, say: Say) -> dict[str, Any]:
    """All seeds of one benchmark as one JSON-able result. Raises MissingData, or ValueError for a bad setting."""
    with tempfile.TemporaryDirectory() as work:
        dataset = DATASETS[asked.dataset](asked.data, Path(work))
        if asked.settings.get("prediction_heads"):
            dataset = dataset.by_time(Path(work))
        seeds = [_run_seed(asked, dataset, seed, say) for seed in asked.seeds]
    return {
        "dataset": asked.dataset,
        "protocol": dataset.protocol,
        "model": asked.model,
        "settings": _settings(asked, dataset, asked.seeds[0]).to_dict(),
        "machine": machine(asked.threads),
        "counts": {"test_cases": len(dataset.split.test), "items": len(dataset.columns.items)},
        "metrics": list(dataset.metrics),
        "scores": summary(seeds, dataset.metrics),
        "heads": head_summary(seeds),
        "seeds": seeds,
    }


def summary(seeds: Sequence[dict[str, Any]], metrics: Sequence[str]) -> dict[str, dict[str, dict[str, float]]]:
    """Mean and sample standard deviation over the seeds, by predictor and metric."""
    return {
        predictor: {metric: _spread([seed["test"][predictor][metric] for seed in seeds]) for metric in metrics}
        for predictor in seeds[0]["test"]
    }


def head_summary(seeds: Sequence[dict[str, Any]]) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """Mean and sample standard deviation over the seeds, by prediction head, predictor and metric; a metric that some
    seed's cases do not allow is left out."""
    return {
        head: {
            predictor: {
                metric: _spread([seed["heads"][head]["scores"][predictor][metric] for seed in seeds])
                for metric in metrics
                if all(metric in seed["heads"][head]["scores"][predictor] for seed in seeds)
            }
            for predictor, metrics in first["scores"].items()
        }
        for head, first in seeds[0]["heads"].items()
    }


def machine(threads: int) -> dict[str, Any]:
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return {
        "processor": _processor(),
        "threads": threads,
        "gpu": gpu,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def peak_memory_mb() -> float:
    """The most memory that this process has held, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _settings(asked: Asked, dataset: Dataset, seed: int) -> NextItemConfig:
    settings = NextItemConfig.from_dict(
        {
            "epochs": MOST_EPOCHS,
            "patience": 10,
            **dataset.settings,
            "evaluation_cases": ALL_CASES,
            "encoder": asked.model,
            "budget_minutes": asked.budget_minutes,
            "threads": asked.threads,
            **asked.settings,
            "seed": seed,
        }
    )
    if "value" in settings.inputs and np.isnan(dataset.columns.value).all():
        raise ValueError(f"{asked.dataset} has no values here; take value out of inputs, or get the file with ratings")
    return settings


def _run_seed(asked: Asked, dataset: Dataset, seed: int, say: Say) -> dict[str, Any]:
    settings = _settings(asked, dataset, seed)

    def follow(progress: Progress) -> None:
        if progress.stage == "training" and progress.epoch and not progress.steps:
            figures = " ".join(f"{name} {value:.4f}" for name, value in progress.metrics.items())
            say(f"seed {seed}: epoch {progress.epoch} {figures}")

    with seeded(settings.seed, settings.threads):
        run = NextItemRun(
            dataset.columns,
            settings,
            None,
            follow,
            placed=dataset.split,
            descriptions=_descriptions(dataset, settings),
        )
        measured = run.measure()
        evaluator = CaseEvaluator(dataset.columns, settings.max_length, settings.exclude_seen, lambda: None)
        network = evaluator.ranks(measured.test, [NEURAL], measured.scorer)[0]
        memory = peak_memory_mb()
        speed = {**_training_speed(measured, dataset, settings), **answering_speed(dataset, measured.scorer, settings)}
    report = measured.report
    return {
        "seed": seed,
        "test": {name: ranking_metrics(ranks, KS) for name, ranks in {**measured.ranks, "network": network}.items()},
        "heads": report.heads,
        "validation": report.validation,
        "mixture": asdict(measured.scorer.mixture),
        "epochs": len(report.curve),
        "best_epoch": 1 + int(np.argmax([point[report.metric] for point in report.curve])),
        "curve": report.curve,
        "parameters": report.counts["parameters"],
        "seconds": report.seconds,
        "peak_memory_mb": memory,
        **speed,
    }


def _training_speed(measured: Measured, dataset: Dataset, settings: NextItemConfig) -> dict[str, float]:
    """The report's speed, and what share of the machine's peak it is."""
    speed, model = measured.report.speed, measured.scorer.model
    events = dataset.split.train_end - dataset.split.train_start
    mean_length = float(np.average(np.minimum(events, settings.max_length), weights=np.maximum(events, 1)))
    flops, peak = training_flops_per_event(model, settings, mean_length), peak_flops(model.bias.device)
    achieved = flops * speed["events_per_second"]
    return {**speed, "flops_per_event": flops, "peak_flops": peak, "share_of_peak": achieved / peak}


def _descriptions(dataset: Dataset, settings: NextItemConfig) -> ItemDescriptions | None:
    """What the files know of the items, read only where it is an input."""
    if dataset.describe is None or not {"attributes", "text"} & set(settings.inputs):
        return None
    return ItemDescriptions(dataset.columns, given=dataset.describe())


def _spread(values: Sequence[float]) -> dict[str, float]:
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {"mean": float(np.mean(values)), "deviation": deviation}


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
