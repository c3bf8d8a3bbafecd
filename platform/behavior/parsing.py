"""One field at a time: what a raw value must look like, and what it becomes.

The API and the importer share these parsers, so a value means the same whichever way it came. Each takes the raw value
(any JSON type, or the text of a table's cell; never None) and returns the stored value, or raises Invalid.
"""

import json
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

MAX_ID = 200  # characters
MAX_NUMBER = 1e12
MAX_PROPERTIES = 32 * 1024  # bytes of UTF-8 JSON
MAX_DEPTH = 8
SECOND = 1_000_000  # microseconds; times are whole microseconds since 1970, UTC

# What broken clients send in place of an id; stored, they would melt thousands of people into one subject.
NO_ONE = frozenset(
    {
        "null",
        "undefined",
        "none",
        "nil",
        "nan",
        "n/a",
        "true",
        "false",
        "guest",
        "anonymous",
        "unknown",
        "not_authenticated",
        "[object object]",
        "user_id",
        "anonymous_id",
        "00000000-0000-0000-0000-000000000000",
    }
)

_TYPE = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}


class Invalid(ValueError):
    """A raw value that cannot be stored: `code` for programs, `message` with the cure for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def parse_text(value: Any) -> str:
    """Text that PostgreSQL can hold, untrimmed, of 1 to 200 characters; whole numbers become text."""
    if type(value) is int or (type(value) is float and value.is_integer()):
        value = str(int(value))
    if type(value) is not str:
        raise Invalid("wrong_type", f"must be a string, not {json_type(value)}")
    check_storable(value)
    if not 1 <= len(value) <= MAX_ID:
        raise Invalid("length", f"must have 1 to {MAX_ID} characters, has {len(value)}")
    return value


def check_storable(text: str) -> None:
    """Raises Invalid for text that PostgreSQL cannot hold."""
    if "\0" in text:
        raise Invalid("nul_byte", "contains a NUL character; remove it")
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Invalid("not_unicode", "is not valid Unicode; send UTF-8 without lone surrogates") from None


def parse_id(value: Any) -> str:
    """An item or session id: text without surrounding white space."""
    return parse_text(value.strip() if type(value) is str else value)


def parse_subject_id(value: Any) -> str:
    """A subject's id. "0" passes: in numbered exports it is a real person."""
    subject_id = parse_id(value)
    if subject_id.lower() in NO_ONE:
        raise Invalid("illegal_id", f"'{subject_id}' stands for no one; send a real id or leave the field out")
    return subject_id


def parse_type(value: Any) -> str:
    if type(value) is str and _TYPE.fullmatch(value):
        return value
    shown = parse_text(value)
    raise Invalid(
        "pattern",
        f"'{shown}' must start with a-z and hold only a-z, 0-9, '_', '.', '-', at most 64 characters; e.g. 'purchase'",
    )


def parse_number(value: Any) -> float:
    """A finite number within ±1e12. Text such as "9.90" is read as a number."""
    if type(value) is str and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if type(value) not in (int, float):
        raise Invalid("wrong_type", f"must be a number, not {json_type(value)}")
    if type(value) is float and not math.isfinite(value):
        raise Invalid("not_finite", "must be a finite number; leave the field out when there is none")
    if abs(value) > MAX_NUMBER:
        raise Invalid("out_of_range", f"must lie within ±{MAX_NUMBER:.0e}")
    return float(value)


def parse_quantity(value: Any) -> float:
    quantity = parse_number(value)
    if quantity <= 0:
        raise Invalid("out_of_range", "must be greater than 0; a return is an event type of its own")
    return quantity


def parse_currency(value: Any) -> str:
    if type(value) is not str or not _CURRENCY.fullmatch(value):
        raise Invalid("pattern", "must be an ISO 4217 code of three upper-case letters, e.g. 'EUR'")
    return value


def parse_uuid(value: Any) -> str:
    if type(value) is not str or not _UUID.fullmatch(value):
        raise Invalid("pattern", "must be a UUID, as an answer of this API carries it")
    return value.lower()


def parse_boolean(value: Any) -> bool:
    if type(value) is bool:
        return value
    known = _BOOLEANS.get(str(value).strip().lower())
    if known is None:
        raise Invalid("wrong_type", "must be true or false")
    return known


def parse_time(value: Any) -> int:
    """Microseconds since 1970 from ISO 8601 (no zone means UTC), a date, or epoch seconds, milliseconds, microseconds.

    The unit of an epoch number is told by its size: seconds to the year 5138, then milliseconds, then microseconds.
    """
    if type(value) is str:
        value = _read_time(value.strip())
    if isinstance(value, datetime):
        micros = _since_epoch(value)
    elif type(value) in (int, float) and abs(value) < 1e17:
        unit = SECOND if abs(value) < 1e11 else 1000 if abs(value) < 1e14 else 1
        micros = round(value * unit)
    else:
        raise Invalid("not_a_time", "must be ISO 8601 such as '2026-11-24T09:30:00Z', or epoch seconds or milliseconds")
    if not 0 <= micros < 253_402_300_800 * SECOND:
        raise Invalid("out_of_range", "must lie between the years 1970 and 9999")
    return micros


def _read_time(text: str) -> int | float | datetime | None:
    if text.isdecimal():
        return int(text[:20])  # more digits are no time, and thousands of them are slow to read
    if _NUMBER.fullmatch(text):
        return float(text)
    try:
        return datetime.fromisoformat(text.removesuffix("UTC").rstrip())
    except ValueError:
        return None


def _since_epoch(moment: datetime) -> int:
    difference = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return (difference.days * 86_400 + difference.seconds) * SECOND + difference.microseconds


def parse_properties(value: Any) -> str:
    """JSON text of an object; a table's cell may hold that text itself."""
    if type(value) is str:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise Invalid("wrong_type", "must be a JSON object") from None
    if type(value) is not dict:
        raise Invalid("wrong_type", f"must be a JSON object, not {json_type(value)}")
    _check_nested(value, MAX_DEPTH)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if len(text) > MAX_PROPERTIES or len(text.encode()) > MAX_PROPERTIES:
        raise Invalid("too_large", f"must be at most {MAX_PROPERTIES // 1024} KB of JSON; send what models can use")
    return text


def _check_nested(value: Any, depth: int) -> None:
    if type(value) is str:
        check_storable(value)
    elif type(value) is float and not math.isfinite(value):
        raise Invalid("not_finite", "holds NaN or Infinity, which JSON does not have; send null")
    elif type(value) in (dict, list) and depth == 0:
        raise Invalid("too_deep", f"must be nested at most {MAX_DEPTH} levels deep")
    elif type(value) is list:
        for part in value:
            _check_nested(part, depth - 1)
    elif type(value) is dict:
        for key, part in value.items():
            check_storable(key)
            _check_nested(part, depth - 1)
    elif type(value) not in (bool, int, float, type(None)):
        raise Invalid("wrong_type", f"holds {json_type(value)}, which JSON does not have; write it as text or number")


def json_type(value: Any) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return names.get(type(value), "null" if value is None else type(value).__name__)


# Every field of an event, flat; the API nests the subject's and the consent's.
PARSERS: dict[str, Callable[[Any], Any]] = {
    "message_id": parse_text,
    "type": parse_type,
    "user_id": parse_subject_id,
    "anonymous_id": parse_subject_id,
    "session_id": parse_id,
    "item_id": parse_id,
    "value": parse_number,
    "quantity": parse_quantity,
    "currency": parse_currency,
    "decision_id": parse_uuid,
    "created_at": parse_time,
    "personalisation": parse_boolean,
    "training": parse_boolean,
    "properties": parse_properties,
}
