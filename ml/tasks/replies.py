"""Replies: which of the candidates would an agent give in this conversation, to a customer who did this before?"""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.data.reply_pairs import ReplyPairs, Rows, reply_codes, reply_lists
from ml.data.vocabulary import Vocabulary
from ml.evaluation.calibration import PlattCalibrator
from ml.evaluation.classification import expected_calibration_error
from ml.evaluation.ranking import bootstrap_spread, pessimistic_ranks
from ml.serving.artifact import write_json
from ml.serving.familiarity import Familiarity
from ml.serving.replies import SIGNALS, ReplyModel, ReplyPredictor, signals_of
from ml.serving.reply_inputs import BUCKETS, read_conversations, read_replies
from ml.tasks.base import FitReport
from ml.tasks.replies_config import RepliesConfig
from ml.tasks.replies_training import (
    encoder_for,
    examples_of,
    fit_calibration,
    fit_mixture,
    fresh_network,
    word_statistics,
)
from ml.training.environment import device_named, seeded
from ml.training.progress import Progress, Report
from ml.training.reply_tuning import Examples, ReplyTuning, batches_of, train_reply_encoder

METRIC = "mrr"
TICK_STEPS = 10
# With fewer held-out pairs neither a mixture nor a calibration means anything.
LEAST_HELD_OUT = 40
# So many pairs are enough to choose and to judge.
MOST_JUDGED = 2_000

Doubles = NDArray[np.float64]


class RepliesTask:
    """A dual encoder, BM25 and the pretrained encoder, mixed and calibrated; see `ml.tasks.base.Task`."""

    def fit(
        self,
        columns: ReplyPairs,
        config: dict[str, Any],
        out: Path,
        *,
        progress: Report,
        initial: Path | None = None,
    ) -> FitReport:
        """Every run starts from fresh weights; `initial` is not gone on from. A run that was stopped starts again."""
        settings, out = RepliesConfig.from_dict(config), Path(out)
        finished = out / "report.json"
        if finished.exists():
            return FitReport(**json.loads(finished.read_text(encoding="utf-8")))
        parts = columns.split(settings.held_out)
        _refuse_unusable(columns, parts)
        out.mkdir(parents=True, exist_ok=True)
        with seeded(settings.seed, settings.threads):
            report, predictor = _fit(columns, parts, settings, progress)
        progress(Progress("saving", metrics={METRIC: report.score}))
        predictor.save(out, settings.to_dict())
        # The report comes last: with it the artifact is complete.
        write_json(finished, report.to_dict())
        return report

    def evaluate(
        self, artifact: Path, columns: ReplyPairs, *, since: float = 0.0, until: float = float("inf")
    ) -> dict[str, float]:
        """How each true reply ranks among 99 others drawn from the same pairs; what ties with it ranks before it.

        Of the pairs whose group began in [since, until) the newest are judged where there are many. Pairs that do not
        know their time are all in the window.
        """
        model = ReplyPredictor.load(artifact).model
        rows = columns.between(since, until)[-MOST_JUDGED:]
        replies = [columns.replies[row] for row in rows]
        asked = model.asked(
            read_conversations([columns.conversations[row] for row in rows], model.encoder), columns.events_of(rows)
        )
        lists = reply_lists(replies, RepliesConfig().candidates, seed=0)
        signals = signals_of(asked, model.replies(read_replies(replies, model.encoder)))
        return {"cases": float(len(rows)), **scores_of(model, _in_lists(signals, lists), asked.familiar)}


def scores_of(model: ReplyModel, signals: Doubles, familiar: Doubles) -> dict[str, float]:
    """Of lists whose first reply is the true one; signals (cases, replies, SIGNALS), familiar (cases,)."""
    logits = model.logits(signals)
    ranks = ranks_of(logits)
    best = logits.argmax(axis=1)
    certain = model.probabilities(logits, familiar)[np.arange(len(best)), best]
    return {
        **rank_scores(ranks),
        "calibration_error": expected_calibration_error(certain, (ranks == 1).astype(np.int64)),
    }


def rank_scores(ranks: NDArray[np.int64]) -> dict[str, float]:
    return {
        METRIC: float((1.0 / ranks).mean()),
        "recall@1": float((ranks == 1).mean()),
        "recall@5": float((ranks <= 5).mean()),
    }


def ranks_of(scores: Doubles) -> NDArray[np.int64]:
    """1-based ranks of the first column."""
    return pessimistic_ranks(scores, np.zeros(len(scores), dtype=np.int64))


