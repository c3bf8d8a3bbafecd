"""Readers of the public files, each with the split that published figures use."""

import csv
import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ml.data.columns import EventColumns, write_columns
from ml.data.splits import Cases, Split, global_time_split, leave_one_out_split

# The last sessions of the training file, on which choices are made.
VALIDATION_SESSIONS = 6_000
DAY = 86_400.0


class MissingData(FileNotFoundError):
    """A file of a data set is not there; the message says where it is published."""


@dataclass(frozen=True)
class Dataset:
    """A log, its split, how it is measured, and settings that suit it. metrics are names of `ranking_metrics`. In a
    `timed` one the events have times of their own, all but the test targets."""

    columns: EventColumns
    split: Split
    metrics: tuple[str, ...]
    settings: dict[str, Any]
    protocol: str
    timed: bool = False

    def by_time(self, work: Path) -> "Dataset":
        """The events with a time, split by time: what prediction heads are measured on. Raises ValueError without."""
        if not self.timed:
            raise ValueError("prediction_heads needs events with times, which this data set does not have")
        kept = np.ones(self.columns.events, dtype=bool)
        kept[self.split.test.target] = False
        columns = write_columns(
            work / "by_time",
            subject=self.columns.subject_of_events()[kept],
            item=self.columns.item[kept],
            type=self.columns.type[kept],
            time=self.columns.time[kept],
            value=self.columns.value[kept],
            items=self.columns.items,
            types=self.columns.types,
        )
        split = global_time_split(columns, validation_quantile=0.8, test_quantile=0.9, successive=True)
        return replace(self, columns=columns, split=split, protocol="by time, every item event of the newest tenth")


def ml_1m(data: Path, work: Path) -> Dataset:
    """MovieLens-1M, "user item" lines in time order (kang205/SASRec, FeiSun/BERT4Rec)."""
    lines = _lines(data / "ml-1m" / "ml-1m.txt.gz", "ml-1m.txt of github.com/kang205/SASRec or FeiSun/BERT4Rec")
    rows = np.array([line.split() for line in lines], dtype=np.int64)
    columns = _write(work, subject=rows[:, 0] - 1, item=rows[:, 1])
    settings = {"exclude_seen": True, "max_length": 200, "inputs": [], "copying": False, "batch_tokens": 4096}
    return Dataset(columns, leave_one_out_split(columns), ("ndcg@10", "hr@10"), settings, "leave-one-out, seen removed")


def beauty(data: Path, work: Path) -> Dataset:
    """Amazon Beauty 5-core as prepared for S3-Rec: a user and then the items in time order."""
    lines = _lines(data / "amazon_beauty" / "Beauty.txt", "Beauty.txt of github.com/aHuiWang/CIKM2020-S3Rec")
    sequences = [[int(code) for code in line.split()[1:]] for line in lines]
    columns = _write(work, **_flat(sequences))
    settings = {"exclude_seen": True, "max_length": 50, "inputs": [], "copying": False, "loss": "full"}
    return Dataset(columns, leave_one_out_split(columns), ("ndcg@10", "hr@10"), settings, "leave-one-out, seen removed")


def retailrocket_sessions(data: Path, work: Path) -> Dataset:
    """RetailRocket sessions in time order; each test line is a prefix and the item that came next."""
    source = "data/retail_rocket of github.com/RecoHut-Datasets/retail_rocket"
    folder = data / "retailrocket_sessions"
    train = [[int(code) for code in line.split()] for line in _lines(folder / "train_sessions.txt.gz", source)]
    tests = [line.rstrip("\n").split("\t") for line in _lines(folder / "test_prefix_target.txt.gz", source)]
    placed = [[int(code) for code in prefix.split()] + [int(target)] for prefix, target in tests]
    columns = _write(work, **_flat(train + placed))
    return Dataset(
        columns,
        _sessions_split(columns, sessions=len(train)),
        ("hr@20", "mrr@20"),
        {"max_length": 20, "inputs": [], "loss": "sampled"},
        "placed test prefixes, repeats allowed",
    )


