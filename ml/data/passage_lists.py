"""Questions with the passages that a search found for them, and which of these answer."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ml.data.newest import Rows, first_of_group, split_newest

FILE = "passage_lists.json"


@dataclass(frozen=True)
class PassageLists:
    """Lists of one tenant in the order of their time; each field has one entry a question.

    `passages` has the search's finds, best first, and after the first `found` of them right ones that it missed.
    `asked` is what is read of the question beside each passage, `right` whether the passage answers it, `fused` its
    place (0 the best) before the question's sentences were compared. Lists of one group, such as a conversation, are
    held out together. `times` in Unix seconds, ascending.
    """

    asked: list[list[str]]
    passages: list[list[str]]
    right: list[list[bool]]
    fused: list[list[int]]
    found: list[int]
    groups: list[str]
    times: list[float]

    def __post_init__(self) -> None:
        for name, given in vars(self).items():
            if len(given) != len(self.passages):
                raise ValueError(f"{name} has {len(given)} entries where passages has {len(self.passages)}")
        for name in ("asked", "right", "fused"):
            for row, (given, passages) in enumerate(zip(getattr(self, name), self.passages, strict=True)):
                if len(given) != len(passages):
                    raise ValueError(f"{name} {row} has {len(given)} entries where there are {len(passages)} passages")

    def __len__(self) -> int:
        return len(self.passages)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Raises FileNotFoundError where nothing was written."""
        return cls(**json.loads((Path(path) / FILE).read_text(encoding="utf-8")))

    def write(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        (path / FILE).write_text(json.dumps(vars(self), ensure_ascii=False), encoding="utf-8")

    @property
    def time(self) -> NDArray[np.float64]:
        """(lists,) as `times`."""
        return np.array(self.times, dtype=np.float64)

    def split(self, share: float) -> tuple[Rows, Rows, Rows]:
        """Rows that train, that choose and that judge, as `split_newest`."""
        return split_newest(first_of_group(self.groups), share)

    def between(self, since: float, until: float) -> Rows:
        """Rows whose group began at or after `since` and before `until`."""
        began = self.time[first_of_group(self.groups)] if len(self) else self.time
        return np.flatnonzero((began >= since) & (began < until))

    def is_answered(self, row: int) -> bool:
        """Whether the search found a right passage and a wrong one, so that their order says something."""
        shown = self.right[row][: self.found[row]]
        return any(shown) and not all(shown)
