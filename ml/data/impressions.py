"""Shown ads that were clicked or not, or clicks that led to a conversion or not, as memory-mapped columns in the order
of their time."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

COLUMNS = {
    "time": np.float64,
    "clicked": np.int8,
    "delay": np.float64,
    "fields": np.int32,
    "numbers": np.float32,
    "history": np.int32,
}
FORMAT = 1

Codes = NDArray[np.int32]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Impressions:
    """n impressions: time (n,) in Unix seconds, ascending, and clicked (n,), 1 or 0. Of a log of clicks these are their
    times and whether they led to a conversion, which came delay (n,) seconds later; NaN for none or at once.

    fields: (n, F) codes from 0, in the order of `names`; code c of field f stands for values[f][c - 1], and 0 for none
    or an unknown one. numbers: (n, M) in the order of `number_names`, NaN where not known. history: (n, L) what the
    subject did before, oldest first, as codes of the field `target`, with 0 for padding on either side; L may be 0. The
    field's values may hold some that no impression has, and histories do.
    """

    time: NDArray[np.float64]
    clicked: NDArray[np.int8]
    delay: NDArray[np.float64]
    fields: Codes
    numbers: Floats
    history: Codes
    names: list[str]
    values: list[list[str]]
    number_names: list[str]
    target: str

    @classmethod
    def of(
        cls,
        *,
        time: ArrayLike,
        clicked: ArrayLike,
        fields: Mapping[str, ArrayLike],
        target: str,
        numbers: Mapping[str, ArrayLike] | None = None,
        history: Sequence[Sequence[str]] | None = None,
        delay: ArrayLike | None = None,
    ) -> "Impressions":
        """From columns of values by name, in any order of time; None is an unknown value. Raises ValueError where
        `target` is no field or columns differ in length."""
        moment = np.asarray(time, dtype=np.float64)
        numbers = numbers or {}
        columns = {name: np.asarray(column, dtype=object) for name, column in fields.items()}
        lengths = {name: len(np.atleast_1d(np.asarray(column))) for name, column in [*numbers.items(), *fields.items()]}
        if uneven := [name for name, length in lengths.items() if length != len(moment)]:
            raise ValueError(f"{uneven[0]} has {lengths[uneven[0]]} entries where time has {len(moment)}")
        if target not in columns:
            raise ValueError(f"target '{target}' is none of the fields {', '.join(columns)}")
        told = {name: {str(value) for value in column if value is not None} for name, column in columns.items()}
        told[target].update(item for items in history or [] for item in items)
        values = {name: sorted(each) for name, each in told.items()}
        known = {name: {value: code for code, value in enumerate(all_, start=1)} for name, all_ in values.items()}
        codes = [[known[name].get(str(value), 0) for value in column] for name, column in columns.items()]
        made = cls(
            time=moment,
            clicked=np.asarray(clicked, dtype=np.int8),
            delay=np.full(len(moment), np.nan) if delay is None else np.asarray(delay, dtype=np.float64),
            fields=np.array(codes, dtype=np.int32).reshape(len(codes), -1).T,
            numbers=np.array([np.asarray(column, dtype=np.float32) for column in numbers.values()], dtype=np.float32)
            .reshape(len(numbers), len(moment))
            .T,
            history=_padded([[known[target].get(item, 0) for item in items] for items in history or []], len(moment)),
            names=list(columns),
            values=list(values.values()),
            number_names=list(numbers),
            target=target,
        )
        return made.rows(np.argsort(moment, kind="stable"))

    @classmethod
    def open(cls, path: Path) -> "Impressions":
        """Map the impressions of a folder that `write` made. Raises FileNotFoundError or ValueError."""
        path = Path(path)
        described = json.loads((path / "names.json").read_text(encoding="utf-8"))
        if described.pop("format") != FORMAT:
            raise ValueError(f"{path}: another format of impressions than {FORMAT}; write them again")
        arrays = {name: np.load(path / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in COLUMNS}
        return cls(**arrays, **described)

    def write(self, path: Path) -> None:
        """Write a folder that is there whole or not at all."""
        partial = Path(f"{path}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for name, kind in COLUMNS.items():
            np.save(partial / f"{name}.npy", np.asarray(getattr(self, name), dtype=kind))
        described = {name: getattr(self, name) for name in ("names", "values", "number_names", "target")}
        (partial / "names.json").write_text(json.dumps({"format": FORMAT, **described}), encoding="utf-8")
        os.replace(partial, path)

    def __len__(self) -> int:
        return len(self.time)

    @property
    def target_place(self) -> int:
        """The place of the target among the fields."""
        return self.names.index(self.target)

    def rows(self, chosen: NDArray[np.integer]) -> "Impressions":
        """These impressions alone, in the order given."""
        return replace(self, **{name: np.asarray(getattr(self, name))[chosen] for name in COLUMNS})

    def known_values(self, rows: NDArray[np.integer], least_seen: int) -> list[list[str]]:
        """Of each field the values that at least `least_seen` of these rows have, in code order. What histories alone
        tell of is counted there."""
        known = []
        for place, values in enumerate(self.values):
            seen = np.bincount(self.fields[rows, place], minlength=len(values) + 1)[1:]
            if place == self.target_place and self.history.shape[1]:
                told = np.bincount(self.history[rows].ravel(), minlength=len(values) + 1)[1:]
                is_shown = np.isin(np.arange(1, len(values) + 1), self.fields[:, place])
                seen = np.where(is_shown, seen, told)
            known.append([value for value, count in zip(values, seen, strict=True) if count >= least_seen])
        return known

    def recoded(self, names: list[str], values: list[list[str]], number_names: list[str], target: str) -> "Impressions":
        """With these fields, values and numbers only; whatever is not among them is unknown."""
        fields = np.zeros((len(self), len(names)), dtype=np.int32)
        history = np.zeros((len(self), 0), dtype=np.int32)
        for place, name in enumerate(names):
            if name not in self.names:
                continue
            at = self.names.index(name)
            known = {value: code for code, value in enumerate(values[place], start=1)}
            code = np.array([0, *(known.get(value, 0) for value in self.values[at])], dtype=np.int32)
            fields[:, place] = code[self.fields[:, at]]
            if name == target == self.target:
                history = code[self.history]
        missing = np.full((len(self), 1), np.nan, dtype=np.float32)
        found = [self.number_names.index(name) if name in self.number_names else -1 for name in number_names]
        numbers = np.concatenate([self.numbers, missing], axis=1)[:, found]
        return replace(
            self,
            fields=fields,
            numbers=numbers,
            history=history,
            names=list(names),
            values=values,
            number_names=list(number_names),
            target=target,
        )

    def known_at(self, moment: float) -> NDArray[np.int8]:
        """clicked (n,) as it looked then, of what was shown before."""
        return np.where(self.time + self.delay > moment, 0, self.clicked).astype(np.int8)

    def histories_with_clicks(self, moment: float) -> Codes:
        """(n, L + 1): histories, and last what was clicked itself, as far as it looked so then; 0 where not."""
        clicked = np.where(self.known_at(moment) == 1, self.fields[:, self.target_place], 0)
        return np.concatenate([self.history, clicked[:, None].astype(np.int32)], axis=1)


def _padded(rows: Sequence[Sequence[int]], count: int) -> Codes:
    """(count, longest) with 0 after the end of each row; (count, 0) without rows."""
    if rows and len(rows) != count:
        raise ValueError(f"history has {len(rows)} entries where time has {count}")
    longest = max((len(row) for row in rows), default=0)
    padded = np.zeros((count, longest), dtype=np.int32)
    for place, row in enumerate(rows):
        padded[place, : len(row)] = row
    return padded
