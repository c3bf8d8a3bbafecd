"""Intents of texts on Banking77 and CLINC150, beside the frozen encoder and n-grams of the same run.

With INTENT_ENCODER the records are those of that encoder, under its name: service.NAME.banking77.full.

Held-out training texts choose and calibrate; the test texts are read once, by the finished artifact. Results of each
set and seed are kept under var/benchmarks until the whole has ended, so that an interrupted command goes on.
"""

import csv
import json
import os
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from ml.data.labelled_texts import LabelledTexts
from ml.data.text_grams import gram_counts, inverse_frequency, weighted
from ml.evaluation.scope import threshold_keeping
from ml.nn.text_encoder import intent_encoder_name, pretrained_encoder
from ml.tasks.intents_training import fit_head
from ml.tasks.registry import TASKS
from tests.benchmarks.records import Record, measured_commit
from tests.benchmarks.runner import HOME, Runner, mean, spread

SEEDS = (0, 1, 2)
KEPT = 0.95
# Inverse strength of the ridge of the floors' logistic regressions.
FLOOR_STRENGTH = 10.0
# Of another encoder than the installed one, which has half as many layers: chosen on training texts of Banking77.
DEEP_SETTINGS = {"learning_rate": 1e-4, "layer_decay": 0.9}


@dataclass(frozen=True)
class TextSet:
    train: LabelledTexts
    test: LabelledTexts
    settings: dict[str, Any]


def measure(*, data: Path | None, full: bool) -> Iterator[Record]:
    """Raises SystemExit where the data are missing."""
    folder = Path(data) / "service" if data else None
    if folder is None or not folder.exists():
        raise SystemExit(
            "intents needs --data or SEQUITUR_DATA, a folder with service/banking77 (train.csv, test.csv, "
            "fewshot_train_10, fewshot_train_5) and service/clinc150 (data_full.json) as they are published"
        )
    kept = HOME / "benchmarks" / "intents"
    runner = Runner(folder, kept, measured_commit())
    encoder = os.environ.get("INTENT_ENCODER", "")
    prefix, settings = (f"service.{Path(encoder).name}", DEEP_SETTINGS) if encoder else ("service", {})
    errors = {}
    for name, text_set in text_sets(folder, settings).items():
        floors = runner.keep([encoder, name, "floors"], partial(floors_of, text_set))
        by_seed = []
        for seed in SEEDS:
            by_seed.append(runner.keep([encoder, name, seed, text_set.settings], partial(judge, text_set, seed)))
            print(f"{name}, seed {seed}: {by_seed[-1]}", flush=True)
            # A command that is stopped leaves records of the seeds that it came to, which say how many those are.
            yield from records_of(prefix, name, by_seed, floors)
        errors[name] = by_seed
    yield calibration_record(prefix, errors)
    shutil.rmtree(kept, ignore_errors=True)


