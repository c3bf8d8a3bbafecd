"""Labels from a file: each row is judged by itself, and answered for where it cannot be kept."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from django.utils import timezone

from apps.risk.labels.reading import FIELDS, BadLabel, read_label
from apps.risk.labels.services import LabelResult, NewLabel
from behavior.importing.errors import ImportRefused
from behavior.importing.readers import Chunk, open_reader

ROWS = 10_000
Record = Callable[[Sequence[NewLabel]], list[LabelResult]]


@dataclass
class FileReport:
    """`counts` of ok, duplicate and invalid rows; `problems` tell of each row, counted from 1, why it was not kept."""

    counts: Counter[str] = field(default_factory=Counter)
    problems: dict[int, str] = field(default_factory=dict)

    def words(self) -> str:
        return ", ".join(f"{self.counts[name]:,} {name}" for name in ("ok", "duplicate", "invalid"))


def record_file(
    path: Path, record: Record, *, within: Callable[[], AbstractContextManager] = nullcontext
) -> FileReport:
    """`record` the labels of a file with the columns transaction_id, kind and, if known, known_at and note.

    10,000 rows at once are read and recorded `within` a context of their own. Raises ImportRefused for a file that
    cannot be read, or lacks a column.
    """
    reader = open_reader(path, None, None)
    names = [name for name in FIELDS if name in reader.columns]
    if not {"transaction_id", "kind"} <= set(names):
        raise ImportRefused(f"{path}: needs the columns transaction_id and kind; found {', '.join(reader.columns)}")
    report = FileReport()
    for chunk in reader.chunks(names, ROWS, 0):
        with within():
            _record(chunk, names, record, report)
    return report


def _record(chunk: Chunk, names: Sequence[str], record: Record, report: FileReport) -> None:
    labels: dict[int, NewLabel] = {}
    now = timezone.now()
    for row, cells in enumerate(zip(*(chunk.cells[name] for name in names), strict=True)):
        place = chunk.first_row + row + 1
        if row in chunk.malformed:
            report.problems[place] = chunk.malformed[row][1]
            continue
        try:
            labels[place] = read_label(dict(zip(names, cells, strict=True)), now=now)
        except BadLabel as error:
            report.problems[place] = str(error)
    report.counts["invalid"] += chunk.rows - len(labels)
    for place, result in zip(labels, record(list(labels.values())), strict=True):
        report.counts[result.result] += 1
        if result.message:
            report.problems[place] = f"{result.field} {result.message}"
