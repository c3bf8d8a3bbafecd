"""Lists that were shown, with what was chosen from them, as memory-mapped columns in the order of their time."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

COLUMNS = {"offsets": np.int64, "time": np.float64, "rank": np.int16, "grade": np.float32, "features": np.float32}
FORMAT = 1

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class RankedLists:
    """List l, shown at time[l] (Unix seconds, ascending), owns the rows offsets[l] to offsets[l + 1].

    Of each row: rank, the place from 1 at which the item was shown; grade, what the subject did with it (0: nothing);
    features (rows, F), what was known of it then, in the order of `names`, NaN where it was not.
    """

    path: Path
    offsets: Indices
    time: NDArray[np.float64]
    rank: NDArray[np.int16]
    grade: Floats
    features: Floats
    names: list[str]

    @classmethod
    def open(cls, path: Path) -> "RankedLists":
        """Map the lists of a folder that `write_ranked_lists` made. Raises FileNotFoundError or ValueError."""
        path = Path(path)
        described = json.loads((path / "names.json").read_text(encoding="utf-8"))
        if described["format"] != FORMAT:
            raise ValueError(f"{path}: format {described['format']} of ranked lists is not {FORMAT}; write them again")
        arrays = {name: np.load(path / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in COLUMNS}
        return cls(path=path, names=described["features"], **arrays)

    def __len__(self) -> int:
        return len(self.time)

    def padded_rows(self, lists: Indices) -> tuple[Indices, NDArray[np.bool_]]:
        """Row numbers of these lists, (lists, longest), and which of them are rows and not padding."""
        length = self.offsets[lists + 1] - self.offsets[lists]
        place = np.arange(length.max(initial=0))
        real = place < length[:, None]
        return np.where(real, self.offsets[lists][:, None] + place, 0), real

    def rows_of(self, lists: Indices) -> Indices:
        """Row numbers of these lists, one after the other."""
        rows, real = self.padded_rows(lists)
        return rows[real]

    def column(self, name: str) -> Floats:
        """One feature of all rows, with 0 where it is missing. Raises ValueError for a name that is not there."""
        if name not in self.names:
            raise ValueError(f"the lists have no feature '{name}'; they have {', '.join(self.names)}")
        return np.nan_to_num(self.features[:, self.names.index(name)])


def write_ranked_lists(
    path: Path,
    *,
    list_of_row: ArrayLike,
    time: ArrayLike,
    rank: ArrayLike,
    grade: ArrayLike,
    features: ArrayLike,
    names: list[str],
) -> RankedLists:
    """Write rows in any order as lists in the order of their time, each in the order in which it was shown.

    `list_of_row` (rows,) numbers the lists from 0; `time` (lists,). The folder appears whole or not at all. Raises
    ValueError where the columns do not fit together.
    """
    path = Path(path)
    owner, shown = np.asarray(list_of_row, dtype=np.int64), np.asarray(rank, dtype=np.int64)
    moments = np.asarray(time, dtype=np.float64)
    table = np.asarray(features, dtype=np.float32).reshape(len(owner), len(names))
    if len(shown) != len(owner) or len(np.asarray(grade)) != len(owner):
        raise ValueError("list_of_row, rank, grade and features must have one entry per row")
    if len(owner) and not (owner.min() >= 0 and owner.max() < len(moments)):
        raise ValueError(f"list_of_row must lie in 0..{len(moments) - 1}, as time has {len(moments)} entries")
    newest_last = np.argsort(moments, kind="stable")
    place = np.empty(len(moments), dtype=np.int64)
    place[newest_last] = np.arange(len(moments))
    order = np.lexsort((shown, place[owner]))
    columns = {
        "offsets": np.concatenate([[0], np.cumsum(np.bincount(place[owner], minlength=len(moments)))]),
        "time": moments[newest_last],
        "rank": np.minimum(shown, np.iinfo(np.int16).max)[order],
        "grade": np.asarray(grade)[order],
        "features": table[order],
    }
    partial = path.with_name(path.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name, column in columns.items():
        np.save(partial / f"{name}.npy", column.astype(COLUMNS[name]))
    described = {"format": FORMAT, "features": names}
    (partial / "names.json").write_text(json.dumps(described), encoding="utf-8")
    os.replace(partial, path)
    return RankedLists.open(path)
