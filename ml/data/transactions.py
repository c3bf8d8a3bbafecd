"""Transactions of all parties as memory-mapped columns, in any order."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

COLUMNS: dict[str, Any] = {
    "time": np.float64,
    "amount": np.float64,
    "customer": np.int64,
    "counterparty": np.int64,
    "device": np.int64,
    "card": np.int64,
    "type": np.int16,
    "fraud_known_at": np.float64,
    "cleared_at": np.float64,
}
PARTIES = ("customer", "counterparty", "device", "card")
FORMAT = 1


@dataclass(frozen=True)
class TransactionColumns:
    """One entry for each transaction in every array; the order of the rows means nothing.

    time is in Unix seconds, amount not negative. customer, counterparty, device and card are codes from 0, -1 where
    there is none; type is an index into `types`. A transaction is known to be fraud at the moments t with
    fraud_known_at <= t < cleared_at; both are infinite where that never came. `labelled_at` is the moment (Unix
    seconds) whose knowledge is learned from, None for that of the newest transaction.
    """

    time: NDArray[np.float64]
    amount: NDArray[np.float64]
    customer: NDArray[np.int64]
    counterparty: NDArray[np.int64]
    device: NDArray[np.int64]
    card: NDArray[np.int64]
    type: NDArray[np.int16]
    fraud_known_at: NDArray[np.float64]
    cleared_at: NDArray[np.float64]
    types: list[str]
    labelled_at: float | None = None

    @classmethod
    def open(cls, path: Path) -> "TransactionColumns":
        """Map the columns of a folder that `write_transactions` made. Raises FileNotFoundError or ValueError."""
        path = Path(path)
        names = json.loads((path / "names.json").read_text(encoding="utf-8"))
        if names["format"] != FORMAT:
            raise ValueError(f"{path}: format {names['format']} of transactions is not {FORMAT}; write them again")
        arrays = {name: np.load(path / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in COLUMNS}
        return cls(types=names["types"], labelled_at=names.get("labelled_at"), **arrays)

    @classmethod
    def of(cls, *, types: list[str], **columns: ArrayLike) -> "TransactionColumns":
        """Columns in memory. Parties and labels that are not given are missing throughout.

        Raises ValueError where a column is unusable.
        """
        rows = len(np.asarray(columns["time"]))
        missing = {
            **dict.fromkeys(PARTIES, np.full(rows, -1)),
            "type": np.zeros(rows),
            "fraud_known_at": np.full(rows, np.inf),
            "cleared_at": np.full(rows, np.inf),
        }
        if unknown := set(columns) - set(COLUMNS):
            raise ValueError(f"transactions have no column {', '.join(sorted(unknown))}")
        arrays: dict[str, Any] = {
            name: np.asarray((missing | columns)[name], dtype=dtype) for name, dtype in COLUMNS.items()
        }
        _check(arrays, types=len(types))
        return cls(types=types, **arrays)

    def __len__(self) -> int:
        return len(self.time)

    def known_fraud(self, at: float) -> NDArray[np.bool_]:
        """Which transactions are known to be fraud at that moment, shape (n,)."""
        return known_fraud(self.fraud_known_at, self.cleared_at, at)

    def labelled_fraud(self) -> NDArray[np.bool_]:
        """Which transactions are known to be fraud at `labelled_at`, shape (n,)."""
        newest = float(np.max(self.time, initial=-np.inf))
        return self.known_fraud(newest if self.labelled_at is None else self.labelled_at)


def known_fraud(
    fraud_known_at: NDArray[np.float64], cleared_at: NDArray[np.float64], at: float | NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether transactions are known to be fraud at these moments, of the shape that all three broadcast to."""
    return (fraud_known_at <= at) & (at < cleared_at)


def write_transactions(
    path: Path, *, types: list[str], labelled_at: float | None = None, **columns: ArrayLike
) -> TransactionColumns:
    """Write columns (see TransactionColumns.of) to a folder, which appears whole or not at all.

    Raises ValueError where a column is unusable and FileExistsError where `path` already holds files.
    """
    path = Path(path)
    if path.exists() and any(path.iterdir()):
        raise FileExistsError(f"{path} already holds files; write transactions to a new folder")
    transactions = TransactionColumns.of(types=types, **columns)
    partial = path.with_name(path.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name in COLUMNS:
        np.save(partial / f"{name}.npy", getattr(transactions, name))
    names = {"format": FORMAT, "types": types, "labelled_at": labelled_at}
    (partial / "names.json").write_text(json.dumps(names), encoding="utf-8")
    os.replace(partial, path)
    return TransactionColumns.open(path)


def _check(columns: dict[str, NDArray], *, types: int) -> None:
    rows = columns["time"].shape
    for name, column in columns.items():
        if column.shape != rows:
            raise ValueError(f"{name} has {len(column)} rows where time has {len(columns['time'])}; give one for each")
    if not np.isfinite(columns["time"]).all():
        raise ValueError("time must be finite; drop or repair the transactions without a time")
    if not (np.isfinite(columns["amount"]) & (columns["amount"] >= 0.0)).all():
        raise ValueError("amount must be finite and not negative")
    for name in ("fraud_known_at", "cleared_at"):
        if np.isnan(columns[name]).any():
            raise ValueError(f"{name} must not be NaN; give infinity where it never came")
    for name in PARTIES:
        if columns[name].min(initial=-1) < -1:
            raise ValueError(f"{name} must be a code from 0, or -1 where there is none")
    if len(columns["type"]) and not (columns["type"].min() >= 0 and columns["type"].max() < types):
        raise ValueError(f"type must lie in 0..{types - 1} (an index into types)")
