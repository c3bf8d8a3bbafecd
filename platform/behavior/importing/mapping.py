"""Which column of a file fills which field of an event."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from difflib import get_close_matches
from typing import Any

from behavior.importing.errors import ImportRefused
from behavior.importing.readers import Chunk
from behavior.judging import NESTED
from behavior.parsing import PARSERS

# Names that exports use, tried in this order where no mapping is given.
USUAL_NAMES: dict[str, tuple[str, ...]] = {
    "message_id": ("message_id", "messageid", "event_id", "eventid"),
    "type": ("type", "event", "event_type", "eventtype", "event_name", "behavior_type", "action"),
    "user_id": ("user_id", "userid", "subject.user_id", "user", "visitorid", "customer_id", "customerid", "uid"),
    "anonymous_id": ("anonymous_id", "anonymousid", "subject.anonymous_id", "visitor_id", "device_id", "cookie_id"),
    "session_id": ("session_id", "sessionid", "subject.session_id", "user_session", "session"),
    "item_id": ("item_id", "itemid", "item", "product_id", "productid", "product", "article_id", "movie_id", "sku"),
    "value": ("value", "price", "amount", "revenue", "rating"),
    "quantity": ("quantity", "qty"),
    "currency": ("currency", "currency_code"),
    "decision_id": ("decision_id",),
    "created_at": ("created_at", "timestamp", "ts", "time", "event_time", "occurred_at", "datetime", "date"),
    "personalisation": ("personalisation", "consent.personalisation"),
    "training": ("training", "consent.training"),
    "properties": ("properties",),
}
# A field behind it is a property of that name, so that a flat table needs no column of JSON.
PROPERTY = "properties."


@dataclass(frozen=True)
class ColumnMapping:
    """How rows become events: field -> column, field -> constant, and type -> type for renaming."""

    columns: dict[str, str]
    constants: dict[str, str]
    renames: dict[str, str]

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def cells(self, chunk: Chunk) -> dict[str, Sequence[Any]]:
        """Raw cells of a chunk by field."""
        cells: dict[str, Sequence[Any]] = {name: chunk.cells[column] for name, column in self.columns.items()}
        cells |= {name: [constant] * chunk.rows for name, constant in self.constants.items()}
        properties = {name: cells.pop(name) for name in [*cells] if name.startswith(PROPERTY)}
        if properties:
            cells["properties"] = _objects(properties)
        if self.renames:
            cells["type"] = [self.renames.get(name, name) if type(name) is str else name for name in cells["type"]]
        return cells

    def event(self, cells: Mapping[str, Sequence[Any]], row: int) -> dict[str, Any]:
        """One row in the form of the API, as the quarantine keeps it."""
        event: dict[str, Any] = {}
        for name, column in cells.items():
            if column[row] is None:
                continue
            outer, _, inner = NESTED.get(name, name).partition(".")
            if inner:
                event.setdefault(outer, {})[inner] = column[row]
            else:
                event[outer] = column[row]
        return event


def make_mapping(
    found: Sequence[str],
    columns: Mapping[str, str] | None = None,
    constants: Mapping[str, str] | None = None,
    renames: Mapping[str, str] | None = None,
) -> ColumnMapping:
    """Check a mapping against the columns found in the file, or guess one from usual names. Raises ImportRefused."""
    columns, constants, renames = dict(columns or {}), dict(constants or {}), dict(renames or {})
    given = [*columns, *constants]
    for name in given:
        if name not in PARSERS and not _is_property(name):
            close = get_close_matches(name, PARSERS, 1)
            hint = f"did you mean '{close[0]}'?" if close else f"fields are {', '.join(PARSERS)}, properties.<name>"
            raise ImportRefused(f"'{name}' is not a field of an event: {hint}")
    for name, column in columns.items():
        if column not in found:
            raise ImportRefused(f"--map {name}={column}: the file has no column '{column}'; found: {', '.join(found)}")
    if "properties" in given and any(name.startswith(PROPERTY) for name in given):
        raise ImportRefused("'properties' fills them all; give it alone, or each as 'properties.<name>'")
    if not columns:
        columns = _guess(found, constants)
    for name in columns.keys() & constants.keys():
        raise ImportRefused(f"'{name}' has both a column and a constant; give one of them")
    for names, why in (
        (("user_id", "anonymous_id"), "whose behaviour is it?"),
        (("type",), "what did they do? Without such a column give --constant type=view"),
        (("created_at",), "when? Without such a column give --constant created_at=2024-01-31"),
    ):
        if not any(name in columns or name in constants for name in names):
            raise ImportRefused(f"no column for {' or '.join(names)}: {why} Found: {', '.join(found)}")
    return ColumnMapping(columns, constants, renames)


def _is_property(name: str) -> bool:
    return name.startswith(PROPERTY) and name != PROPERTY


def _objects(properties: Mapping[str, Sequence[Any]]) -> list[dict[str, Any] | None]:
    """Columns as an object for each row, without what is empty."""
    names = [name.removeprefix(PROPERTY) for name in properties]
    return [
        {name: _plain(value) for name, value in zip(names, row, strict=True) if value is not None} or None
        for row in zip(*properties.values(), strict=True)
    ]


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def _guess(found: Sequence[str], constants: Mapping[str, str]) -> dict[str, str]:
    by_lower_name = {column.lower(): column for column in reversed(found)}
    guessed: dict[str, str] = {}
    for name, usual in USUAL_NAMES.items():
        column = next((by_lower_name[candidate] for candidate in usual if candidate in by_lower_name), None)
        if column is not None and name not in constants:
            guessed[name] = column
    return guessed
