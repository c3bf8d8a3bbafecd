"""Examples in a CSV file."""

import csv
import io
from typing import Any

from rest_framework import parsers
from rest_framework.exceptions import ParseError

# Names that exports use for the columns, tried in this order.
COLUMNS = {
    "text": ("text", "utterance", "query", "question", "message", "instruction"),
    "intent": ("intent", "label", "category"),
}
DELIMITERS = ",;\t"


class CSVParser(parsers.BaseParser):
    """A CSV file with a header as the body {"examples": [{"text", "intent"}]}."""

    media_type = "text/csv"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> dict[str, Any]:
        return {"examples": read_csv(stream.read())}


def read_csv(content: bytes) -> list[dict[str, str | None]]:
    """One example for each row that is not blank. Raises ParseError that says what to change."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ParseError("the file is not UTF-8; save it as CSV UTF-8") from None
    header = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=header.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        names = {(name or "").strip().lower(): name for name in reader.fieldnames or ()}
        columns = {field: _column(field, names) for field in COLUMNS}
        return [
            {field: row[column] for field, column in columns.items()}
            for row in reader
            if any((row[column] or "").strip() for column in columns.values())
        ]
    except csv.Error as error:
        raise ParseError(f"line {reader.line_num} can not be read: {error}") from None


def _column(field: str, names: dict[str, str]) -> str:
    for name in COLUMNS[field]:
        if name in names:
            return names[name]
    found = ", ".join(filter(None, names.values())) or "none"
    raise ParseError(
        f"no column for {field}; name one of {', '.join(COLUMNS[field])} in the first line. Found: {found}"
    )
