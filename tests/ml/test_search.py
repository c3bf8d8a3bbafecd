"""Hyperparameter search: it finds what scores best, gives up what does not, and goes on where it was interrupted."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from ml.tasks.search import search
from ml.tasks.search_space import SearchSpace, Trial, best_trial
from ml.training.progress import Progress, Report

SPACE = SearchSpace.from_dict(
    {"trials": 25, "space": {"learning_rate": {"low": 1e-4, "high": 1.0, "log": True}, "inputs": [[], ["type", "gap"]]}}
)


def landscape(settings: dict[str, Any]) -> float:
    """Best at a learning rate of .01 with inputs."""
    return 1.0 - abs(math.log10(settings["learning_rate"]) + 2) / 4 - (0.0 if settings["inputs"] else 0.2)


def attempt(settings: dict[str, Any], number: int, report: Report) -> float:
    for epoch in range(1, 5):
        report(Progress("training", epoch, 4, metrics={"ndcg@10": landscape(settings) * epoch / 4}))
    return landscape(settings)


def run(folder: Path, attempt: Any = attempt, progress: Report = lambda _: None) -> list[Trial]:
    return search(SPACE, attempt, metric="ndcg@10", seed=3, journal=folder / "search.json", progress=progress)


def test_it_comes_near_the_best_settings_and_gives_up_bad_ones_early(tmp_path: Path) -> None:
    trials = run(tmp_path)
    best = best_trial(trials)
    assert best.settings["inputs"] == ["type", "gap"]
    assert best.score is not None
    assert best.score > 0.9
    stopped = [trial for trial in trials if trial.outcome == "stopped"]
    assert stopped
    assert all(len(trial.scores) < 4 for trial in stopped)


def test_an_interrupted_search_ends_like_one_that_was_not(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "broken").mkdir()
    whole = run(tmp_path / "whole")

    def dies(settings: dict[str, Any], number: int, report: Report) -> float:
        if number == 12:
            raise KeyboardInterrupt
        return attempt(settings, number, report)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", dies)
    assert len(json.loads((tmp_path / "broken" / "search.json").read_text())) == 12
    assert run(tmp_path / "broken") == whole


def test_progress_counts_trials_and_shows_the_best_so_far(tmp_path: Path) -> None:
    shown: list[Progress] = []
    run(tmp_path, progress=shown.append)
    assert {progress.stage for progress in shown} == {"search"}
    assert (shown[0].epoch, shown[0].epochs, shown[-1].epoch) == (1, 25, 25)
    assert shown[-1].metrics["best"] > 0.8


def test_a_trial_that_cannot_be_trained_is_passed_over_but_not_all_of_them(tmp_path: Path) -> None:
    def picky(settings: dict[str, Any], number: int, report: Report) -> float:
        if number % 2:
            raise ValueError("dimension 33 must be a multiple of heads 2")
        return attempt(settings, number, report)

    trials = run(tmp_path, picky)
    assert trials[1].outcome == "dimension 33 must be a multiple of heads 2"
    assert best_trial(trials).score is not None

    def never(settings: dict[str, Any], number: int, report: Report) -> float:
        raise ValueError("too large for memory_budget_mb")

    (tmp_path / "search.json").unlink()
    with pytest.raises(ValueError, match="none of the 25 trials could be trained: too large"):
        run(tmp_path, never)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "search must be an object"),
        ({"tries": 3}, "search must be an object with trials and space"),
        ({"trials": 0}, "search.trials must be a whole number from 1 to 200"),
        ({"space": {}}, "search.space must name at least one"),
        ({"space": {"split": ["global_time"]}}, "search.space must not hold split"),
        ({"space": {"layers": []}}, "search.space.layers must list at least one value"),
        ({"space": {"dropout": 0.1}}, "search.space.dropout must be a list"),
        ({"space": {"dropout": {"low": 0.5, "high": 0.1}}}, "low below high"),
        ({"space": {"dropout": {"low": 0.0, "high": 0.1, "log": True}}}, "log needs a low above 0"),
    ],
)
def test_an_unusable_space_is_refused_by_name(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SearchSpace.from_dict(given)