def _fit(
    pairs: ReplyPairs, parts: tuple[Rows, Rows, Rows], settings: RepliesConfig, progress: Report
) -> tuple[FitReport, ReplyPredictor]:
    started = time.monotonic()

    def tick(step: int, steps: int) -> None:
        if step % TICK_STEPS == 0:
            progress(Progress("training", step=step, steps=steps))

    train, chooses, judges = parts[0], parts[1][-MOST_JUDGED:], parts[2][-MOST_JUDGED:]
    encoder = encoder_for(pairs, train) if settings.pretrained else None
    if encoder is not None:
        progress(Progress("text"))
    examples = examples_of(pairs, train, encoder, settings)
    device = device_named(settings.device)
    epochs = max(settings.epochs, -(-settings.least_steps // batches_of(len(train), settings.batch_pairs)))
    tuning = ReplyTuning(
        epochs=epochs,
        stop_after=epochs,
        batch=settings.batch_pairs,
        learning_rate=settings.learning_rate,
        temperature=settings.temperature,
        seed=settings.seed,
    )
    familiarity = Familiarity.fit(examples.asked.rows(train), examples.asked.rows(chooses))
    model = ReplyModel(
        network=fresh_network(examples, settings).to(device),
        words=word_statistics(examples, train),
        vocabulary=examples.vocabulary,
        encoder=encoder,
        weights=np.array([1.0 / settings.temperature, 0.0, 0.0]),
        calibrator=PlattCalibrator(1.0, 0.0),
        familiarity=familiarity,
    )

    def judge() -> float:
        return rank_scores(ranks_of(_listed(model, examples, pairs, chooses, settings)[:, :, 0]))[METRIC]

    epochs, scores = train_reply_encoder(model.network, examples, train, tuning, judge=judge, tick=tick)
    progress(Progress("evaluating"))
    chosen = _listed(model, examples, pairs, chooses, settings)
    model.weights = fit_mixture(chosen)
    model.calibrator = fit_calibration(model.logits(chosen))
    judged = _listed(model, examples, pairs, judges, settings)
    reciprocal = 1.0 / ranks_of(model.logits(judged))
    untrained = {"words": 1, "meaning": 2} if encoder is not None else {"words": 1}
    baselines = {name: 1.0 / ranks_of(judged[:, :, signal]) for name, signal in untrained.items()}
    best = max(baselines.values(), key=lambda each: float(each.mean()))
    if settings.refit:
        every = np.arange(len(pairs))
        model.network = fresh_network(examples, settings).to(device)
        model.words = word_statistics(examples, every)
        again = ReplyTuning(**{**vars(tuning), "stop_after": epochs})
        train_reply_encoder(model.network, examples, every, again, tick=tick)
    model.network.cpu()
    report = FitReport(
        metric=METRIC,
        score=float(reciprocal.mean()),
        spread=bootstrap_spread(reciprocal, seed=settings.seed),
        gain_spread=bootstrap_spread(reciprocal - best, seed=settings.seed),
        baselines={name: float(each.mean()) for name, each in baselines.items()},
        validation=scores_of(model, chosen, familiarity(examples.asked.rows(chooses))),
        test=scores_of(model, judged, familiarity(examples.asked.rows(judges))),
        first_event={},
        curve=[{"epoch": epoch, METRIC: score} for epoch, score in enumerate(scores, start=1)],
        counts=_counts(pairs, train, model),
        mixture=dict(zip(SIGNALS, model.weights.tolist(), strict=True)),
        split={
            "kind": "newest",
            "share": settings.held_out,
            "epochs": epochs,
            # What a second training on all pairs has seen is no holdout to compare versions on.
            "test_time": None if settings.refit or pairs.times is None else float(pairs.time[parts[2]].min()),
        },
        seconds=time.monotonic() - started,
    )
    # Pairs that have chosen an epoch are flattered by it; those that judged were not asked, and count with them now.
    model.calibrator = fit_calibration(model.logits(chosen), model.logits(judged))
    return report, ReplyPredictor(model)


def _listed(model: ReplyModel, examples: Examples, pairs: ReplyPairs, rows: Rows, settings: RepliesConfig) -> Doubles:
    """Signals of these pairs' lists, whose other replies come from these pairs too: (rows, candidates, SIGNALS)."""
    asked = model.asked(examples.asked.rows(rows), [examples.events[row] for row in rows])
    signals = signals_of(asked, model.replies(examples.replies.rows(rows)))
    return _in_lists(signals, reply_lists([pairs.replies[row] for row in rows], settings.candidates, settings.seed))


def _in_lists(signals: Doubles, lists: Rows) -> Doubles:
    return np.take_along_axis(signals, lists[:, :, None], axis=1)


def _refuse_unusable(pairs: ReplyPairs, parts: tuple[Rows, Rows, Rows]) -> None:
    train, chooses, judges = parts
    if min(len(chooses), len(judges)) < LEAST_HELD_OUT // 2:
        raise ValueError(
            f"{len(chooses)} pairs would choose and {len(judges)} judge; training needs {LEAST_HELD_OUT // 2} of each: "
            "give more pairs, or raise held_out"
        )
    if len(train) < 2:
        raise ValueError("hardly a pair is left to train on; lower held_out")
    for part in parts:
        if len(np.unique(reply_codes([pairs.replies[row] for row in part]))) < 2:
            raise ValueError("the replies are all the same; nothing can be told apart")


def _counts(pairs: ReplyPairs, train: Rows, model: ReplyModel) -> dict[str, int]:
    vocabulary: Vocabulary = model.vocabulary
    return {
        "pairs": len(pairs),
        "replies": len(np.unique(reply_codes(pairs.replies))),
        "trained_on": len(train),
        "event_types": len(vocabulary.types),
        "items": len(vocabulary.items),
        "parameters": sum(weight.numel() for weight in model.network.parameters()),
        "buckets": BUCKETS,
    }
