"""Hyperparameter search on the validation cases, with Optuna: which settings should a run be trained with?"""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna

from ml.serving.artifact import write_json
from ml.tasks.search_space import SearchSpace, Trial
from ml.training.progress import Progress, Report

# Trials before the sampler learns from them, and epochs before one may be given up.
RANDOM_TRIALS = 5
LEAST_EPOCHS = 2

# Trains with these settings, calls back with every epoch's validation score, returns the best one.
Attempt = Callable[[dict[str, Any], int, Report], float]


def search(
    space: SearchSpace, attempt: Attempt, *, metric: str, seed: int, journal: Path, progress: Report
) -> list[Trial]:
    """Try `space.trials` settings one after the other, judged by `metric`; the trials in the order of their making.

    Tree-structured Parzen estimator (Bergstra et al., 2011) and median stopping (Golovin et al., 2017, section 3.2).
    Ended trials are kept in `journal`, from which an interrupted search goes on with the same draws. Raises ValueError
    where no trial could be trained.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=RANDOM_TRIALS, n_warmup_steps=LEAST_EPOCHS)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    trials = _read(journal)
    for trial in trials:
        study.add_trial(_frozen(trial, space))
    for number in range(len(trials), space.trials):
        # A sampler of its own for each trial, so that a search that was interrupted draws as if it had not been.
        study.sampler = optuna.samplers.TPESampler(seed=seed + number, n_startup_trials=RANDOM_TRIALS)
        trials.append(_try(study, space, attempt, metric, trials, progress))
        write_json(journal, [asdict(trial) for trial in trials])
    if all(trial.score is None for trial in trials):
        raise ValueError(f"none of the {len(trials)} trials could be trained: {trials[0].outcome}")
    return trials


def _try(
    study: optuna.Study, space: SearchSpace, attempt: Attempt, metric: str, before: list[Trial], progress: Report
) -> Trial:
    number = len(before)
    asked = study.ask(_distributions(space))
    trial = Trial({name: _value(space, name, drawn) for name, drawn in asked.params.items()})
    best = max((earlier.score for earlier in before if earlier.score is not None), default=None)
    metrics = {} if best is None else {"best": best}
    progress(Progress("search", epoch=number + 1, epochs=space.trials, metrics=metrics))

    def follow(inner: Progress) -> None:
        progress(Progress("search", number + 1, space.trials, inner.epoch, inner.epochs, metrics))
        if metric not in inner.metrics:
            return
        trial.scores.append(inner.metrics[metric])
        asked.report(inner.metrics[metric], inner.epoch)
        if asked.should_prune():
            raise optuna.TrialPruned

    try:
        trial.score = attempt(trial.settings, number, follow)
        trial.outcome = "finished"
    except optuna.TrialPruned:
        trial.score, trial.outcome = max(trial.scores), "stopped"
    except (ValueError, FloatingPointError) as error:
        trial.outcome = str(error)
    study.tell(asked, *_told(trial))
    return trial


def _told(trial: Trial) -> tuple[float | None, optuna.trial.TrialState]:
    if trial.score is None:
        return None, optuna.trial.TrialState.FAIL
    if trial.outcome == "stopped":
        # Optuna takes the last of the scores that were reported.
        return None, optuna.trial.TrialState.PRUNED
    return trial.score, optuna.trial.TrialState.COMPLETE


def _frozen(trial: Trial, space: SearchSpace) -> optuna.trial.FrozenTrial:
    value, state = _told(trial)
    return optuna.trial.create_trial(
        state=state,
        value=trial.scores[-1] if trial.outcome == "stopped" else value,
        params={name: _drawn(space, name, value) for name, value in trial.settings.items()},
        distributions=_distributions(space),
        intermediate_values=dict(enumerate(trial.scores, start=1)),
    )


def _distributions(space: SearchSpace) -> dict[str, optuna.distributions.BaseDistribution]:
    # A choice is drawn by its place in the list, since its value may be a list itself.
    distributions: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.CategoricalDistribution(range(len(values))) for name, values in space.choices.items()
    }
    for name, between in space.ranges.items():
        if between.whole:
            whole = optuna.distributions.IntDistribution(int(between.low), int(between.high), log=between.log)
            distributions[name] = whole
        else:
            distributions[name] = optuna.distributions.FloatDistribution(between.low, between.high, log=between.log)
    return distributions


def _value(space: SearchSpace, name: str, drawn: Any) -> Any:
    return space.choices[name][drawn] if name in space.choices else drawn


def _drawn(space: SearchSpace, name: str, value: Any) -> Any:
    return space.choices[name].index(value) if name in space.choices else value


def _read(journal: Path) -> list[Trial]:
    if not journal.exists():
        return []
    return [Trial(**trial) for trial in json.loads(journal.read_text(encoding="utf-8"))]
