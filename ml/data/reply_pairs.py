"""Conversations with the reply that an agent accepted, and what the customer did before."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypedDict

import numpy as np
from numpy.typing import NDArray

from ml.data.newest import Rows, first_of_group, split_newest

FILE = "reply_pairs.json"


class CustomerEvent(TypedDict):
    """`time` in Unix seconds; item and value None where the event has none."""

    type: str
    item: str | None
    time: float
    value: float | None


@dataclass(frozen=True)
class ReplyPairs:
    """Pairs of one tenant in the order of their time.

    A conversation is its messages, oldest first; the last one is what the reply answers. `events` holds each customer's
    recent events, oldest first. Pairs of one group, such as a conversation, are held out together. `times` are when the
    replies were given, in Unix seconds and ascending.
    """

    conversations: list[list[str]]
    replies: list[str]
    events: list[list[CustomerEvent]] | None = None
    groups: list[str] | None = None
    times: list[float] | None = None

    def __post_init__(self) -> None:
        for name in ("conversations", "events", "groups", "times"):
            given = getattr(self, name)
            if given is not None and len(given) != len(self.replies):
                raise ValueError(f"{name} has {len(given)} entries where replies has {len(self.replies)}")

    def __len__(self) -> int:
        return len(self.replies)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Raises FileNotFoundError where nothing was written."""
        return cls(**json.loads((Path(path) / FILE).read_text(encoding="utf-8")))

    def write(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        (path / FILE).write_text(json.dumps(vars(self), ensure_ascii=False), encoding="utf-8")

    def events_of(self, rows: Rows) -> list[list[CustomerEvent]]:
        return [[] if self.events is None else self.events[row] for row in rows]

    @property
    def time(self) -> NDArray[np.float64]:
        """(pairs,) as `times`; zeros where they are not known."""
        return np.zeros(len(self)) if self.times is None else np.array(self.times, dtype=np.float64)

    def between(self, since: float, until: float) -> Rows:
        """Rows whose group began at or after `since` and before `until`; all rows where times are not known."""
        if self.times is None:
            return np.arange(len(self), dtype=np.int64)
        began = self.time[self._first_of_group()]
        return np.flatnonzero((began >= since) & (began < until))

    def split(self, share: float) -> tuple[Rows, Rows, Rows]:
        """Rows that train, that choose and that judge: the newest `share` of the pairs is held out, its older half
        chooses. A group goes where its first pair lies."""
        return split_newest(self._first_of_group(), share)

    def _first_of_group(self) -> Rows:
        """(pairs,): the first row of each pair's group."""
        return first_of_group([str(row) for row in range(len(self))] if self.groups is None else self.groups)


def reply_codes(replies: Sequence[str]) -> Rows:
    """(replies,): equal texts have equal codes."""
    codes: dict[str, int] = {}
    return np.array([codes.setdefault(reply.strip(), len(codes)) for reply in replies], dtype=np.int64)


def reply_lists(replies: Sequence[str], count: int, seed: int) -> Rows:
    """(replies, count) indices: each reply itself, then others drawn without replacement, each text once.

    Fewer columns where there are not so many texts. Raises ValueError where all replies are the same.
    """
    codes = reply_codes(replies)
    texts = int(codes.max(initial=0)) + 1
    if texts < 2:
        raise ValueError("the replies are all the same; nothing can be told apart")
    generator = np.random.default_rng(seed)
    lists = np.empty((len(codes), min(count, texts)), dtype=np.int64)
    for row, code in enumerate(codes):
        drawn = generator.permutation(len(codes))
        _, first = np.unique(codes[drawn], return_index=True)
        others = drawn[np.sort(first)]
        lists[row] = np.concatenate([[row], others[codes[others] != code][: lists.shape[1] - 1]])
    return lists
