"""The event log as memory-mapped columns, sorted by subject and time."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml.data.item_features import ItemFeatures

COLUMNS = {"offsets": np.int64, "item": np.int32, "type": np.int16, "time": np.float64, "value": np.float32}
FORMAT = 1


@dataclass(frozen=True)
class EventColumns:
    """Events of all subjects, sorted by (subject, time); subject s owns the rows offsets[s] to offsets[s + 1].

    item is 0 where an event has no item, else 1 + the index into `items`; type is an index into `types`;
    time is in Unix seconds; value is NaN where absent. The arrays are read-only memory maps.
    """

    path: Path
    offsets: NDArray[np.int64]
    item: NDArray[np.int32]
    type: NDArray[np.int16]
    time: NDArray[np.float64]
    value: NDArray[np.float32]
    items: list[str]
    types: list[str]

    @classmethod
    def open(cls, path: Path) -> "EventColumns":
        """Map the columns of a folder that `write_columns` made. Raises FileNotFoundError or ValueError."""
        path = Path(path)
        names = json.loads((path / "names.json").read_text(encoding="utf-8"))
        if names["format"] != FORMAT:
            raise ValueError(f"{path}: column format {names['format']} is not {FORMAT}; take the snapshot again")
        arrays = {name: np.load(path / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in COLUMNS}
        return cls(path=path, items=names["items"], types=names["types"], **arrays)

    @property
    def subjects(self) -> int:
        return len(self.offsets) - 1

    @property
    def events(self) -> int:
        return len(self.item)

    def features(self) -> ItemFeatures | None:
        """What `write_item_features` stored beside the columns, read anew; None where there is nothing."""
        return ItemFeatures.open(self.path)

    def subject_of_events(self) -> NDArray[np.int64]:
        """The subject index of each event, shape (events,)."""
        return np.repeat(np.arange(self.subjects), np.diff(self.offsets))


def write_columns(
    path: Path,
    *,
    subject: ArrayLike,
    item: ArrayLike,
    type: ArrayLike,  # the column's own name in every room
    time: ArrayLike,
    value: ArrayLike,
    items: list[str],
    types: list[str],
) -> EventColumns:
    """Sort integer-coded events stably by (subject, time) and write them as columns.

    The folder appears whole or not at all. Raises ValueError where a column is unusable and FileExistsError where
    `path` already holds files.
    """
    path = Path(path)
    if path.exists() and any(path.iterdir()):
        raise FileExistsError(f"{path} already holds files; write columns to a new folder")
    subject = np.asarray(subject, dtype=np.int64)
    event_columns: dict[str, NDArray] = {
        "item": np.asarray(item, dtype=np.int64),
        "type": np.asarray(type, dtype=np.int64),
        "time": np.asarray(time, dtype=np.float64),
        "value": np.asarray(value, dtype=np.float32),
    }
    _check(subject, event_columns, items=len(items), types=len(types))
    order = np.lexsort((event_columns["time"], subject))
    per_subject = np.bincount(subject) if len(subject) else np.zeros(0, dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(per_subject)])

    partial = path.with_name(path.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    np.save(partial / "offsets.npy", offsets.astype(COLUMNS["offsets"]))
    for name, column in event_columns.items():
        np.save(partial / f"{name}.npy", column[order].astype(COLUMNS[name]))
    names = {"format": FORMAT, "items": items, "types": types}
    (partial / "names.json").write_text(json.dumps(names), encoding="utf-8")
    os.replace(partial, path)
    return EventColumns.open(path)


def _check(subject: NDArray[np.int64], columns: dict[str, NDArray], *, items: int, types: int) -> None:
    for name, column in columns.items():
        if column.shape != subject.shape:
            raise ValueError(f"{name} has {len(column)} rows where subject has {len(subject)}; give one per event")
    if not len(subject):
        return
    if subject.min() < 0:
        raise ValueError("subject holds a negative code; number subjects from 0")
    if columns["item"].min() < 0 or columns["item"].max() > items:
        raise ValueError(f"item must lie in 0..{items} (0 = no item, else 1 + index into items)")
    if columns["type"].min() < 0 or columns["type"].max() >= types:
        raise ValueError(f"type must lie in 0..{types - 1} (an index into types)")
    if not np.isfinite(columns["time"]).all():
        raise ValueError("time must be finite; drop or repair the events without a time")
