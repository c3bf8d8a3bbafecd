"""Files of knowledge as rows: Markdown and HTML files are one source each, of a CSV file each row is one."""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from django.utils.dateparse import parse_datetime

from apps.service.knowledge.cleaning import clean_characters
from apps.service.knowledge.html_text import text_of_html

# With its markup, which is taken out: ten times what may be left.
LONGEST_RAW = 1_000_000
LISTS, TIMES = ("segments", "tags"), ("valid_from", "valid_until")
COLUMNS = ("id", "kind", "title", "body", "language", "audience", *LISTS, *TIMES)
FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
QUOTED_OR_PLAIN = re.compile(r"""\s*("[^"]*"|'[^']*'|[^,;]+)""")
FIRST_HEADING = re.compile(r"^#[ \t]+(.+)$", re.MULTILINE)


@dataclass
class Row:
    """One source to be, or what is wrong with it. `line` counts from 1."""

    file: str
    line: int
    fields: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    stripped: dict[str, int] = field(default_factory=dict)


def read_file(name: str, content: str) -> Iterator[Row]:
    """The file's rows, in their order; one that cannot be read at all is one row with the reason."""
    reader = READERS.get(PurePath(name).suffix.lower())
    if reader is None:
        yield Row(name, 1, problems=[f"its name must end in {', '.join(READERS)}"])
    elif not content.strip():
        yield Row(name, 1, problems=["the file is empty"])
    else:
        yield from reader(name, content.removeprefix("\ufeff"))


def _markdown(name: str, content: str) -> Iterator[Row]:
    row = Row(name, 1)
    content = content.replace("\r\n", "\n")
    front = FRONT_MATTER.match(content)
    if front:
        told = _front_matter(front[1], row)
        content = content[front.end() :]
    heading = FIRST_HEADING.search(content)
    own = {"title": heading[1].strip() if heading else PurePath(name).stem}
    if heading and not content[: heading.start()].strip():
        content = content[heading.end() :]
    row.fields = _fields({"id": name} | own | (told if front else {}) | {"body": content}, row)
    yield row


def _front_matter(text: str, row: Row) -> dict[str, str | list[str]]:
    """Lines such as 'language: en'; a list is '[a, "b"]', or has each value behind '- ' on a line of its own."""
    told: dict[str, str | list[str]] = {}
    lists: dict[str, list[str]] = {}
    name = ""
    for number, line in enumerate(text.splitlines(), start=2):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if name in lists and line.lstrip().startswith("- "):
            lists[name].append(_unquoted(line.strip()[2:]))
            continue
        name, colon, value = line.partition(":")
        if not colon:
            row.problems.append(f"line {number} of the front matter is no 'name: value'")
            continue
        name, value = name.strip().lower(), value.strip()
        if name in LISTS:
            told[name] = lists[name] = _listed(value)
        else:
            told[name] = _unquoted(value)
    return told


def _listed(value: str) -> list[str]:
    bare = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    return [_unquoted(each) for each in QUOTED_OR_PLAIN.findall(bare)]


def _unquoted(value: str) -> str:
    value = value.strip()
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


def _html(name: str, content: str) -> Iterator[Row]:
    row = Row(name, 1)
    if len(content) > LONGEST_RAW:
        row.problems.append(f"has {len(content):,} characters; at most {LONGEST_RAW:,} are read of a page, divide it")
        yield row
        return
    characters = clean_characters(content)
    title, seen = text_of_html(characters.text)
    row.stripped = {
        kind: characters.stripped.get(kind, 0) + seen.stripped.get(kind, 0)
        for kind in {**characters.stripped, **seen.stripped}
    }
    heading = FIRST_HEADING.search(seen.text)
    title = title or (heading[1] if heading else PurePath(name).stem)
    row.fields = _fields({"id": name, "title": title[:300], "body": seen.text}, row)
    yield row


def _csv(name: str, content: str) -> Iterator[Row]:
    delimiter = max(",;\t", key=content.split("\n", 1)[0].count)
    lines = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = [column.strip().lower() for column in next(lines)]
        if problem := _wrong_columns(columns):
            yield Row(name, 1, problems=[problem])
            return
        before = lines.line_num
        for values in lines:
            begins, before = before + 1, lines.line_num
            if any(value.strip() for value in values):
                yield _csv_row(name, begins, columns, values)
    except csv.Error as error:
        yield Row(name, lines.line_num or 1, problems=[f"this row and those behind it cannot be read: {error}"])


def _csv_row(name: str, line: int, columns: list[str], values: list[str]) -> Row:
    row = Row(name, line)
    if len(values) != len(columns):
        row.problems.append(f"has {len(values)} values where the first line names {len(columns)} columns")
        return row
    row.fields = _fields(dict(zip(columns, values, strict=True)), row)
    return row


def _wrong_columns(columns: list[str]) -> str | None:
    if unknown := [column for column in columns if column not in COLUMNS]:
        return f"'{unknown[0][:50]}' is no known column; known are {', '.join(COLUMNS)}"
    if len(set(columns)) < len(columns):
        return "a column is named twice"
    if missing := [column for column in ("title", "body") if column not in columns]:
        return f"the column '{missing[0]}' is missing; the first line must name the columns"
    return None


def _fields(values: Mapping[str, str | list[str]], row: Row) -> dict[str, Any]:
    """Fields of a source; what is left empty is left out."""
    fields: dict[str, Any] = {}
    for name, value in values.items():
        if name not in COLUMNS:
            row.problems.append(f"'{name[:50]}' is not known; known are {', '.join(COLUMNS)}")
        elif name in ("title", "body"):
            if len(value) > LONGEST_RAW:
                row.problems.append(
                    f"{name}: has {len(value):,} characters; at most {LONGEST_RAW:,} are read, divide it"
                )
            else:
                fields[name] = value
        elif isinstance(value, list) or name in LISTS:
            parts = value if isinstance(value, list) else re.split("[,;]", value)
            fields[name] = [each.strip() for each in parts if each.strip()]
        elif not value.strip():
            continue
        elif name in TIMES:
            fields[name] = _time(name, value.strip(), row)
        else:
            fields["external_id" if name == "id" else name] = value.strip()
    return fields


def _time(name: str, value: str, row: Row) -> datetime | None:
    try:
        moment = parse_datetime(value if len(value) > 10 else f"{value}T00:00")
        if moment:
            # The database takes no offset beyond 16 hours.
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        pass
    row.problems.append(f"{name}: '{value[:50]}' is no time; write it like 2026-11-24T15:30")
    return None


READERS: dict[str, Callable[[str, str], Iterator[Row]]] = {
    ".md": _markdown,
    ".markdown": _markdown,
    ".csv": _csv,
    ".html": _html,
    ".htm": _html,
}
