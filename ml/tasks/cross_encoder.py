"""The cross-encoder: which of the passages that a search found answers a question?"""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.data.newest import Rows
from ml.data.passage_lists import PassageLists
from ml.evaluation.calibration import Calibrator, PlattCalibrator, fit_calibrator
from ml.evaluation.ranking import bootstrap_spread
from ml.nn.cross_encoder import CrossEncoder, starting_cross_encoder
from ml.serving.artifact import write_json
from ml.serving.cross_encoder import CrossEncoderPredictor, Reading
from ml.tasks.base import FitReport
from ml.tasks.cross_encoder_config import CrossEncoderConfig
from ml.training.cross_tuning import CrossTuning, tune_cross_encoder
from ml.training.environment import seeded
from ml.training.progress import Progress, Report

METRIC = "mrr"
TICK_STEPS = 10
# With fewer lists that choose, or that judge, neither a weight nor a gate means anything.
LEAST_HELD_OUT = 20
MOST_JUDGED = 500
# What a passage's place counts beside the model, whose logits have a spread of 1.
PLACE_WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)

Doubles = NDArray[np.float64]


class CrossEncoderTask:
    """A transformer over pairs, tuned on hard negatives, weighed beside the search's order and calibrated; see
    `ml.tasks.base.Task`."""

    def fit(
        self,
        columns: PassageLists,
        config: dict[str, Any],
        out: Path,
        *,
        progress: Report,
        initial: Path | None = None,
    ) -> FitReport:
        """Every run starts from `starting_cross_encoder`; `initial` is not gone on from. A run that was stopped starts
        again."""
        settings, out = CrossEncoderConfig.from_dict(config), Path(out)
        finished = out / "report.json"
        if finished.exists():
            return FitReport(**json.loads(finished.read_text(encoding="utf-8")))
        train, chooses, judges = columns.split(settings.held_out)
        parts = train, _judged(columns, chooses), _judged(columns, judges)
        _refuse_unusable(parts, settings)
        out.mkdir(parents=True, exist_ok=True)
        with seeded(settings.seed, settings.threads):
            report, predictor = _fit(columns, parts, settings, progress)
        progress(Progress("saving", metrics={METRIC: report.score}))
        predictor.save(out, settings.to_dict())
        # The report comes last: with it the artifact is complete.
        write_json(finished, report.to_dict())
        return report

    def evaluate(
        self, artifact: Path, columns: PassageLists, *, since: float = 0.0, until: float = float("inf")
    ) -> dict[str, float]:
        """Reciprocal rank of the best right passage, of the lists in the window that have right and wrong ones; the
        newest where there are many."""
        predictor = CrossEncoderPredictor.load(artifact)
        rows = _judged(columns, columns.between(since, until))
        logits = _read(predictor.model, columns, rows, predictor.reading)
        reciprocal = reciprocal_ranks(columns, rows, logits, predictor.reading)
        return {"cases": float(len(rows)), METRIC: float(reciprocal.mean()) if len(rows) else 0.0}


def reciprocal_ranks(lists: PassageLists, rows: Rows, logits: Sequence[Doubles], reading: Reading) -> Doubles:
    """(rows,): 1 / rank of the best right passage among those found, once the first ones are in their new order."""
    return np.array(
        [_reciprocal(lists, row, new_order(each, reading)) for row, each in zip(rows, logits, strict=True)],
        dtype=np.float64,
    )


def new_order(logits: Doubles, reading: Reading) -> Rows:
    """Numbers of the passages that were read, best first."""
    scores = reading.scores(logits, np.arange(len(logits), dtype=np.float64))
    return np.argsort(-scores, kind="stable")


def _reciprocal(lists: PassageLists, row: int, order: Rows) -> float:
    """What stands behind those in `order` keeps its place."""
    right = lists.right[row][: lists.found[row]]
    ordered = [right[number] for number in order] + right[len(order) :]
    return 1.0 / (1 + ordered.index(True))


def _judged(lists: PassageLists, rows: Rows) -> Rows:
    return np.array([row for row in rows if lists.is_answered(row)], dtype=np.int64)[-MOST_JUDGED:]


def _read(model: CrossEncoder, lists: PassageLists, rows: Rows, reading: Reading) -> list[Doubles]:
    """The model's logits of each list's first passages."""
    counts = [min(lists.found[row], reading.passages) for row in rows]
    asked = [text for row, count in zip(rows, counts, strict=True) for text in lists.asked[row][:count]]
    passages = [text for row, count in zip(rows, counts, strict=True) for text in lists.passages[row][:count]]
    logits = model.scores(asked, passages, tokens_read=reading.tokens)
    return np.split(logits, np.cumsum(counts))[: len(rows)]


