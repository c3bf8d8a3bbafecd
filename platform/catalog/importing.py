"""A shop's catalogue export as items: which column fills which field, and what a cell means."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rest_framework.exceptions import ValidationError

from behavior.importing.errors import ImportRefused
from behavior.importing.readers import Chunk, Reader
from catalog.filters import ATTRIBUTE
from catalog.serializers import ItemSerializer, read_item
from catalog.services import store_items
from tenancy.scope import tenant_scope

CHUNK = 1000
BAD_ROWS_SHOWN = 10
FIELDS = [name for name, each in ItemSerializer().fields.items() if not each.read_only]
# Names that exports use, tried in this order where no mapping is given.
USUAL_NAMES: dict[str, tuple[str, ...]] = {
    "id": ("id", "item_id", "itemid", "sku", "product_id", "productid", "article_id", "asin", "movie_id"),
    "title": ("title", "name", "product_name", "label"),
    "description": ("description", "long_description", "text"),
    "categories": ("categories", "category", "category_code", "product_type", "genres"),
    "brand": ("brand", "manufacturer", "vendor"),
    "price": ("price", "sale_price", "amount"),
    "currency": ("currency", "currency_code"),
    "available": ("available", "availability", "in_stock", "instock"),
    "hidden": ("hidden", "is_hidden"),
    "image_url": ("image_url", "image", "image_link", "imurl"),
    "attributes": ("attributes",),
}
# The availability values of product feeds, beside true and false.
AVAILABILITY = {"in stock": True, "in_stock": True, "out of stock": False, "out_of_stock": False, "preorder": False}


@dataclass
class ItemImportReport:
    """Every row is counted once: rows = ok + rejected. The first rejected ones are kept with their reasons."""

    rows: int = 0
    ok: int = 0
    rejected: int = 0
    bad_rows: list[dict[str, Any]] = field(default_factory=list)


def make_item_mapping(found: Sequence[str], columns: Mapping[str, str]) -> dict[str, str]:
    """Field -> column, checked against the columns of the file, or guessed from usual names. Raises ImportRefused."""
    for name, column in columns.items():
        if name not in FIELDS and not name.startswith(ATTRIBUTE):
            raise ImportRefused(f"'{name}' is not a field; fields are {', '.join(FIELDS)}, {ATTRIBUTE}<name>")
        if column not in found:
            raise ImportRefused(f"--map {name}={column}: the file has no column '{column}'; found: {', '.join(found)}")
    if "id" in columns:
        return dict(columns)
    guessed = _guess(found) | dict(columns)
    if "id" not in guessed:
        raise ImportRefused(f"no column for id; name it with --map id=COLUMN. Found: {', '.join(found)}")
    return guessed


def _guess(found: Sequence[str]) -> dict[str, str]:
    by_lower_name = {column.lower(): column for column in reversed(found)}
    guessed = {}
    for name, usual in USUAL_NAMES.items():
        column = next((by_lower_name[candidate] for candidate in usual if candidate in by_lower_name), None)
        if column is not None:
            guessed[name] = column
    return guessed


def import_items(
    *,
    tenant_id: int,
    reader: Reader,
    mapping: Mapping[str, str],
    separator: str = "|",
    dry_run: bool = False,
    on_progress: Callable[[int, int], None] = lambda rows, position: None,
) -> ItemImportReport:
    """Put the items of a file into the catalogue, 1,000 a transaction; a second run of it changes nothing."""
    report = ItemImportReport()
    for chunk in reader.chunks(list(mapping.values()), CHUNK, 0):
        rows = _read_chunk(chunk, mapping, separator, report)
        if rows and not dry_run:
            with tenant_scope(tenant_id):
                store_items(rows)
        on_progress(report.rows, chunk.position)
    return report


def _read_chunk(
    chunk: Chunk, mapping: Mapping[str, str], separator: str, report: ItemImportReport
) -> list[dict[str, Any]]:
    """Column values of the good rows; all rows are counted in the report."""
    good = []
    for row in range(chunk.rows):
        try:
            if row in chunk.malformed:
                raise ValidationError(chunk.malformed[row][1])
            cells = {name: chunk.cells[column][row] for name, column in mapping.items()}
            good.append(read_item(make_item(cells, separator)))
        except ValidationError as error:
            report.rejected += 1
            if len(report.bad_rows) < BAD_ROWS_SHOWN:
                report.bad_rows.append({"row": chunk.first_row + row + 1, "errors": error.detail})
    report.rows += chunk.rows
    report.ok += len(good)
    return good


def make_item(cells: Mapping[str, Any], separator: str) -> dict[str, Any]:
    """An item in the form of the API from the cells of a row, by field; empty cells are left out."""
    item: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    for name, cell in cells.items():
        if cell is None:
            continue
        if name.startswith(ATTRIBUTE):
            attributes[name.removeprefix(ATTRIBUTE)] = _read_attribute(cell)
        elif name == "categories":
            item[name] = _read_list(cell, separator)
        elif name == "attributes":
            attributes |= _read_object(cell)
        elif name == "available" and isinstance(cell, str):
            item[name] = AVAILABILITY.get(cell.strip().lower(), cell.strip())
        elif isinstance(cell, float) and name == "price":
            # Data frames carry prices as floats, with noise behind the second decimal.
            item[name] = round(cell, 2)
        else:
            item[name] = cell
    return item | ({"attributes": attributes} if attributes else {})


def _read_list(cell: Any, separator: str) -> Any:
    if not isinstance(cell, str):
        return cell
    if cell.startswith("["):
        return _parsed(cell)
    return [part.strip() for part in cell.split(separator) if part.strip()]


def _read_object(cell: Any) -> dict[str, Any]:
    parsed = _parsed(cell) if isinstance(cell, str) else cell
    if not isinstance(parsed, dict):
        raise ValidationError({"attributes": ["must be a JSON object"]})
    return parsed


def _read_attribute(cell: Any) -> Any:
    """A cell of text that is just a number, a flag or a list means that; "007" and "1e5" stay text."""
    if not isinstance(cell, str):
        return cell
    if cell in ("true", "false") or cell.startswith("["):
        return _parsed(cell)
    for kind in (int, float):
        try:
            if str(kind(cell)) == cell and cell not in ("nan", "inf", "-inf"):
                return kind(cell)
        except ValueError:
            continue
    return cell


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
