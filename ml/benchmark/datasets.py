"""Readers of the public files, each with the split that published figures use."""

import csv
import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ml.benchmark.items import beauty_items, ml_1m_items
from ml.benchmark.placed_splits import next_buy_split, placed_buys_split, sessions_split
from ml.benchmark.simulated import outdoor_shop
from ml.data.columns import EventColumns, write_columns
from ml.data.item_features import ItemFeatures
from ml.data.splits import Split, global_time_split, leave_one_out_split

DAY = 86_400.0
RETAILROCKET_TYPES = ["view", "cart", "buy"]
RETAILROCKET_SOURCE = "the RetailRocket files of github.com/HKUDS/SSLRec"


class MissingData(FileNotFoundError):
    """A file of a data set is not there; the message says where it is published."""


@dataclass(frozen=True)
class Dataset:
    """A log, its split, how it is measured, and settings that suit it. metrics are names of `ranking_metrics`.

    `describe` reads what the files know of the items, for the inputs attributes and text; None where they know nothing.
    In a `timed` one the events have times of their own, all but the test targets.
    """

    columns: EventColumns
    split: Split
    metrics: tuple[str, ...]
    settings: dict[str, Any]
    protocol: str
    describe: Callable[[], ItemFeatures] | None = None
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
    """MovieLens-1M, "user item" lines in time order (kang205/SASRec, FeiSun/BERT4Rec).

    Where the same lines with ratings are there too, events have them as values.
    """
    folder = data / "ml-1m"
    lines = _lines(folder / "ml-1m.txt.gz", "ml-1m.txt of github.com/kang205/SASRec or FeiSun/BERT4Rec")
    rows = np.array([line.split() for line in lines], dtype=np.int64)
    columns = _write(work, subject=rows[:, 0] - 1, item=rows[:, 1], value=_ratings(folder, rows))
    settings = {"exclude_seen": True, "max_length": 200, "inputs": [], "copying": False, "batch_tokens": 4096}

    def describe() -> ItemFeatures:
        ratings = _lines(folder / "sequences.csv.gz", "ratings.dat of grouplens.org, beside these codes")
        films = _lines(folder / "items.dat", "movies.dat of grouplens.org", encoding="latin-1")
        return ml_1m_items(ratings, films, columns.items)

    split, protocol = leave_one_out_split(columns), "leave-one-out, seen removed"
    return Dataset(columns, split, ("ndcg@10", "hr@10"), settings, protocol, describe)


def _ratings(folder: Path, rows: np.ndarray) -> np.ndarray | None:
    """The rating of each (user, item) row, (rows,), or None. Raises ValueError where the file has other rows."""
    file = folder / "sequences.csv.gz"
    if not file.exists():
        return None
    rated = np.array([line.split(",") for line in _lines(file, "")[1:]], dtype=np.int64)
    if not np.array_equal(rated[:, [0, 2]], rows):
        raise ValueError(f"{file.name} and ml-1m.txt.gz do not hold the same events; they are of other versions")
    return rated[:, 4].astype(np.float64)


def beauty(data: Path, work: Path) -> Dataset:
    """Amazon Beauty 5-core as prepared for S3-Rec: a user and then the items in time order."""
    lines = _lines(data / "amazon_beauty" / "Beauty.txt", "Beauty.txt of github.com/aHuiWang/CIKM2020-S3Rec")
    sequences = [[int(code) for code in line.split()[1:]] for line in lines]
    subject, item = _flat(sequences)
    columns = _write(work, subject=subject, item=item)
    settings = {"exclude_seen": True, "max_length": 50, "inputs": [], "copying": False, "loss": "full"}

    def describe() -> ItemFeatures:
        source = "the item attributes of github.com/aHuiWang/CIKM2020-S3Rec"
        return beauty_items(_lines(data / "amazon_beauty" / "items.csv", source), columns.items)

    split, protocol = leave_one_out_split(columns), "leave-one-out, seen removed"
    return Dataset(columns, split, ("ndcg@10", "hr@10"), settings, protocol, describe)


def retailrocket_sessions(data: Path, work: Path) -> Dataset:
    """RetailRocket sessions in time order; each test line is a prefix and the item that came next."""
    source = "data/retail_rocket of github.com/RecoHut-Datasets/retail_rocket"
    folder = data / "retailrocket_sessions"
    train = [[int(code) for code in line.split()] for line in _lines(folder / "train_sessions.txt.gz", source)]
    tests = [line.rstrip("\n").split("\t") for line in _lines(folder / "test_prefix_target.txt.gz", source)]
    placed = [[int(code) for code in prefix.split()] + [int(target)] for prefix, target in tests]
    subject, item = _flat(train + placed)
    columns = _write(work, subject=subject, item=item)
    return Dataset(
        columns,
        sessions_split(columns, sessions=len(train)),
        ("hr@20", "mrr@20"),
        {"max_length": 20, "inputs": [], "loss": "sampled", "list_length": 20},
        "placed test prefixes, repeats allowed",
    )


