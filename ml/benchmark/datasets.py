"""Readers of the public files, each with the split that published figures use."""

import csv
import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ml.benchmark.placed_splits import next_buy_split, placed_buys_split, sessions_split
from ml.data.columns import EventColumns, write_columns
from ml.data.item_features import AttributeColumn, ItemFeatures
from ml.data.splits import Split, leave_one_out_split

DAY = 86_400.0
RETAILROCKET_TYPES = ["view", "cart", "buy"]
RETAILROCKET_SOURCE = "the RetailRocket files of github.com/HKUDS/SSLRec"


class MissingData(FileNotFoundError):
    """A file of a data set is not there; the message says where it is published."""


@dataclass(frozen=True)
class Dataset:
    """A log, its split, how it is measured, and settings that suit it. metrics are names of `ranking_metrics`.

    attributes has one entry per item of the log; `neighbors` asks for session neighbours (V-STAN) in the table.
    """

    columns: EventColumns
    split: Split
    metrics: tuple[str, ...]
    settings: dict[str, Any]
    protocol: str
    attributes: dict[str, AttributeColumn] | None = None
    neighbors: bool = False


@dataclass(frozen=True)
class DescribedColumns(EventColumns):
    """A log whose item features are in memory and not in a file beside it, which would take more than numpy."""

    described: ItemFeatures

    def features(self) -> ItemFeatures:
        return self.described


def describe(dataset: Dataset, text: Path | None) -> EventColumns:
    """The log with its attributes and, from an .npz file with `item` (ids) and `embedding` (ids, dimension), its texts.

    Raises ValueError where the file has not a text for each item.
    """
    columns = dataset.columns
    if dataset.attributes is None and text is None:
        return columns
    embedding = None if text is None else _texts(text, columns.items)
    features = ItemFeatures.build(items=len(columns.items), attributes=dataset.attributes, text=embedding)
    known = {field.name: getattr(columns, field.name) for field in fields(EventColumns)}
    return DescribedColumns(**known, described=features)


def ml_1m(data: Path, work: Path) -> Dataset:
    """MovieLens-1M, "user item" lines in time order (kang205/SASRec, FeiSun/BERT4Rec).

    Where the same lines with ratings and original ids are there too (sequences.csv.gz, and items.dat of GroupLens),
    events have their rating as value, and items their genres and decade as attributes.
    """
    folder = data / "ml-1m"
    lines = _lines(folder / "ml-1m.txt.gz", "ml-1m.txt of github.com/kang205/SASRec or FeiSun/BERT4Rec")
    rows = np.array([line.split() for line in lines], dtype=np.int64)
    rating, attributes = _ml_1m_extras(folder)
    columns = _write(work, subject=rows[:, 0] - 1, item=rows[:, 1], value=rating)
    return Dataset(
        columns,
        leave_one_out_split(columns),
        ("ndcg@10", "hr@10"),
        {"exclude_seen": True, "max_length": 200, "inputs": [], "copying": False, "batch_tokens": 4096},
        "leave-one-out, seen removed",
        attributes,
    )


def _ml_1m_extras(folder: Path) -> tuple[np.ndarray | None, dict[str, AttributeColumn] | None]:
    if not (folder / "sequences.csv.gz").exists() or not (folder / "items.dat").exists():
        return None, None
    _, *lines = _lines(folder / "sequences.csv.gz", "")
    rows = np.array([line.split(",") for line in lines], dtype=np.int64)
    original = dict(zip(rows[:, 2].tolist(), rows[:, 3].tolist(), strict=True))
    films = [line.rstrip("\n").split("\t") for line in (folder / "items.dat").read_text("latin-1").splitlines()]
    genres = {int(film): kinds.split("|") for film, _, kinds in films}
    decade = {int(film): title.rstrip(" )")[-4:-1] for film, title, _ in films}
    codes = range(1, max(original) + 1)
    attributes: dict[str, AttributeColumn] = {
        "genre": [genres.get(original.get(code, 0)) for code in codes],
        "decade": [decade.get(original.get(code, 0)) for code in codes],
    }
    return rows[:, 4].astype(np.float64), attributes


def beauty(data: Path, work: Path) -> Dataset:
    """Amazon Beauty 5-core as prepared for S3-Rec: a user and then the items in time order.

    Where items.csv is there too (item_id, asin, and brand and categories joined by "|"), items have attributes.
    """
    folder = data / "amazon_beauty"
    lines = _lines(folder / "Beauty.txt", "Beauty.txt of github.com/aHuiWang/CIKM2020-S3Rec")
    sequences = [[int(code) for code in line.split()[1:]] for line in lines]
    columns = _write(work, **_flat(sequences))
    return Dataset(
        columns,
        leave_one_out_split(columns),
        ("ndcg@10", "hr@10"),
        {"exclude_seen": True, "max_length": 50, "inputs": [], "copying": False, "loss": "full"},
        "leave-one-out, seen removed",
        _beauty_attributes(folder / "items.csv", columns.items),
    )


def _beauty_attributes(file: Path, items: Sequence[str]) -> dict[str, AttributeColumn] | None:
    if not file.exists():
        return None
    described = {row["item_id"]: row["attributes"].split("|") for row in csv.DictReader(_lines(file, ""))}
    known = [described.get(item, []) for item in items]
    brand: AttributeColumn = [values[0] if values and values[0] != "Unknown" else None for values in known]
    return {"brand": brand, "category": [values[1:] for values in known]}


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
        sessions_split(columns, sessions=len(train)),
        ("hr@20", "mrr@20"),
        {"max_length": 20, "inputs": [], "loss": "sampled"},
        "placed test prefixes, repeats allowed",
        neighbors=True,
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
    return Dataset(columns, split, ("ndcg@10", "hr@10"), settings, "one held-out buy a user, repeats allowed")


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


DATASETS: dict[str, Callable[[Path, Path], Dataset]] = {
    "ml-1m": ml_1m,
    "beauty": beauty,
    "retailrocket-sessions": retailrocket_sessions,
    "retailrocket-multibehavior": retailrocket_multibehavior,
    "retailrocket-buys": retailrocket_buys,
    "retailrocket-buys-alone": retailrocket_buys_alone,
}


def _retailrocket_events(data: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(_lines(data / "retailrocket_multibehavior" / "events_train.csv", RETAILROCKET_SOURCE)))


def _texts(file: Path, items: Sequence[str]) -> np.ndarray:
    with np.load(file, allow_pickle=False) as stored:
        row = {str(item): number for number, item in enumerate(stored["item"])}
        embedding = stored["embedding"]
    missing = [item for item in items if item not in row]
    if missing:
        raise ValueError(f"{file} has no text for {len(missing)} items, such as {missing[0]}; make it anew")
    return embedding[[row[item] for item in items]]


def _flat(sequences: Sequence[Sequence[int]]) -> dict[str, np.ndarray]:
    subject = np.repeat(np.arange(len(sequences)), [len(sequence) for sequence in sequences])
    return {"subject": subject, "item": np.concatenate([np.array(sequence) for sequence in sequences])}


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


def _lines(path: Path, source: str) -> list[str]:
    if not path.exists():
        raise MissingData(f"{path} is missing; get it from {source} and put it there, or point --data elsewhere")
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        return [line for line in file if line.strip()]
