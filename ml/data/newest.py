"""Rows in the order of their time: which of them train, which choose and which judge."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


def first_of_group(groups: Sequence[str]) -> Rows:
    """(rows,): the first row of each row's group."""
    first: dict[str, int] = {}
    return np.array([first.setdefault(group, row) for row, group in enumerate(groups)], dtype=np.int64)


def split_newest(first: Rows, share: float) -> tuple[Rows, Rows, Rows]:
    """Rows that train, that choose and that judge: the newest `share` is held out, its older half chooses.

    `first` (rows,) as from `first_of_group`: a group goes where its first row lies.
    """
    chooses, judges = len(first) * (1.0 - share), len(first) * (1.0 - share / 2.0)
    return (
        np.flatnonzero(first < chooses),
        np.flatnonzero((first >= chooses) & (first < judges)),
        np.flatnonzero(first >= judges),
    )
