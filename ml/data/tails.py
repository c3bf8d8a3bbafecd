"""How surprising a value is beside the training: minus the log of the share that is at least as high. numpy only.

The upper-tail half of ECOD (Li et al., 2022, section 3): no assumption about how values are spread, and features of any
unit become comparable.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Values at which the share is kept; the tail is kept finely and the bulk coarsely.
KNOTS = 256

Table = NDArray[np.floating]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Tails:
    """For each of F features the training's values (F, KNOTS), rising, with their surprise (F, KNOTS) in nats.

    Unused knots repeat the last. cases: how many rows the training had; a value above all of them has the surprise
    log(cases + 1).
    """

    values: Doubles
    surprises: Doubles
    cases: int

    @classmethod
    def of(cls, table: Table) -> "Tails":
        """Of training rows (cases, F); NaN says nothing. Raises ValueError for no rows."""
        if not len(table):
            raise ValueError("tails need at least one row")
        columns = [_knots(np.asarray(column, dtype=np.float64), len(table)) for column in table.T]
        values, surprises = (np.array(each) for each in zip(*columns, strict=True))
        return cls(values, surprises, len(table))

    def __call__(self, table: Table) -> NDArray[np.float32]:
        """Surprise of each value, (n, F), from 0 to log(cases + 1). A missing value does not surprise."""
        found = np.zeros(table.shape, dtype=np.float32)
        for place, (values, surprises) in enumerate(zip(self.values, self.surprises, strict=True)):
            column = np.asarray(table[:, place], dtype=np.float64)
            known = ~np.isnan(column)
            found[known, place] = np.interp(column[known], values, surprises, right=np.log(self.cases + 1.0))
        return found

    def to_arrays(self, name: str = "tails") -> dict[str, NDArray]:
        arrays = {"values": self.values, "surprises": self.surprises, "cases": np.array([self.cases])}
        return {f"{name}.{part}": array for part, array in arrays.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray], name: str = "tails") -> "Tails":
        return cls(arrays[f"{name}.values"], arrays[f"{name}.surprises"], int(arrays[f"{name}.cases"][0]))


def _knots(column: Doubles, cases: int) -> tuple[Doubles, Doubles]:
    """Values and surprises of one feature, each (KNOTS,)."""
    present = column[np.isfinite(column)]
    if not len(present):
        return np.zeros(KNOTS), np.zeros(KNOTS)
    values, counts = np.unique(present, return_counts=True)
    at_least = np.cumsum(counts[::-1])[::-1]
    # By the log of the share, so that the few highest values are all kept.
    wanted = np.geomspace(1, len(values), KNOTS).astype(np.int64) if len(values) > KNOTS else np.arange(len(values)) + 1
    kept = np.unique(np.append(len(values) - wanted, 0))
    surprises = np.log((cases + 1.0) / (at_least[kept] + 1.0))
    # Where values are missing, even the least of those present is rare; that alone is no surprise.
    surprises -= surprises[0]
    spare = KNOTS - min(len(kept), KNOTS)
    kept, surprises = kept[-KNOTS:], surprises[-KNOTS:]
    return np.pad(values[kept], (0, spare), mode="edge"), np.pad(surprises, (0, spare), mode="edge")
