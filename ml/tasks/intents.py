"""Intents: what does the writer of a text want, from few or many examples of each want?"""

import hashlib
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.data.labelled_texts import LabelledTexts, Rows
from ml.data.text_grams import gram_counts, inverse_frequency, weighted
from ml.evaluation.classification import expected_calibration_error
from ml.evaluation.ranking import bootstrap_spread
from ml.nn.text_encoder import RememberingEncoder, intent_encoder_name, lent_to, pretrained_encoder
from ml.serving.artifact import write_json
from ml.serving.intent_requests import IntentPrediction
from ml.serving.intents import Evidence, IntentModel, IntentPredictor, Route
from ml.tasks.base import FitReport
from ml.tasks.intents_config import IntentsConfig
from ml.tasks.intents_training import encoded_rows, fit_grams, fit_model, fit_route
from ml.training.environment import device_named, seeded
from ml.training.progress import Progress, Report

METRIC = "accuracy"
TICK_STEPS = 10
# With fewer held-out texts in scope neither a line nor a calibration means anything.
LEAST_HELD_OUT = 20
# Which encoder a run has kept, as its report says under `split`.
TUNED, FROZEN = "tuned", "frozen"
# In an artifact: {SHA-256 of a held-out text: the answer of the model that had not seen it}; empty without a refit.
BEFORE_REFIT = "before_refit.json"

Answers = dict[str, IntentPrediction]


class IntentsTask:
    """A tuned text encoder and n-grams, mixed and calibrated; see `ml.tasks.base.Task`."""

    def fit(
        self,
        columns: LabelledTexts,
        config: dict[str, Any],
        out: Path,
        *,
        progress: Report,
        initial: Path | None = None,
    ) -> FitReport:
        """Every run starts from the pretrained encoder: `initial` is not gone on from, since intents may have changed
        their meaning. A run that was stopped starts again."""
        settings, out = IntentsConfig.from_dict(config), Path(out)
        finished = out / "report.json"
        if finished.exists():
            return FitReport(**json.loads(finished.read_text(encoding="utf-8")))
        train, held = columns.split(settings.held_out, settings.seed)
        _refuse_unusable(columns, train, held)
        out.mkdir(parents=True, exist_ok=True)
        pretrained = RememberingEncoder(pretrained_encoder(intent_encoder_name()))
        with seeded(settings.seed, settings.threads), lent_to(pretrained, device_named(settings.device)):
            report, predictor, before = _fit(columns, train, held, settings, pretrained, progress)
        progress(Progress("saving", metrics={METRIC: report.score}))
        predictor.save(out, settings.to_dict(), tuned=report.split["encoder"] == TUNED)
        write_json(out / BEFORE_REFIT, before)
        # The report comes last: with it the artifact is complete.
        write_json(finished, report.to_dict())
        return report

    def evaluate(
        self, artifact: Path, columns: LabelledTexts, *, since: float = 0.0, until: float = float("inf")
    ) -> dict[str, float]:
        """Accuracy in scope, calibration, and what the threshold does on texts that the artifact was not trained on.

        Where the data mark what is held out, these texts alone; what was held out from this artifact as well has the
        answer from before the refit. Labels that the model does not know count as wrong. Texts have no time: the window
        is not looked at.
        """
        rows = range(len(columns)) if columns.held_out is None else np.flatnonzero(columns.held_out).tolist()
        texts, labels = [columns.texts[row] for row in rows], [columns.labels[row] for row in rows]
        before = _answers_before_refit(artifact)
        new = [text for text in texts if _key(text) not in before]
        before |= {
            _key(text): answer
            for text, answer in zip(
                new, IntentPredictor.load(artifact).predict([{"text": text} for text in new]), strict=True
            )
        }
        answers = [before[_key(text)] for text in texts]
        known = np.array([label is not None for label in labels])
        right = np.array([answer["intent"] == label for answer, label in zip(answers, labels, strict=True)], dtype=bool)
        kept = np.array([not answer["out_of_scope"] for answer in answers])
        if not known.any():
            raise ValueError("no text has a label; nothing to evaluate on")
        correct = np.array([answer["probability"] for answer in answers])
        scores = {
            "cases": float(known.sum()),
            METRIC: float(right[known].mean()),
            "calibration_error": expected_calibration_error(correct[known], right[known].astype(np.int64)),
            "kept": float(kept[known].mean()),
            "kept_accuracy": float((kept & right)[known].mean()),
        }
        return scores if known.all() else {**scores, "out_of_scope_recall": float(1.0 - kept[~known].mean())}