def retailrocket_multibehavior(data: Path, work: Path) -> Dataset:
    """RetailRocket views, carts and buys; the test is one held-out buy a user, the validation each user's last one.

    The held-out buys have no time, and everything else comes before them: no time split, though no user's own future
    is seen. `retailrocket-buys` is one.
    """
    rows = _retailrocket_events(data)
    tests = list(csv.DictReader(_lines(data / "retailrocket_multibehavior" / "buy_test.csv", RETAILROCKET_SOURCE)))
    latest = max(int(row["ts"]) for row in rows) + DAY
    columns = _write(
        work,
        subject=np.array([int(row["user"]) for row in rows + tests]),
        item=np.array([int(row["item"]) for row in rows + tests]) + 1,
        type=np.array([RETAILROCKET_TYPES.index(row.get("event", "buy")) for row in rows + tests]),
        time=np.array([float(row.get("ts", latest)) for row in rows + tests]),
        types=RETAILROCKET_TYPES,
    )
    settings = {"max_length": 50, "inputs": ["type", "gap"], "loss": "sampled"}
    split = placed_buys_split(columns, buy=RETAILROCKET_TYPES.index("buy"), latest=latest)
    protocol = "one held-out buy a user, repeats allowed"
    return Dataset(columns, split, ("ndcg@10", "hr@10"), settings, protocol, timed=True)


def retailrocket_buys(data: Path, work: Path) -> Dataset:
    """RetailRocket views, carts and buys, split by time; each later buy of a user with an earlier buy is to be
    predicted from everything that the user did before it."""
    return _next_buy(data, work, types=RETAILROCKET_TYPES, inputs=["type", "gap"])


def retailrocket_buys_alone(data: Path, work: Path) -> Dataset:
    """The cases and the catalogue of `retailrocket-buys`, known by buys alone."""
    return _next_buy(data, work, types=["buy"], inputs=["gap"])


def _next_buy(data: Path, work: Path, *, types: list[str], inputs: list[str]) -> Dataset:
    events = _retailrocket_events(data)
    rows = [row for row in events if row["event"] in types]
    columns = _write(
        work,
        subject=np.array([int(row["user"]) for row in rows]),
        item=np.array([int(row["item"]) for row in rows]) + 1,
        type=np.array([types.index(row["event"]) for row in rows]),
        time=np.array([float(row["ts"]) for row in rows]),
        types=types,
        items=1 + max(int(row["item"]) for row in events),
    )
    # The times split all events, so that both logs are cut at the same ones.
    split = next_buy_split(columns, buy=types.index("buy"), times=np.array([float(row["ts"]) for row in events]))
    protocol = "next buy after a global time, of users with an earlier one, repeats allowed"
    settings = {"max_length": 50, "inputs": inputs, "loss": "sampled"}
    return Dataset(columns, split, ("ndcg@10", "hr@10"), settings, protocol)


def demo_outdoor(data: Path, work: Path) -> Dataset:
    """The demonstration's outdoor shop, split by time; it is made here and needs no file."""
    columns = outdoor_shop(work)
    split = global_time_split(columns, validation_quantile=0.8, test_quantile=0.9, successive=True)
    settings = {"max_length": 50, "inputs": ["type", "gap"]}
    return Dataset(columns, split, ("ndcg@10", "hr@10"), settings, "by time, every item event of the newest tenth")


DATASETS: dict[str, Callable[[Path, Path], Dataset]] = {
    "ml-1m": ml_1m,
    "beauty": beauty,
    "retailrocket-sessions": retailrocket_sessions,
    "retailrocket-multibehavior": retailrocket_multibehavior,
    "retailrocket-buys": retailrocket_buys,
    "retailrocket-buys-alone": retailrocket_buys_alone,
    "demo-outdoor": demo_outdoor,
}


def _retailrocket_events(data: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(_lines(data / "retailrocket_multibehavior" / "events_train.csv", RETAILROCKET_SOURCE)))


def _flat(sequences: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Subject and item of every event."""
    subject = np.repeat(np.arange(len(sequences)), [len(sequence) for sequence in sequences])
    return subject, np.concatenate([np.array(sequence) for sequence in sequences])


def _write(
    work: Path,
    *,
    subject: np.ndarray,
    item: np.ndarray,
    type: np.ndarray | None = None,
    time: np.ndarray | None = None,
    value: np.ndarray | None = None,
    types: list[str] | None = None,
    items: int | None = None,
) -> EventColumns:
    """Columns of a log; where a file has no times, the order of its lines stands for them."""
    count = len(subject)
    return write_columns(
        work / "columns",
        subject=subject,
        item=item,
        type=np.zeros(count, dtype=np.int64) if type is None else type,
        time=np.arange(count, dtype=np.float64) if time is None else time,
        value=np.full(count, np.nan) if value is None else value,
        items=[str(code) for code in range(1, 1 + (items or int(item.max())))],
        types=types or ["view"],
    )


def _lines(path: Path, source: str, *, encoding: str = "utf-8") -> list[str]:
    if not path.exists():
        raise MissingData(f"{path} is missing; get it from {source} and put it there, or point --data elsewhere")
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open(encoding=encoding) as file:
        return [line for line in file if line.strip()]
