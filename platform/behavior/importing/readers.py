"""Files as chunks of columns: CSV, TSV and JSON lines (also gzipped), and Parquet.

A reader keeps each row's place: a row that cannot be read is handed on as malformed, never skipped.
"""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any, Protocol, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from behavior.importing.errors import ImportRefused

FORMATS = {".csv": "csv", ".tsv": "csv", ".tab": "csv", ".txt": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
FORMATS |= {".json": "jsonl", ".parquet": "parquet", ".pq": "parquet"}
DELIMITERS = ",\t;|"
csv.field_size_limit(1024 * 1024)


@dataclass
class Chunk:
    """Consecutive rows of a file. `cells` has one list a wanted column; None is an empty cell."""

    first_row: int  # counted from 0
    rows: int
    cells: Mapping[str, Sequence[Any]]
    malformed: dict[int, tuple[str, str]] = field(default_factory=dict)  # row within the chunk -> (text, why)
    position: int = 0  # bytes of the file read so far


class Reader(Protocol):
    columns: list[str]

    def chunks(self, wanted: Sequence[str], rows: int, skip: int) -> Iterator[Chunk]:
        """Chunks of `rows` rows after the first `skip` rows, with the wanted columns."""
        ...


def open_reader(path: Path, file_format: str | None, delimiter: str | None) -> Reader:
    """A reader by format, told from the name's ending when not given. Raises ImportRefused."""
    if not path.is_file():
        raise ImportRefused(f"{path}: no such file")
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    file_format = file_format or (FORMATS.get(suffixes[-1]) if suffixes else None)
    if file_format is None:
        raise ImportRefused(f"{path}: cannot tell the format from the name; give --format csv, jsonl or parquet")
    if file_format == "parquet":
        return ParquetReader(path)
    if file_format == "jsonl":
        return JsonLinesReader(path)
    return CsvReader(path, delimiter or ("\t" if file_format == "tsv" or suffixes[-1:] == [".tsv"] else None))


class TextFile:
    """A text file, perhaps gzipped. Bytes that are not UTF-8 come through as lone surrogates, to be judged by row."""

    def __init__(self, path: Path) -> None:
        self.raw: IO[bytes] = path.open("rb")
        start = self.raw.read(4)
        self.raw.seek(0)
        unzipped = cast(IO[bytes], gzip.GzipFile(fileobj=self.raw)) if start[:2] == b"\x1f\x8b" else self.raw
        encoding = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        self.text = io.TextIOWrapper(unzipped, encoding=encoding, errors="surrogateescape", newline="")

    @property
    def position(self) -> int:
        return self.raw.tell()


class CsvReader:
    """CSV with a header; the delimiter is told from the header when not given."""

    def __init__(self, path: Path, delimiter: str | None) -> None:
        self.file = TextFile(path)
        with _readable(path):
            header = self.file.text.readline()
            if not header.strip():
                raise ImportRefused(f"{path}: is empty; the first line must name the columns")
            delimiter = delimiter or max(DELIMITERS, key=header.count)
            self.file.text.seek(0)
            self.records = csv.reader(self.file.text, delimiter=delimiter)
            self.columns = [name.strip() for name in next(self.records)]
        self.path = path
        self.delimiter = delimiter

    def chunks(self, wanted: Sequence[str], rows: int, skip: int) -> Iterator[Chunk]:
        places = {name: self.columns.index(name) for name in wanted}
        for start in range(0, skip, rows):
            self._read(min(rows, skip - start), {})
        first = skip
        while True:
            malformed: dict[int, tuple[str, str]] = {}
            records = self._read(rows, malformed)
            if not records:
                return
            width = len(self.columns)
            if any(len(record) != width for record in records):
                self._set_aside(records, malformed)
            columns = list(zip(*records, strict=True))
            cells = {name: [cell or None for cell in columns[place]] for name, place in places.items()}
            yield Chunk(first, len(records), cells, malformed, self.file.position)
            first += len(records)

    def _read(self, rows: int, malformed: dict[int, tuple[str, str]]) -> list[list[str]]:
        """Up to `rows` records; blank lines are no rows."""
        records: list[list[str]] = []
        with _readable(self.path):
            while len(records) < rows:
                fresh: list[list[str]] = []
                why = None
                try:
                    fresh.extend(islice(self.records, rows - len(records)))
                except csv.Error as error:
                    # What came before the bad record is in `fresh` all the same.
                    why = f"is no CSV up to line {self.records.line_num} ({error}); look for an unclosed quote"
                if not fresh and why is None:
                    break
                records += [record for record in fresh if record] if [] in fresh else fresh
                if why is not None:
                    malformed[len(records)] = ("", why)
                    records.append([""] * len(self.columns))
        return records

    def _set_aside(self, records: list[list[str]], malformed: dict[int, tuple[str, str]]) -> None:
        width = len(self.columns)
        for row, record in enumerate(records):
            if len(record) != width:
                why = f"has {len(record)} cells where the header names {width} columns; quote cells with a delimiter"
                malformed[row] = (self.delimiter.join(record), why)
                records[row] = [""] * width


class JsonLinesReader:
    """One JSON object a line; `subject.user_id` names a member of a nested object."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = TextFile(path)
        self.columns = self._first_columns()

    def _first_columns(self) -> list[str]:
        names: dict[str, None] = {}
        line = ""
        with _readable(self.path):
            for line in islice(self.file.text, 100):
                record = _parse_line(line)
                if isinstance(record, dict):
                    for name, value in record.items():
                        names[name] = None
                        names |= {f"{name}.{member}": None for member in value} if isinstance(value, dict) else {}
            self.file.text.seek(0)
        if not names and line.lstrip().startswith("["):
            raise ImportRefused(f"{self.path}: is one JSON array; write one object a line (JSON lines) instead")
        if not names:
            raise ImportRefused(f"{self.path}: no JSON object in the first 100 lines")
        return list(names)

    def chunks(self, wanted: Sequence[str], rows: int, skip: int) -> Iterator[Chunk]:
        lines = (line for line in self.file.text if line.strip())
        with _readable(self.path):
            first = sum(1 for _ in islice(lines, skip))
        while True:
            with _readable(self.path):
                texts = list(islice(lines, rows))
            if not texts:
                return
            malformed: dict[int, tuple[str, str]] = {}
            records: list[dict[str, Any]] = []
            for row, text in enumerate(texts):
                record = _parse_line(text)
                if not isinstance(record, dict):
                    malformed[row] = (text.rstrip("\r\n"), record if isinstance(record, str) else "is no JSON object")
                    record = {}
                records.append(record)
            cells = {name: [_member(record, name) for record in records] for name in wanted}
            yield Chunk(first, len(texts), cells, malformed, self.file.position)
            first += len(texts)


def _parse_line(line: str) -> Any:
    """The line's value, or a text that says why it is no JSON."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"is no JSON: {error}"
    return value if isinstance(value, dict) else None


def _member(record: dict[str, Any], name: str) -> Any:
    if name in record:
        return record[name]
    outer, _, inner = name.partition(".")
    nested = record.get(outer)
    return nested.get(inner) if isinstance(nested, dict) else None


class ParquetReader:
    def __init__(self, path: Path) -> None:
        try:
            self.file = pq.ParquetFile(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise ImportRefused(f"{path}: is no readable Parquet file: {error}") from error
        self.path = path
        self.columns: list[str] = self.file.schema_arrow.names

    def chunks(self, wanted: Sequence[str], rows: int, skip: int) -> Iterator[Chunk]:
        first = 0
        bytes_a_row = self.path.stat().st_size / max(self.file.metadata.num_rows, 1)
        for batch in self.file.iter_batches(batch_size=rows, columns=list(wanted)):
            last = first + batch.num_rows
            if last > skip:
                fresh = batch.slice(max(skip - first, 0))
                cells = {name: _python_values(fresh[name]) for name in wanted}
                yield Chunk(last - fresh.num_rows, fresh.num_rows, cells, position=round(last * bytes_a_row))
            first = last


def _python_values(column: pa.Array) -> list[Any]:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
    elif pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        column = column.cast(pa.timestamp("us", tz=getattr(kind, "tz", None)), safe=False)
    elif pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    if pa.types.is_floating(column.type):
        # Data frames write a missing number as NaN.
        column = pc.if_else(pc.is_nan(column), None, column)
    return column.to_pylist()


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        raise ImportRefused(f"{path}: cannot be read to the end, perhaps cut off: {error}") from error