def _fit(
    data: LabelledTexts,
    train: Rows,
    held: Rows,
    settings: IntentsConfig,
    pretrained: RememberingEncoder,
    progress: Report,
) -> tuple[FitReport, IntentPredictor, Answers]:
    """The report, what is stored, and what was answered to the held-out texts if these train it too.

    The tuned encoder or the frozen one, whichever answers more of the held-out texts right; the report says which.
    """
    started = time.monotonic()

    def tick(step: int, steps: int) -> None:
        if step % TICK_STEPS == 0:
            progress(Progress("training", step=step, steps=steps))

    progress(Progress("baselines"))
    codes, texts = data.codes(), [data.texts[row] for row in held]
    encoded, wanted = encoded_rows(texts), codes[held]
    inside = wanted >= 0
    grams = fit_grams(data, train, settings)
    frozen = fit_model(data, train, replace(settings, tune=False), pretrained, grams, tick)
    tuned = fit_model(data, train, settings, pretrained, grams, tick) if settings.tune else frozen
    progress(Progress("evaluating"))
    routed = encoded & bool(frozen.members)
    judged = {FROZEN: _judged(frozen, texts, wanted, routed, settings)}
    if tuned is not frozen and frozen.members:
        judged[TUNED] = _judged(tuned, texts, wanted, routed, settings)
    # Few or noisy texts can leave a tuned encoder behind the one that it came from.
    kept = max(judged, key=lambda name: (judged[name].right.mean(), judged[name].encoder_alone, name == TUNED))
    model, evidence, right = judged[kept].model, judged[kept].evidence, judged[kept].right
    majority = np.bincount(codes[train][codes[train] >= 0]).argmax()
    baselines = {
        "nearest_example": (_nearest_codes(data, train, texts) == wanted)[inside],
        "majority": (wanted == majority)[inside],
    }
    parts = {"grams": float((evidence.grams.argmax(axis=1) == wanted)[inside].mean())}
    for name, each in judged.items():
        parts |= {name: float(each.right.mean())}
        if frozen.members:
            parts |= {f"{name}_encoder": each.encoder_alone}
    best = max(baselines.values(), key=lambda each: float(each.mean()))
    routes = _routes(evidence, wanted, routed, settings)
    before: Answers = {}
    if settings.refit:
        answers = IntentPredictor(model, data.intents, routes).predict([{"text": text} for text in texts])
        before = {_key(text): answer for text, answer in zip(texts, answers, strict=True)}
        both, again = np.union1d(train, held), replace(settings, tune=kept == TUNED)
        model = fit_model(data, both, again, pretrained, fit_grams(data, both, settings), tick)
    predictor = IntentPredictor(model, data.intents, routes)
    report = FitReport(
        metric=METRIC,
        score=float(right.mean()),
        spread=bootstrap_spread(right.astype(np.float64), seed=settings.seed),
        gain_spread=bootstrap_spread(right.astype(np.float64) - best, seed=settings.seed),
        baselines={name: float(each.mean()) for name, each in baselines.items()},
        validation={METRIC: float(right.mean()), **parts},
        test={METRIC: float(right.mean())},
        first_event={},
        curve=[],
        counts=_counts(data, train, held, model),
        mixture={name: route.gram_share for name, route in routes.items()},
        split={
            "kind": "held_out",
            "marked": data.held_out is not None,
            "share": settings.held_out,
            "encoder": kept,
        },
        seconds=time.monotonic() - started,
    )
    return report, predictor, before


