"""What a training run learns from, by its task: the event log's columns, or the lists that were shown."""

from pathlib import Path
from typing import Any

from uuid_utils.compat import uuid7

from behavior.snapshots import remove_old_snapshots, take_snapshot
from catalog.selectors import all_item_ids
from decisions.shown_lists import take_shown_lists
from ml.data.columns import EventColumns, write_columns
from ml.data.ranked_lists import RankedLists
from ml.tasks.search_ranking_config import SearchRankingConfig
from serving import item_features

TrainingData = EventColumns | RankedLists


def take(task: str, config: dict[str, Any], folder: Path) -> Path:
    """Write the tenant's data as it is now below `folder`, which is the tenant's own, and return where."""
    if task == "search_ranking":
        settings = SearchRankingConfig.from_dict(config)
        path = folder / f"lists-{uuid7()}"
        take_shown_lists(path, grades=settings.grades, days=settings.days)
        return path
    # Without a catalogue there is nothing to compare the log's items with.
    snapshot = take_snapshot(write=write_columns, folder=folder, known_items=all_item_ids() or None)
    item_features.write(Path(snapshot.path))
    remove_old_snapshots()
    return Path(snapshot.path)


def open_data(task: str, path: Path) -> TrainingData:
    return RankedLists.open(path) if task == "search_ranking" else EventColumns.open(path)


def whole_config(config: dict[str, Any], data: TrainingData, initial: Path | None) -> dict[str, Any]:
    """The run's configuration with what the data decides where it does not say."""
    return config if isinstance(data, RankedLists) else item_features.with_inputs(config, data, initial)
