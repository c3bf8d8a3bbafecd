"""Next item: which item does a subject's next event concern?"""

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ml.data.columns import EventColumns
from ml.data.item_features import ItemFeatures
from ml.data.splits import Cases, Split, count_before, global_time_split, leave_one_out_split, window_cases
from ml.data.vocabulary import Vocabulary, recode
from ml.evaluation.mixture import (
    NEIGHBORS,
    NEURAL,
    POPULARITY,
    Mixture,
    blended_mixtures,
    choose_mixture,
    untrained_mixtures,
)
from ml.evaluation.ranking import bootstrap_spread, ndcg, ranking_metrics
from ml.evaluation.session_neighbors import NeighborSettings
from ml.evaluation.untrained import Untrained, count_untrained
from ml.serving.artifact import Artifact
from ml.serving.scorer import Scorer
from ml.tasks.base import FitReport
from ml.tasks.config import NextItemConfig
from ml.tasks.head_evaluation import measure_heads
from ml.tasks.item_descriptions import ItemDescriptions
from ml.tasks.multi_task import MultiTask
from ml.tasks.next_item_artifact import TRIALS, finish_artifact, save_artifact
from ml.tasks.next_item_evaluation import CaseEvaluator, Ranks
from ml.tasks.next_item_training import (
    build_network,
    check_memory,
    epoch_batches,
    make_loss,
    network_arguments,
    training_events,
)
from ml.tasks.search_space import SearchSpace, Trial, best_trial
from ml.training.environment import device_named, seeded
from ml.training.progress import Progress, Report
from ml.training.trainer import REPORT_SECONDS, Trainer, TrainerSettings
from ml.training.warm_start import WarmStart

Indices = NDArray[np.int64]

METRIC = "ndcg@10"
# Mixture weights are chosen on as many validation cases as keep cases * items below this.
SELECTION_SCORES = 60_000_000
# Epochs are compared on the first cases of these: more would cost more time than the training between them.
EPOCH_CASES = 2_000


class NextItemTask:
    """Next-item prediction by a sequence network mixed with untrained rules; see `ml.tasks.base.Task`."""

    def fit(
        self,
        columns: EventColumns,
        config: dict[str, Any],
        out: Path,
        *,
        progress: Report,
        initial: Path | None = None,
    ) -> FitReport:
        settings = NextItemConfig.from_dict(config)
        finished = Path(out) / "report.json"
        if finished.exists():
            return FitReport(**json.loads(finished.read_text(encoding="utf-8")))
        warm_start = WarmStart.open(initial) if initial is not None else None
        earlier = warm_start.artifact.path if warm_start is not None else None
        descriptions = ItemDescriptions(columns, folder=Path(out), earlier=earlier)
        with seeded(settings.seed, settings.threads):
            trials = _search(columns, settings, Path(out), progress, warm_start, descriptions)
        if trials:
            settings = NextItemConfig.from_dict({**config, **best_trial(trials).settings})
        with seeded(settings.seed, settings.threads):
            run = NextItemRun(columns, settings, Path(out), progress, warm_start, descriptions=descriptions)
            return run.fit(Path(out), trials)

    def evaluate(self, artifact: Path, columns: EventColumns, *, since: float, until: float) -> dict[str, float]:
        loaded = Artifact.open(artifact)
        cases, _ = window_cases(columns, start=since, end=until, successive=True)
        if not len(cases):
            raise ValueError("no event in the window has an earlier one of the same subject; nothing to evaluate on")
        evaluator = CaseEvaluator(recode(columns, loaded.vocabulary), loaded.max_length, False, lambda: None)
        ranks = evaluator.ranks(cases, [loaded.mixture], Scorer.load(loaded))[0]
        return {"cases": len(cases), **ranking_metrics(ranks)}


@dataclass(frozen=True)
class Measured:
    """A trained scorer and what it was judged by: ranks of the test targets by each predictor, case by case."""

    scorer: Scorer
    multi_task: MultiTask | None
    untrained_mixture: Mixture
    network: dict[str, Any]
    test: Cases
    ranks: dict[str, Ranks]
    report: FitReport