@dataclass(frozen=True)
class _Judged:
    """A model on the held-out texts: which of those in scope it answers right, and the share of its encoder alone."""

    model: IntentModel
    evidence: Evidence
    right: NDArray[np.bool_]
    encoder_alone: float


def _judged(
    model: IntentModel, texts: list[str], wanted: Rows, routed: NDArray[np.bool_], settings: IntentsConfig
) -> _Judged:
    evidence, inside = model.evidence(texts, routed), wanted >= 0
    alone = np.where(routed, evidence.encoders.argmax(axis=1), evidence.grams.argmax(axis=1)) == wanted
    return _Judged(model, evidence, _right(evidence, wanted, routed, settings)[inside], float(alone[inside].mean()))


def _answers_before_refit(artifact: Path) -> Answers:
    found: Answers = json.loads((Path(artifact) / BEFORE_REFIT).read_text(encoding="utf-8"))
    return found


def _key(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _nearest_codes(data: LabelledTexts, train: Rows, texts: list[str]) -> Rows:
    """(texts,): the intent of the training text with the most n-grams in common, which needs no training."""
    codes = data.codes()
    known = train[codes[train] >= 0]
    counts = gram_counts([data.texts[row] for row in known])
    inverse = inverse_frequency(counts)
    similar = weighted(gram_counts(texts), inverse) @ weighted(counts, inverse).T
    nearest: Rows = codes[known][np.asarray(similar.argmax(axis=1)).ravel()]
    return nearest


def _routes(evidence: Evidence, wanted: Rows, routed: NDArray[np.bool_], settings: IntentsConfig) -> dict[str, Route]:
    """Grams learn from all held-out texts, because few may be in a script of their own."""
    routes = {"grams": fit_route(evidence, wanted, settings, gram_share=1.0)}
    if (routed & (wanted >= 0)).any():
        routes["encoder"] = fit_route(evidence.rows(routed), wanted[routed], settings)
    return routes


def _right(evidence: Evidence, wanted: Rows, routed: NDArray[np.bool_], settings: IntentsConfig) -> NDArray[np.bool_]:
    """(texts,): whether the answer is right, each half of the texts answered with the mixture that the other chose."""
    right = np.zeros(len(wanted), dtype=bool)
    half = np.arange(len(wanted)) % 2 == 0
    for asked in (half, ~half):
        routes = _routes(evidence.rows(~asked), wanted[~asked], routed[~asked], settings)
        for name, rows in (("encoder", asked & routed), ("grams", asked & ~routed)):
            route = routes.get(name, routes["grams"])
            right[rows] = route.probabilities(evidence.rows(rows)).argmax(axis=1) == wanted[rows]
    return right


def _refuse_unusable(data: LabelledTexts, train: Rows, held: Rows) -> None:
    codes = data.codes()
    if len(data.intents) < 2:
        raise ValueError(f"the texts have {len(data.intents)} intents; training needs at least two to tell apart")
    if (codes[held] >= 0).sum() < LEAST_HELD_OUT:
        raise ValueError(
            f"{int((codes[held] >= 0).sum())} texts would be held out; training needs {LEAST_HELD_OUT} of them: give "
            "more examples, or raise held_out"
        )
    missing = set(range(len(data.intents))) - set(codes[train].tolist())
    if missing:
        raise ValueError(f"intent '{data.intents[min(missing)]}' has no text to train on; mark fewer as held out")


def _counts(data: LabelledTexts, train: Rows, held: Rows, model: IntentModel) -> dict[str, int]:
    return {
        "texts": len(data),
        "intents": len(data.intents),
        "out_of_scope": sum(label is None for label in data.labels),
        "trained_on": len(train),
        "held_out": len(held),
        "members": len(model.members),
    }
