"""Search ranking: in which order does a subject want the candidates of a search, whatever order they were shown in?"""

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ml.data.ranked_lists import Floats, Indices, RankedLists
from ml.evaluation.chosen import choice_gains
from ml.evaluation.ranking import bootstrap_spread
from ml.nn.additive_ranker import BUCKETS, AdditiveRanker
from ml.serving.artifact import write_json
from ml.serving.search_ranking import RANKING_FORMAT, SearchRankingPredictor, score_rows
from ml.tasks.base import FitReport
from ml.tasks.examination import examination_of
from ml.tasks.search_ranking_config import SearchRankingConfig
from ml.training.environment import seeded
from ml.training.listwise import ListBatch, gather_lists, listwise_softmax
from ml.training.progress import Progress, Report
from ml.training.trainer import Trainer, TrainerSettings

TASK = "search_ranking"
METRIC = "ndcg@10"
# Untrained orders, each by falling values of one feature.
BASELINES = {"client_order": "client_rank", "popularity": "popularity"}
# With fewer, the newest tenth holds too few choices to tell two orders apart.
LEAST_LISTS = 200


class SearchRankingTask:
    """An additive ranker that learns from what was chosen of shown lists; see `ml.tasks.base.Task`."""

    def fit(
        self,
        columns: RankedLists,
        config: dict[str, Any],
        out: Path,
        *,
        progress: Report,
        initial: Path | None = None,
    ) -> FitReport:
        settings, out = SearchRankingConfig.from_dict(config), Path(out)
        finished = out / "report.json"
        if finished.exists():
            return FitReport(**json.loads(finished.read_text(encoding="utf-8")))
        if len(columns) < LEAST_LISTS:
            raise ValueError(
                f"{len(columns)} lists have a chosen item; training needs {LEAST_LISTS}: send events with the "
                "decision_id of the ranking that they follow from"
            )
        out.mkdir(parents=True, exist_ok=True)
        with seeded(settings.seed, settings.threads):
            report, model = _fit(columns, settings, out, progress, initial)
        progress(Progress("saving", metrics={METRIC: report.score}))
        _save(out, model, columns.names, settings)
        # The report comes last: with it the artifact is complete.
        write_json(finished, report.to_dict())
        shutil.rmtree(out / "checkpoint", ignore_errors=True)
        return report

    def evaluate(self, artifact: Path, columns: RankedLists, *, since: float, until: float) -> dict[str, float]:
        """NDCG@10 of the choices in the window, weighed by the examination that these lists themselves show."""
        chosen = np.flatnonzero((columns.time >= since) & (columns.time < until))
        if not len(chosen):
            raise ValueError("no list with a chosen item lies in the window; nothing to evaluate on")
        predictor = SearchRankingPredictor.load(artifact)
        scores = predictor.score(columns.features, columns.names)
        gains = choice_gains(columns, chosen, scores, examination_of(columns))
        return {"cases": len(gains), METRIC: float(gains.mean())}


def _fit(
    lists: RankedLists, settings: SearchRankingConfig, out: Path, progress: Report, initial: Path | None
) -> tuple[FitReport, AdditiveRanker]:
    started = time.monotonic()
    progress(Progress("baselines"))
    validation_time, test_time = np.quantile(lists.time, [settings.validation_quantile, settings.test_quantile])
    train = np.flatnonzero(lists.time < validation_time)
    validation = np.flatnonzero((lists.time >= validation_time) & (lists.time < test_time))
    test = np.flatnonzero(lists.time >= test_time)
    if not (len(train) and len(validation)):
        raise ValueError("the lists were all shown at the same time; nothing is left to test on")
    examination = examination_of(lists) if settings.position_bias else np.ones(BUCKETS, dtype=np.float32)
    baselines = {
        name: choice_gains(lists, test, lists.column(feature), examination) for name, feature in BASELINES.items()
    }

    model = _network(lists, train, settings, examination, initial)

    def gains(chosen: Indices, weights: NDArray[np.floating] = examination) -> NDArray[np.float64]:
        scores = np.zeros(len(lists.rank), dtype=np.float32)
        rows = lists.rows_of(chosen)
        scores[rows] = score_rows(model, lists.features[rows])
        return choice_gains(lists, chosen, scores, weights)

    trainer = Trainer(
        model,
        batches=lambda epoch: _batches(train, settings, epoch),
        loss=lambda chosen: _loss(model, gather_lists(lists, chosen), settings),
        evaluate=lambda: {METRIC: float(gains(validation).mean())},
        settings=TrainerSettings(
            epochs=settings.epochs,
            patience=settings.patience,
            learning_rate=settings.learning_rate,
            weight_decay=0.0,
            metric=METRIC,
            checkpoint_seconds=settings.checkpoint_seconds,
            mixed_precision=False,
        ),
        folder=out,
        report=progress,
    )
    trainer.fit()
    progress(Progress("evaluating"))
    tested, best = gains(test), max(baselines.values(), key=lambda each: each.mean())
    report = FitReport(
        metric=METRIC,
        score=float(tested.mean()),
        spread=bootstrap_spread(tested, seed=settings.seed),
        gain_spread=bootstrap_spread(tested - best, seed=settings.seed),
        baselines={name: float(each.mean()) for name, each in baselines.items()},
        validation={METRIC: float(gains(validation).mean())},
        test={METRIC: float(tested.mean()), "uncorrected_ndcg@10": float(gains(test, np.ones(BUCKETS)).mean())},
        first_event={},
        curve=trainer.state.curve,
        counts={
            "lists": len(lists),
            "items_shown": len(lists.rank),
            "choices": int(np.count_nonzero(lists.grade)),
            "features": len(lists.names),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
        },
        mixture={},
        split={"kind": "global_time", "validation_time": float(validation_time), "test_time": float(test_time)},
        seconds=time.monotonic() - started,
    )
    return report, model


def _network(
    lists: RankedLists, train: Indices, settings: SearchRankingConfig, examination: Floats, initial: Path | None
) -> AdditiveRanker:
    """A fresh ranker, or one that goes on from the weights of a former one with the same features."""
    if initial is not None:
        former = SearchRankingPredictor.load(initial)
        if former.names == lists.names and former.model.outer.shape[1] == settings.hidden:
            return former.model.train()
    model = AdditiveRanker(len(lists.names), settings.hidden)
    model.standardise_by(lists.features[lists.rows_of(train)])
    model.position.data.copy_(torch.from_numpy(np.log(examination)))
    return model


def _batches(train: Indices, settings: SearchRankingConfig, epoch: int) -> list[Indices]:
    order = np.random.default_rng([settings.seed, epoch]).permutation(train)
    return [order[begin : begin + settings.batch_lists] for begin in range(0, len(order), settings.batch_lists)]


def _loss(model: AdditiveRanker, batch: ListBatch, settings: SearchRankingConfig) -> torch.Tensor:
    logits = model(batch.features)
    if settings.position_bias:
        logits = logits + model.position[batch.bucket]
    return listwise_softmax(logits, batch) + settings.ridge * model.penalty()


def _save(out: Path, model: AdditiveRanker, names: list[str], settings: SearchRankingConfig) -> None:
    from safetensors.torch import save_file

    partial = out / "model.safetensors.partial"
    save_file({name: weight.contiguous() for name, weight in model.state_dict().items()}, partial)
    os.replace(partial, out / "model.safetensors")
    config = {
        "format": RANKING_FORMAT,
        "task": TASK,
        "features": names,
        "hidden": settings.hidden,
        "settings": settings.to_dict(),
    }
    write_json(out / "config.json", config)