@dataclass
class NextItemRun:
    """One training run. `folder` takes checkpoints and the log of training; without it nothing is written.

    `placed` is a split to use instead of the settings' one, and `descriptions` are the items' instead of what lies
    beside the log.
    """

    columns: EventColumns
    settings: NextItemConfig
    folder: Path | None
    progress: Report
    warm_start: WarmStart | None = None
    placed: Split | None = None
    descriptions: ItemDescriptions | None = None

    def __post_init__(self) -> None:
        self.descriptions = self.descriptions or ItemDescriptions(self.columns)

    def tune(self) -> float:
        """Train, and the best epoch's validation score of the network alone."""
        split = self._split()
        selection, _, _ = self._sampled_cases(split)
        untrained = self._count(split)
        multi_task = MultiTask.of_run(self.columns, split, self.settings)
        _, trainer = self._train(self._network_arguments(split), split, selection, untrained, multi_task)
        return trainer.state.best_score

    def fit(self, out: Path, trials: Sequence[Trial]) -> FitReport:
        """Train and leave the artifact in `out`."""
        out.mkdir(parents=True, exist_ok=True)
        measured = self.measure()
        report = replace(measured.report, trials=[asdict(trial) for trial in trials])
        self.progress(Progress("saving", metrics={METRIC: report.score}))
        save_artifact(self._artifact(measured, out), measured.scorer, self.settings.to_dict(), self.descriptions)
        finish_artifact(out, report.to_dict())
        return report

    def _artifact(self, measured: Measured, out: Path) -> Artifact:
        return Artifact(
            path=out,
            task="next_item",
            network=measured.network,
            max_length=self.settings.max_length,
            mixture=measured.scorer.mixture,
            untrained_mixture=measured.untrained_mixture,
            vocabulary=Vocabulary(self.columns.items, self.columns.types),
            untrained=measured.scorer.untrained,
            heads=measured.multi_task.describe() if measured.multi_task else {},
        )

    def measure(self) -> Measured:
        """Train, choose the mixture on validation, and measure on test."""
        started = time.monotonic()
        self.progress(Progress("snapshot"))
        split = self._split()
        selection, validation, test = self._sampled_cases(split)
        multi_task = MultiTask.of_run(self.columns, split, self.settings)

        self.progress(Progress("baselines"))
        untrained = self._count(split)
        candidates = untrained_mixtures(with_neighbors=untrained.neighbors is not None)
        plain = [candidate for candidate in candidates if not candidate.neighbors]
        baselines = self._evaluator("baselines")
        selection_ranks = baselines.ranks(selection, candidates, untrained)
        untrained_mixture = choose_mixture(candidates, selection_ranks, self.settings.list_length)
        compared = {
            "popularity": POPULARITY,
            "sequential_rules": choose_mixture(plain, selection_ranks[: len(plain)], self.settings.list_length),
        }
        if untrained.neighbors is not None:
            compared |= {"session_neighbors": NEIGHBORS, "untrained_mixture": untrained_mixture}
        baseline_ranks = dict(zip(compared, baselines.ranks(test, list(compared.values()), untrained), strict=True))

        arguments = self._network_arguments(split)
        scorer, trainer = self._train(arguments, split, selection, untrained, multi_task)

        evaluator = self._evaluator("evaluating")
        candidates = blended_mixtures(untrained_mixture)
        selection_ranks = evaluator.ranks(selection, candidates, scorer)
        scorer = replace(scorer, mixture=choose_mixture(candidates, selection_ranks, self.settings.list_length))
        validation_ranks = evaluator.ranks(validation, [scorer.mixture], scorer)[0]
        test_ranks, coverage = evaluator.ranks_and_coverage(test, scorer.mixture, scorer)

        report = FitReport(
            metric=METRIC,
            score=float(ndcg(test_ranks, 10).mean()),
            spread=bootstrap_spread(ndcg(test_ranks, 10), seed=self.settings.seed),
            gain_spread=self._gain_spread(test_ranks, np.stack(list(baseline_ranks.values()))),
            baselines={name: float(ndcg(ranks, 10).mean()) for name, ranks in baseline_ranks.items()},
            validation=ranking_metrics(validation_ranks),
            test={**ranking_metrics(test_ranks), "coverage@10": coverage},
            first_event=self._first_event(scorer, untrained_mixture, split),
            curve=trainer.state.curve,
            counts={
                "subjects": self.columns.subjects,
                "items": len(self.columns.items),
                "events": self.columns.events,
                "parameters": sum(parameter.numel() for parameter in scorer.model.parameters()),
            },
            mixture=scorer.mixture.to_dict(),
            split=split.describe(),
            seconds=time.monotonic() - started,
            speed=_speed(trainer, split),
            heads=measure_heads(scorer.model, multi_task, evaluator, split, self.settings) if multi_task else {},
        )
        if not scorer.mixture.neighbors and not untrained_mixture.neighbors:
            scorer = replace(scorer, untrained=replace(untrained, neighbors=None))
        ranks = {"model": test_ranks, **baseline_ranks}
        return Measured(scorer, multi_task, untrained_mixture, arguments, test, ranks, report)

    def _network_arguments(self, split: Split) -> dict[str, Any]:
        if self.warm_start is None:
            return network_arguments(self.columns, split, self.settings, self._features(split))
        settings = self.settings
        if settings.copying is None:
            settings = replace(settings, copying=self.warm_start.artifact.network["copying"])
        arguments = network_arguments(self.columns, split, settings, self._features(split))
        self.warm_start.check(arguments)
        return arguments

    def _features(self, split: Split) -> ItemFeatures | None:
        assert self.descriptions is not None
        return self.descriptions.features(self.settings, split, self.progress)

    def _fresh(self, split: Split) -> Indices | None:
        """Each subject's first row that the model has not learned from; None where it has all to learn anew."""
        if self.warm_start is None or self.warm_start.trained_until is None or split.kind != "global_time":
            return None
        if not self.warm_start.learned_the_same(self.settings.to_dict()):
            return None
        return split.train_start + count_before(self.columns, self.warm_start.trained_until)

    def _split(self) -> Split:
        if self.placed is not None:
            return self.placed
        if self.settings.split == "leave_one_out":
            return leave_one_out_split(self.columns)
        return global_time_split(
            self.columns,
            validation_quantile=self.settings.validation_quantile,
            test_quantile=self.settings.test_quantile,
            successive=self.settings.successive,
        )

    def _sampled_cases(self, split: Split) -> tuple[Cases, Cases, Cases]:
        """Cases to select on, and to report validation and test on; samples of one fixed order."""
        generator = np.random.default_rng(self.settings.seed)
        limit = self.settings.evaluation_cases
        validation = split.validation.take(generator.permutation(len(split.validation))[:limit])
        test = split.test.take(generator.permutation(len(split.test))[:limit])
        affordable = max(500, SELECTION_SCORES // len(self.columns.items))
        return validation.take(slice(affordable)), validation, test

    def _count(self, split: Split) -> Untrained:
        events, wanted = training_events(split), self.settings.neighbors
        return count_untrained(
            self.columns.item[events],
            self.columns.subject_of_events()[events],
            self.columns.time[events],
            items=len(self.columns.items),
            gap=self.settings.rule_gap,
            window=self.settings.rule_window,
            successors=self.settings.rule_successors,
            neighbors=None if wanted is None else NeighborSettings.from_dict(wanted),
        )

    def _train(
        self,
        arguments: dict[str, Any],
        split: Split,
        selection: Cases,
        untrained: Untrained,
        multi_task: MultiTask | None,
    ) -> tuple[Scorer, Trainer]:
        model = build_network(arguments, untrained, self._features(split))
        if multi_task is not None:
            multi_task.start(model)
        if self.warm_start is not None:
            self.warm_start.load_into(model, Vocabulary(self.columns.items, self.columns.types))
        check_memory(model, self.settings, len(self.columns.items))
        model.to(device_named(self.settings.device))
        if self.settings.compile and model.bias.is_cuda:
            model.encoder.compile(dynamic=True)
        scorer = Scorer(model, untrained, NEURAL)
        evaluator = self._evaluator("training")
        compared = selection.take(slice(EPOCH_CASES))
        fresh = self._fresh(split)
        trainer = Trainer(
            model,
            batches=lambda epoch: epoch_batches(split, self.settings, epoch, fresh=fresh),
            loss=make_loss(model, self.columns, self.settings, untrained, multi_task),
            evaluate=lambda: {METRIC: float(ndcg(evaluator.ranks(compared, [NEURAL], scorer), 10).mean())},
            settings=TrainerSettings(
                epochs=self.settings.epochs,
                patience=self.settings.patience,
                learning_rate=self.settings.learning_rate,
                weight_decay=self.settings.weight_decay,
                metric=METRIC,
                checkpoint_seconds=self.settings.checkpoint_seconds,
                mixed_precision=self.settings.mixed_precision,
                budget_seconds=self.settings.budget_minutes and 60 * self.settings.budget_minutes,
                schedule=self.settings.schedule,
                averaging=self.settings.averaging,
            ),
            folder=self.folder,
            report=self.progress,
        )
        trainer.fit()
        return scorer, trainer

    def _evaluator(self, stage: Any) -> CaseEvaluator:
        last = time.monotonic()

        def tick() -> None:
            nonlocal last
            if time.monotonic() - last >= REPORT_SECONDS:
                last = time.monotonic()
                self.progress(Progress(stage))

        return CaseEvaluator(self.columns, self.settings.max_length, self.settings.exclude_seen, tick)

    def _gain_spread(self, test_ranks: Ranks, baseline_ranks: Ranks) -> float:
        gains = ndcg(baseline_ranks, 10)
        best = gains[int(np.argmax(gains.mean(axis=1)))]
        return bootstrap_spread(ndcg(test_ranks, 10) - best, seed=self.settings.seed)

    def _first_event(self, scorer: Scorer, untrained_mixture: Mixture, split: Split) -> dict[str, float]:
        """NDCG@10 on each subject's first test event alone: what is known at the start of a visit."""
        if split.test_time is None:
            return {}
        cases, _ = window_cases(self.columns, start=split.test_time, end=np.inf, successive=False)
        if not len(cases):
            return {"cases": 0}
        cases = cases.take(slice(self.settings.evaluation_cases))
        evaluator = self._evaluator("evaluating")
        ranks = evaluator.ranks(cases, [scorer.mixture, POPULARITY, untrained_mixture], scorer)
        model, popular, mixed = (float(value) for value in ndcg(ranks, 10).mean(axis=1))
        return {"cases": len(cases), METRIC: model, "popularity": popular, "untrained_mixture": mixed}


def _speed(trainer: Trainer, split: Split) -> dict[str, float]:
    if not trainer.epochs_trained:
        return {}
    events = split.train_end - split.train_start
    epoch_seconds = trainer.training_seconds / trainer.epochs_trained
    return {
        "epoch_seconds": epoch_seconds,
        "sequences_per_second": float(np.count_nonzero(events > 1)) / epoch_seconds,
        "events_per_second": float(events.sum()) / epoch_seconds,
    }


def _search(
    columns: EventColumns,
    settings: NextItemConfig,
    out: Path,
    progress: Report,
    warm_start: WarmStart | None,
    descriptions: ItemDescriptions,
) -> list[Trial]:
    """The trials of the settings' search; none without one."""
    if settings.search is None:
        return []
    # Optuna is not there on a machine that only trains and measures.
    from ml.tasks.search import search

    def attempt(chosen: dict[str, Any], number: int, report: Report) -> float:
        folder = out / "trials" / str(number)
        shutil.rmtree(folder, ignore_errors=True)
        trial_settings = NextItemConfig.from_dict({**settings.to_dict(), **chosen, "search": None})
        try:
            torch.manual_seed(settings.seed)
            return NextItemRun(columns, trial_settings, folder, report, warm_start, descriptions=descriptions).tune()
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    out.mkdir(parents=True, exist_ok=True)
    space = SearchSpace.from_dict(settings.search)
    return search(space, attempt, metric=METRIC, seed=settings.seed, journal=out / TRIALS, progress=progress)
