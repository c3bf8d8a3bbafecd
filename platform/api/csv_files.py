"""Rows as a file that a spreadsheet can open without running anything."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.http import HttpResponse


def csv_response(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, name: str) -> HttpResponse:
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    writer = csv.writer(response)
    writer.writerow(columns)
    writer.writerows([[_cell(row[column]) for column in columns] for row in rows])
    return response


def _cell(value: Any) -> Any:
    # A spreadsheet would run such a text as a formula.
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value
