"""What a training run learns from, by its task: the event log's columns, the lists that were shown, or an application's
own data, which it registers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from uuid_utils.compat import uuid7

from behavior.snapshots import remove_old_snapshots, take_snapshot
from catalog.selectors import all_item_ids
from decisions.shown_lists import take_shown_lists
from ml.data.columns import EventColumns, write_columns
from ml.data.ranked_lists import RankedLists
from ml.tasks.search_ranking_config import SearchRankingConfig
from serving import item_features

# The columns of an application are its own matter and its task's.
TrainingData = EventColumns | RankedLists | Any


@dataclass(frozen=True)
class Source:
    """`take(config, folder)` writes the data of the tenant in scope below the tenant's folder and returns where;
    `open(path)` opens what it wrote as the task reads it; `sample(data, count)` makes requests out of it, such as the
    application sends. `config()` is what the tenant's own settings say of a run that does not say otherwise;
    `missing()` says what is missing to train, None where nothing is; without it events are asked for. `seconds()` is
    what the application waits for an answer where that is not GATEWAY_DEADLINE."""

    take: Callable[[dict[str, Any], Path], Path]
    open: Callable[[Path], Any]
    sample: Callable[[Any, int], list[Any]]
    config: Callable[[], dict[str, Any]] = dict
    missing: Callable[[], str | None] | None = None
    seconds: Callable[[], float] | None = None


_sources: dict[str, Source] = {}


def register_training_data(
    task: str,
    *,
    take: Callable[[dict[str, Any], Path], Path],
    open: Callable[[Path], Any],
    sample: Callable[[Any, int], list[Any]],
    config: Callable[[], dict[str, Any]] = dict,
    missing: Callable[[], str | None] | None = None,
    seconds: Callable[[], float] | None = None,
) -> None:
    """Let the runs of a task learn from an application's own data."""
    _sources[task] = Source(take, open, sample, config, missing, seconds)


def asked_config(task: str, config: dict[str, Any]) -> dict[str, Any]:
    """A run's configuration with what the settings of the tenant in scope say where it does not."""
    return {**_sources[task].config(), **config} if task in _sources else config


def judges_itself(task: str) -> bool:
    """Whether the task's application says itself what is missing to train."""
    return task in _sources and _sources[task].missing is not None


def what_is_missing(task: str) -> str | None:
    """What is missing to train a task that judges itself; None where nothing is."""
    missing = _sources[task].missing
    return missing() if missing else None


def answer_seconds(task: str) -> float:
    """How long an answer of the task's models is waited for."""
    seconds = _sources[task].seconds if task in _sources else None
    return seconds() if seconds else settings.GATEWAY_DEADLINE


def sample_requests(task: str, data: Any, count: int) -> list[Any] | None:
    """At most `count` requests such as the application sends; None where it is no application's task."""
    return _sources[task].sample(data, count) if task in _sources else None


def take(task: str, config: dict[str, Any], folder: Path) -> Path:
    """Write the tenant's data as it is now below `folder`, which is the tenant's own, and return where."""
    if task in _sources:
        return _sources[task].take(config, folder)
    if task == "search_ranking":
        wanted = SearchRankingConfig.from_dict(config)
        path = folder / f"lists-{uuid7()}"
        take_shown_lists(path, grades=wanted.grades, days=wanted.days)
        return path
    # Without a catalogue there is nothing to compare the log's items with.
    snapshot = take_snapshot(write=write_columns, folder=folder, known_items=all_item_ids() or None)
    item_features.write(Path(snapshot.path))
    remove_old_snapshots()
    return Path(snapshot.path)


def open_data(task: str, path: Path) -> TrainingData:
    if task in _sources:
        return _sources[task].open(path)
    return RankedLists.open(path) if task == "search_ranking" else EventColumns.open(path)


def whole_config(config: dict[str, Any], data: TrainingData, initial: Path | None) -> dict[str, Any]:
    """The run's configuration with what the data decides where it does not say."""
    return item_features.with_inputs(config, data, initial) if isinstance(data, EventColumns) else config