def judge(text_set: TextSet, seed: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        task, out = TASKS["intents"], Path(name) / "artifact"
        task.fit(text_set.train, {**text_set.settings, "seed": seed}, out, progress=lambda _: None)
        return task.evaluate(out, text_set.test, since=0.0, until=float("inf"))


def floors_of(text_set: TextSet) -> dict[str, float]:
    """The frozen encoder's and the n-grams' logistic regressions on the texts alone, and the plain threshold on the
    former's certainty."""
    train, test, encoder = text_set.train, text_set.test, pretrained_encoder(intent_encoder_name())
    codes, known = train.codes(), np.array([label is not None for label in test.labels])
    rows = np.flatnonzero((codes >= 0) & ~np.array(train.held_out or [False] * len(train), dtype=bool))
    texts, wanted = [train.texts[row] for row in rows], codes[rows]
    names, labels = np.array(train.intents), np.array([label or "" for label in test.labels])
    head = fit_head(encoder.encode(texts), wanted, len(names), FLOOR_STRENGTH)
    logits = head(encoder.encode(test.texts))
    counts = gram_counts(texts)
    inverse = inverse_frequency(counts)
    grams = fit_head(weighted(counts, inverse), wanted, len(names), FLOOR_STRENGTH)
    right = names[logits.argmax(axis=1)] == labels
    counted = names[grams(weighted(gram_counts(test.texts), inverse)).argmax(axis=1)] == labels
    found = {"frozen_encoder": float(right[known].mean()), "grams": float(counted[known].mean())}
    if known.all():
        return found
    held = [
        text
        for text, label, held_out in zip(
            text_set.train.texts, text_set.train.labels, text_set.train.held_out or [], strict=True
        )
        if held_out and label is not None
    ]
    threshold = threshold_keeping(softmax(head(encoder.encode(held)), axis=1).max(axis=1), KEPT)
    kept = softmax(logits, axis=1).max(axis=1) >= threshold
    return {
        **found,
        "kept95_accuracy": float((kept & right)[known].mean()),
        "kept95_oos_recall": float(1.0 - kept[~known].mean()),
    }


# By text set: each record's end, the score that it holds, its floor's name, aim and the best published figure.
RECORDS: dict[str, tuple[tuple[str, str, str, str, float], ...]] = {
    "banking77.full": (("banking77.full", "accuracy", "frozen_encoder", ">= 0.945", 0.9366),),
    "banking77.shot10": (("banking77.shot10", "accuracy", "frozen_encoder", ">= 0.9", 0.8979),),
    "banking77.shot5": (("banking77.shot5", "accuracy", "frozen_encoder", ">= 0.845", 0.8401),),
    "clinc": (
        ("clinc.inscope", "accuracy", "frozen_encoder", ">= 0.972", 0.969),
        ("clinc.kept95_accuracy", "kept_accuracy", "kept95_accuracy", ">= 0.945", 0.962),
        ("clinc.kept95_oos_recall", "out_of_scope_recall", "kept95_oos_recall", ">= 0.88", 0.523),
    ),
}


def records_of(prefix: str, name: str, by_seed: list[Record], floors: dict[str, float]) -> Iterator[Record]:
    for end, score, floor, aim, parity in RECORDS[name]:
        yield {
            "id": f"{prefix}.{end}",
            "value": mean(by_seed, score),
            **spread([one[score] for one in by_seed]),
            "floor": floors[floor],
            "parity": parity,
            "aim": aim,
            "detail": {"grams": floors["grams"], "calibration_error": mean(by_seed, "calibration_error")},
        }


def calibration_record(prefix: str, errors: dict[str, list[Record]]) -> Record:
    """The larger error of the two whole sets."""
    means = {name: mean(errors[name], "calibration_error") for name in ("banking77.full", "clinc")}
    worst = max(means, key=lambda name: means[name])
    values = [one["calibration_error"] for one in errors[worst]]
    return {
        "id": f"{prefix}.ece",
        "value": statistics.mean(values),
        **spread(values),
        "aim": "<= 0.03",
        "detail": means,
    }


def text_sets(folder: Path, settings: dict[str, Any]) -> dict[str, TextSet]:
    """In the order of their cost, each to be learned with these settings beside its own."""
    banking = folder / "banking77"
    test = LabelledTexts(*_csv(banking / "test.csv"))
    sets = {
        f"banking77.shot{shots}": TextSet(
            LabelledTexts(*_lines(banking / f"fewshot_train_{shots}")), test, {**settings, "held_out": 0.2}
        )
        for shots in (5, 10)
    }
    sets["banking77.full"] = TextSet(LabelledTexts(*_csv(banking / "train.csv")), test, {**settings, "held_out": 0.1})
    sets["clinc"] = _clinc(folder / "clinc150" / "data_full.json", {**settings, "refit": False})
    return sets


def _csv(file: Path) -> tuple[list[str], list[str | None]]:
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return [row["text"] for row in rows], [row["category"] for row in rows]


def _lines(folder: Path) -> tuple[list[str], list[str | None]]:
    texts = (folder / "seq.in").read_text(encoding="utf-8").splitlines()
    return texts, list((folder / "label").read_text(encoding="utf-8").splitlines())


def _clinc(file: Path, settings: dict[str, Any]) -> TextSet:
    """The threshold is chosen on the given validation texts, which train nothing."""
    parts = json.loads(file.read_text(encoding="utf-8"))

    def rows(*names: str) -> tuple[list[str], list[str | None]]:
        pairs = [(text, None if label == "oos" else label) for name in names for text, label in parts[name]]
        return [text for text, _ in pairs], [label for _, label in pairs]

    texts, labels = rows("train", "oos_train")
    held_texts, held_labels = rows("val", "oos_val")
    train = LabelledTexts(texts + held_texts, labels + held_labels, [False] * len(texts) + [True] * len(held_texts))
    return TextSet(train, LabelledTexts(*rows("test", "oos_test")), settings)