def _fit(
    lists: PassageLists, parts: tuple[Rows, Rows, Rows], settings: CrossEncoderConfig, progress: Report
) -> tuple[FitReport, CrossEncoderPredictor]:
    started = time.monotonic()
    train, chooses, judges = parts

    def tick(step: int, steps: int) -> None:
        if step % TICK_STEPS == 0:
            progress(Progress("training", step=step, steps=steps))

    alone = Reading(settings.passages, settings.tokens)

    def judge(model: CrossEncoder) -> float:
        return float(reciprocal_ranks(lists, chooses, _read(model, lists, chooses, alone), alone).mean())

    model = starting_cross_encoder()
    scores: list[float] = []
    if settings.epochs:
        tuning = CrossTuning(
            epochs=settings.epochs,
            batch_lists=settings.batch_lists,
            negatives=settings.negatives,
            tokens=settings.tokens,
            learning_rate=settings.learning_rate,
            layer_decay=settings.layer_decay,
            head_rate=settings.head_rate,
            seed=settings.seed,
            device=settings.device,
        )
        model, scores = tune_cross_encoder(model, lists, train, tuning, judge=judge, tick=tick)
    progress(Progress("evaluating"))
    logits = _read(model, lists, chooses, alone)
    reading = best_reading(lists, chooses, logits, alone)
    predictor = CrossEncoderPredictor(model, reading, _calibration(lists, chooses, logits, reading))
    reciprocal = reciprocal_ranks(lists, judges, _read(model, lists, judges, reading), reading)
    baselines = {
        "sentences": np.array([_reciprocal(lists, row, np.arange(0)) for row in judges]),
        "fused": np.array(
            [_reciprocal(lists, row, np.argsort(lists.fused[row][: lists.found[row]])) for row in judges]
        ),
    }
    best = max(baselines.values(), key=lambda each: float(each.mean()))
    report = FitReport(
        metric=METRIC,
        score=float(reciprocal.mean()),
        spread=bootstrap_spread(reciprocal, seed=settings.seed),
        gain_spread=bootstrap_spread(reciprocal - best, seed=settings.seed),
        baselines={name: float(each.mean()) for name, each in baselines.items()},
        validation={METRIC: float(reciprocal_ranks(lists, chooses, logits, reading).mean())},
        test={METRIC: float(reciprocal.mean())},
        first_event={},
        curve=[{"epoch": epoch, METRIC: score} for epoch, score in enumerate(scores)],
        counts={"lists": len(lists), "trained_on": len(train), "chosen_by": len(chooses), "judged_by": len(judges)},
        mixture={"place": reading.place_weight},
        split={"kind": "newest", "share": settings.held_out, "test_time": float(lists.time[judges].min())},
        seconds=time.monotonic() - started,
    )
    return report, predictor


def best_reading(lists: PassageLists, rows: Rows, logits: Sequence[Doubles], alone: Reading) -> Reading:
    """What the search's order counts beside the model; of equally good weights the greatest, which trusts the model
    least."""
    spread = float(np.concatenate(logits).std()) or 1.0
    readings = [Reading(alone.passages, alone.tokens, spread, weight) for weight in reversed(PLACE_WEIGHTS)]
    return max(readings, key=lambda each: float(reciprocal_ranks(lists, rows, logits, each).mean()))


def _calibration(lists: PassageLists, rows: Rows, logits: Sequence[Doubles], reading: Reading) -> Calibrator:
    scores = np.concatenate([reading.scores(each, np.arange(len(each), dtype=np.float64)) for each in logits])
    right = [right for row, each in zip(rows, logits, strict=True) for right in lists.right[row][: len(each)]]
    outcomes = np.array(right, dtype=np.float64)
    return fit_calibrator("platt", scores, outcomes) if 0 < outcomes.mean() < 1 else PlattCalibrator(1.0, 0.0)


def _refuse_unusable(parts: tuple[Rows, Rows, Rows], settings: CrossEncoderConfig) -> None:
    train, chooses, judges = parts
    if min(len(chooses), len(judges)) < LEAST_HELD_OUT:
        raise ValueError(
            f"of the newest questions, whose right passage the search has found, {len(chooses)} would choose and "
            f"{len(judges)} judge; training needs {LEAST_HELD_OUT} of each: judge more drafts in the inbox, publish "
            "more articles, or raise held_out"
        )
    if settings.epochs and not len(train):
        raise ValueError("no list is left to train on; lower held_out")