def retailrocket_multibehavior(data: Path, work: Path) -> Dataset:
    """RetailRocket views, carts and buys; the test is one held-out buy a user, the validation each user's last one."""
    source = "the RetailRocket files of github.com/HKUDS/SSLRec"
    folder = data / "retailrocket_multibehavior"
    rows = list(csv.DictReader(_lines(folder / "events_train.csv", source)))
    tests = list(csv.DictReader(_lines(folder / "buy_test.csv", source)))
    types = ["view", "cart", "buy"]
    # A held-out buy has no time of its own: it comes after everything else.
    latest = max(int(row["ts"]) for row in rows) + DAY
    columns = _write(
        work,
        subject=np.array([int(row["user"]) for row in rows + tests]),
        item=np.array([int(row["item"]) for row in rows + tests]) + 1,
        type=np.array([types.index(row.get("event", "buy")) for row in rows + tests]),
        time=np.array([float(row.get("ts", latest)) for row in rows + tests]),
        types=types,
    )
    settings = {"max_length": 50, "inputs": ["type", "gap"], "loss": "sampled"}
    split = _buys_split(columns, buy=types.index("buy"), latest=latest)
    protocol = "one held-out buy a user, repeats allowed"
    return Dataset(columns, split, ("ndcg@10", "hr@10"), settings, protocol, timed=True)


DATASETS: dict[str, Callable[[Path, Path], Dataset]] = {
    "ml-1m": ml_1m,
    "beauty": beauty,
    "retailrocket-sessions": retailrocket_sessions,
    "retailrocket-multibehavior": retailrocket_multibehavior,
}


def _sessions_split(columns: EventColumns, *, sessions: int) -> Split:
    """Trained on the first sessions, validated on every step of the last ones, tested on the placed targets."""
    start, end = np.array(columns.offsets[:-1]), np.array(columns.offsets[1:])
    held_out = max(1, min(VALIDATION_SESSIONS, sessions // 5))
    first_held_out = sessions - held_out
    train_end = np.where(np.arange(len(start)) < first_held_out, end, start)
    validation = np.arange(start[first_held_out], end[sessions - 1])
    subject = columns.subject_of_events()
    validation = validation[validation > start[subject[validation]]]
    test = end[sessions:] - 1
    return Split(
        kind="placed",
        train_start=start,
        train_end=train_end,
        validation=Cases(start[subject[validation]], validation),
        test=Cases(start[sessions:], test),
        validation_time=None,
        test_time=None,
        cold=0,
    )


def _buys_split(columns: EventColumns, *, buy: int, latest: float) -> Split:
    """Each user's held-out buy is the test; the last buy before it the validation, with all that follows it."""
    start, end = np.array(columns.offsets[:-1]), np.array(columns.offsets[1:])
    subject = columns.subject_of_events()
    held_out = columns.time >= latest
    test = np.flatnonzero(held_out)
    buys = np.flatnonzero((columns.type == buy) & ~held_out)
    last_buy = np.full(len(start), -1)
    last_buy[subject[buys]] = buys
    usable = last_buy > start
    train_end = np.where(usable, last_buy, np.where(held_out[end - 1], end - 1, end))
    return Split(
        kind="placed",
        train_start=start,
        train_end=train_end,
        validation=Cases(start[usable], last_buy[usable]),
        test=Cases(start[subject[test]], test),
        validation_time=None,
        test_time=None,
        cold=0,
    )


def _flat(sequences: Sequence[Sequence[int]]) -> dict[str, np.ndarray]:
    subject = np.repeat(np.arange(len(sequences)), [len(sequence) for sequence in sequences])
    return {"subject": subject, "item": np.concatenate([np.array(sequence) for sequence in sequences])}


def _write(work: Path, *, subject: Any, item: Any, type: Any = None, time: Any = None, types: Any = None) -> Any:
    """Columns of a log; where a file has no times, the order of its lines stands for them."""
    count, items = len(subject), int(item.max())
    return write_columns(
        work / "columns",
        subject=subject,
        item=item,
        type=np.zeros(count, dtype=np.int64) if type is None else type,
        time=np.arange(count, dtype=np.float64) if time is None else time,
        value=np.full(count, np.nan),
        items=[str(code) for code in range(1, items + 1)],
        types=types or ["view"],
    )


def _lines(path: Path, source: str) -> list[str]:
    if not path.exists():
        raise MissingData(f"{path} is missing; get it from {source} and put it there, or point --data elsewhere")
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        return [line for line in file if line.strip()]
